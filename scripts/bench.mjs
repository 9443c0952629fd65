/** npm run bench -- NAME [arguments]: runs bench/NAME.ts or bench/ROOM/NAME.ts against a fresh build. */

import { basename, relative } from "node:path";
import { build } from "./build.mjs";
import { ROOT, ScriptError, exec, filesUnder, prepare, runAsScript } from "./toolchain.mjs";

// report.ts is what benchmarks write their figures with.
const isBench = (path) => path.endsWith(".ts") && basename(path) !== "report.ts";

await runAsScript(import.meta.url, async ([name, ...args]) => {
  const benches = filesUnder("bench").filter(isBench);
  const path = benches.find((candidate) => basename(candidate, ".ts") === name);
  if (path === undefined) {
    const names = benches.map((candidate) => basename(candidate, ".ts"));
    throw new ScriptError(`npm run bench -- NAME, where NAME is one of: ${names.join(", ") || "(none yet)"}`);
  }
  const bun = await prepare();
  await build(bun);
  return exec(bun, [relative(ROOT, path), ...args]);
});
