/**
 * npm run build:static: dist/infermesh-linux-x64 and dist/infermesh-linux-arm64, which need nothing of the system that
 * they run on (scripts/build-static.ts; why and how: native/static/DESIGN.md).
 *
 *   npm run build:static               both; the one for the other processor where there is a compiler for it
 *   npm run build:static -- x64        that alone; exit code 3 where this machine can't build it
 *   npm run build:static -- --no-xz    without the compressed files, which take most of the time
 */

import { ENTRIES, checkGenerated, compileFlags, identity } from "./build.mjs";
import { ScriptError, exec, prepare, runAsScript, say, step } from "./toolchain.mjs";

const PROCESSORS = ["x64", "arm64"];
const CANNOT_HERE = 3;
/**
 * Bytecode of a chunk's outermost code alone: that of every function would be 9 MB more, above what an image may have.
 * A command starts in half the time that it needs without any.
 */
const BYTECODE_DEPTH = "--bytecode-depth=0";

await runAsScript(import.meta.url, async (args) => {
  const options = args.filter((arg) => arg === "--no-xz");
  const named = args.filter((arg) => !options.includes(arg));
  const unknown = named.find((arg) => !PROCESSORS.includes(arg));
  if (unknown !== undefined) throw new ScriptError(`${unknown}: expected ${PROCESSORS.join(" or ")} or --no-xz`);
  const bun = await prepare();
  await checkGenerated(bun);
  const { version, revision } = identity();
  const recipe = [...compileFlags(version, revision, "outermost code alone"), BYTECODE_DEPTH, ...ENTRIES];
  let failed = 0;
  for (const processor of named.length === 0 ? PROCESSORS : named) {
    const command = ["scripts/build-static.ts", processor, version, ...options, "--", ...recipe];
    const code = await step(`build dist/infermesh-linux-${processor} ${version} (${revision})`, () =>
      exec(bun, command),
    );
    // Without being asked for, the other processor's may be left out.
    const isExtra = named.length === 0 && processor !== process.arch;
    if (code === CANNOT_HERE && isExtra) say(`dist/infermesh-linux-${processor} is left out`);
    else failed ||= code;
  }
  return failed;
});
