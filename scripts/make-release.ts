/** The command behind scripts/release.mjs: reads its arguments, builds by scripts/build-static.mjs. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import packed from "../package.json";
import { MACHINES } from "./static/machine.ts";
import { compilerFor } from "./static/shim.ts";
import { type Builder, type Manifest, PROCESSORS, type Processor, differences, release } from "./artefacts/release.ts";

const ROOT = resolve(import.meta.dir, "..");
/** As scripts/build.mjs writes it into executables. */
const VERSION = `INFERMESH_VERSION:${JSON.stringify(packed.version)}`;
const DEFAULT_OUT = join(ROOT, "dist", "release");
const USAGE = "usage: scripts/release [--out DIR] [--only x64|arm64] [--against RELEASE.JSON]";

interface Wish {
  out: string;
  processors: readonly Processor[];
  against: string | undefined;
}

function read(args: readonly string[]): Wish {
  const wish: Wish = { out: DEFAULT_OUT, processors: PROCESSORS, against: undefined };
  const words = args.flatMap((arg) =>
    /^--\w+=/.test(arg) ? [arg.slice(0, arg.indexOf("=")), arg.slice(arg.indexOf("=") + 1)] : [arg],
  );
  for (let at = 0; at < words.length; at += 2) {
    const [name, value] = [words[at], words[at + 1]];
    const only = PROCESSORS.find((processor) => processor === value);
    if (value === undefined || value === "") throw new Error(`${name} wants a value; ${USAGE}`);
    if (name === "--out") wish.out = resolve(value);
    else if (name === "--against") wish.against = resolve(value);
    else if (name === "--only" && only !== undefined) wish.processors = [only];
    else throw new Error(`${name} ${value} is not understood; ${USAGE}`);
  }
  return wish;
}

async function run(
  command: readonly string[],
  env: Record<string, string>,
  stdout: "inherit" | "pipe",
): Promise<string> {
  const child = Bun.spawn([...command], { cwd: ROOT, env: { ...process.env, ...env }, stdout, stderr: "inherit" });
  const said = stdout === "pipe" ? await new Response(child.stdout).text() : "";
  const code = await child.exited;
  if (code !== 0) throw new Error(`${command.slice(0, 4).join(" ")} ended with ${code}`);
  return said;
}

const builder: Builder = {
  fault(processor) {
    try {
      compilerFor(MACHINES[processor]);
    } catch (error) {
      return (error as Error).message;
    }
    return Bun.which("xz") === null ? "xz is not installed (xz-utils of Debian and Ubuntu)" : "";
  },
  build: async (processor, timeSeconds) => {
    const env = { SOURCE_DATE_EPOCH: String(timeSeconds) };
    await run(["node", "scripts/build-static.mjs", processor], env, "inherit");
  },
  // From the sources, since an executable for another processor does not run here.
  said: (...args) => run([process.execPath, "--define", VERSION, "src/main.ts", ...args], {}, "pipe"),
};

try {
  const { out, processors, against } = read(process.argv.slice(2));
  const replaces = out === DEFAULT_OUT;
  const made = await release({ root: ROOT, out, replaces, processors, builder, say: console.log });
  console.log(`> infermesh ${made.version} is in ${out}`);
  if (against !== undefined) {
    const other = JSON.parse(readFileSync(against, "utf8")) as Manifest;
    const found = differences(made, other);
    if (found.length > 0) throw new Error(`this is not the release of ${against}: ${found.join("; ")}`);
    console.log(`> it is the release of ${against}, byte for byte`);
  }
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
