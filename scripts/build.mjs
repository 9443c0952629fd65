/**
 * npm run build: proto check -> native scorer -> dist/infermesh.
 *
 * Workers are named as further entries: a Worker's file that is only referred to is left out of the executable. In
 * there every module of the main bundle has the URL of src/main.ts's place, so a worker's URL must be made by a file of
 * src/ itself (`new URL("./proxy/worker.ts", import.meta.url)`): such a URL holds in the sources and in the executable.
 * Nothing is done when no input has changed since the last build.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT, ScriptError, hashFiles, hashOf, must, prepare, runAsScript, say, step } from "./toolchain.mjs";

const DIST = join(ROOT, "dist");
export const EXECUTABLE = join(DIST, "infermesh");
const STAMP = join(DIST, ".build-inputs");
export const ENTRIES = [
  "src/main.ts",
  "src/proxy/worker.ts",
  "src/store/log-worker.ts",
  "src/trial/worker.ts",
  "src/lab/worker.ts",
  "src/client/worker.ts",
];
const INPUTS = ["src", "native", "proto", "package.json", "package-lock.json", "tsconfig.json"];
const RECIPES = [
  "scripts/build.mjs",
  "scripts/build-native.ts",
  "scripts/generate-proto.ts",
  "scripts/proto-descriptors.ts",
  "scripts/proto-services.ts",
];

function git(...args) {
  const done = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
  return done.status === 0 ? done.stdout.trim() : undefined;
}

/** The short commit, `-dirty` when what goes into the executable was changed since, `unknown` without git. */
function commit() {
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head === undefined) return "unknown";
  return git("status", "--porcelain", "--", ...INPUTS) === "" ? head : `${head}-dirty`;
}

/** What goes into every executable as its own name. */
export function identity() {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  return { version, revision: commit() };
}

/** How each executable is compiled, whatever it runs on; `bytecode` tells of which functions there is some. */
export function compileFlags(version, revision, bytecode = "all functions") {
  // Packages that ask where they lie would have this checkout's path written into the executable.
  const defines = {
    INFERMESH_VERSION: version,
    INFERMESH_COMMIT: revision,
    INFERMESH_BYTECODE: bytecode,
    __dirname: "/",
    __filename: "/",
  };
  return [
    "--compile",
    "--minify",
    "--bytecode",
    // What a command does not import is not loaded: half the start of the light ones.
    "--splitting",
    "--format=esm",
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-dotenv",
    ...Object.entries(defines).flatMap(([name, value]) => ["--define", `${name}=${JSON.stringify(value)}`]),
  ];
}

async function compile(bun, version, revision) {
  // Written beside and then renamed: the old executable may be running. The name stays the same, since it is also the
  // name of the main module inside.
  const scratch = join(DIST, `.build-${process.pid}`);
  const fresh = join(scratch, "infermesh");
  mkdirSync(scratch, { recursive: true });
  try {
    await must(bun, ["build", ...compileFlags(version, revision), ...ENTRIES, "--outfile", fresh]);
    const smoke = spawnSync(fresh, ["--version"], { encoding: "utf8", timeout: 20_000 });
    // An executable whose start fails can end with 0 and print nothing, so both are looked at.
    if (smoke.status !== 0 || !smoke.stdout.includes(version)) {
      throw new ScriptError(
        `the new executable does not start: ${smoke.stderr || smoke.error?.message || "no output"}`,
      );
    }
    // Every room declares its settings at import, and a wrong default shows only then.
    for (const role of ["router", "agent"]) {
      const checked = spawnSync(fresh, [role, "validate"], { encoding: "utf8", timeout: 20_000 });
      if (checked.status !== 0) throw new ScriptError(`the new executable's ${role} does not start: ${checked.stderr}`);
    }
    renameSync(fresh, EXECUTABLE);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Code that was made of another proto/ would be compiled in silence. */
export async function checkGenerated(bun) {
  await step("check that src/gen is what proto/ says", () => must(bun, ["scripts/generate-proto.ts", "--check"]));
}

/** Brings dist/infermesh up to date. */
export async function build(bun, { force = false } = {}) {
  await checkGenerated(bun);
  const { version, revision } = identity();
  const compiler = spawnSync("cc", ["-dumpversion"], { encoding: "utf8" }).stdout ?? "none";
  const inputs = hashOf(hashFiles(...INPUTS, ...RECIPES), revision, compiler, String(statSync(bun).size));
  if (!force && existsSync(EXECUTABLE) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === inputs) {
    say("dist/infermesh is up to date");
    return;
  }
  rmSync(STAMP, { force: true });
  if (existsSync(join(ROOT, "scripts/build-native.ts"))) {
    await step("build the native scorer", () => must(bun, ["scripts/build-native.ts"]));
  }
  await step(`compile dist/infermesh ${version} (${revision})`, () => compile(bun, version, revision));
  writeFileSync(STAMP, inputs);
}

await runAsScript(import.meta.url, async (args) => build(await prepare(), { force: args.includes("--force") }));
