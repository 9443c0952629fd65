/**
 * Builds dist/infermesh-linux-x64 or -arm64, an executable that needs nothing of the system that it runs on:
 *
 *   bun scripts/build-static.ts x64 VERSION [--no-xz] -- FLAGS-OF-BUN-BUILD ENTRY...      (by scripts/build-static.mjs)
 *
 * The sources are compiled in a folder of their own with the C scorer for that processor, by Bun's runtime for musl made
 * to stand alone (scripts/static/). It is compiled twice, since nobody can check a download that no other build gives.
 * Exit code 3: it can't be built on this machine.
 */

import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { GLIBC_NAME, compileScorer } from "./build-native.ts";
import { ElfFile } from "./elf/file.ts";
import { type Part, billOfMaterials, notices, npmParts, packagesBundled, packagesInside } from "./static/bill.ts";
import { compileGlibc } from "./static/glibc.ts";
import { MACHINES, type Machine } from "./static/machine.ts";
import { MUSL, NotHere, bunForMusl, musl } from "./static/pins.ts";
import { emptyRoot, inEmptyRoot, rootFault } from "./static/root.ts";
import { compileShim, compilerFor } from "./static/shim.ts";
import { staticize, standsAloneFault } from "./static/staticize.ts";

const ROOT = resolve(import.meta.dir, "..");
const DIST = join(ROOT, "dist");
const SIZE_MAX = 110e6;
const XZ_SIZE_MAX = 40e6;
/**
 * The same on every machine: how many threads xz has decides its output. Its filter for x86 code saves 2 MB; that for
 * aarch64 is left out, since an xz before 5.4 could not unpack it.
 */
const XZ = {
  x64: ["xz", "--keep", "--force", "--threads=1", "--x86", "--lzma2=preset=6,dict=64MiB"],
  arm64: ["xz", "--keep", "--force", "--threads=1", "--lzma2=preset=6,dict=64MiB"],
} as const;
const CANNOT_HERE = 3;
/** The bundler's account of what it took. */
const METAFILE = "meta.json";

const megabytes = (size: number): string => `${(size / 1e6).toFixed(1)} MB`;

/** Runs a command, and throws with what it said where it fails. */
function must(command: readonly string[], cwd = ROOT): string {
  const done = Bun.spawnSync([...command], { cwd, stdout: "pipe", stderr: "pipe", env: process.env });
  if (done.exitCode === 0) return done.stdout.toString();
  const said = `${done.stderr.toString()}${done.stdout.toString()}`.trim();
  throw new Error(`${command.slice(0, 3).join(" ")} ... ended with ${done.exitCode ?? done.signalCode}: ${said}`);
}

/** Bun's runtime for musl, without what it needs of a system; answers its path and what it is made of. */
function makeRuntime(machine: Machine, folder: string): { runtime: string; parts: Part[] } {
  const { library, part: muslPart } = musl(machine);
  const { runtime: bun, parts: bunParts } = bunForMusl(machine);
  const { bytes, counts, added } = staticize({ bun, musl: library, shim: compileShim(machine, folder) });
  const path = join(folder, "runtime");
  writeFileSync(path, bytes, { mode: 0o755 });
  const bound = Object.entries(counts).map(([kind, count]) => `${kind} ${count}`);
  console.log(`Bun ${Bun.version} with musl ${MUSL.version}: ${bound.join(", ")}; ${added} bytes added`);
  return { runtime: path, parts: [...bunParts, muslPart] };
}

/**
 * The sources and packages, side by side in a folder, so that where this checkout lies changes nothing; and the native
 * libraries for that processor where src/ looks for them.
 */
function stage(machine: Machine, folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync(join(ROOT, "src"), join(folder, "src"), { recursive: true });
  for (const name of ["package.json", "tsconfig.json"]) copyFileSync(join(ROOT, name), join(folder, name));
  for (const path of packagesInside(ROOT)) cpSync(join(ROOT, path), join(folder, path), { recursive: true });
  const native = join(folder, "dist", "native");
  const fault = compileScorer(compilerFor(machine).join(" "), native, machine.name);
  if (fault !== "") throw new Error(`the scorer can't be compiled for ${machine.name}: ${fault}`);
  const { machine: number } = new ElfFile("libscorer.so", new Uint8Array(readFileSync(join(native, "libscorer.so"))));
  if (number !== machine.number) throw new Error(`${compilerFor(machine).join(" ")} compiles for machine ${number}`);
  compileGlibc(machine, musl(machine).library, join(native, GLIBC_NAME));
}

/** Compiles the staged sources; the same file name each time, as it is the main module's name inside. */
function compile(machine: Machine, runtime: string, folder: string, out: string, args: readonly string[]): void {
  const target = [`--target=bun-linux-${machine.name}-musl`, `--compile-executable-path=${runtime}`];
  const told = `--metafile=${join(out, METAFILE)}`;
  must([process.execPath, "build", ...target, ...args, told, "--outfile", join(out, "infermesh")], folder);
}

/** What is wrong with a finished executable is thrown, in words. */
function inspect(machine: Machine, path: string, version: string): void {
  const fault = standsAloneFault(new ElfFile(path, new Uint8Array(readFileSync(path))));
  if (fault !== "") throw new Error(`it does not stand alone: ${fault}`);
  const { size } = statSync(path);
  if (size > SIZE_MAX) throw new Error(`it has ${megabytes(size)}, at most ${megabytes(SIZE_MAX)} are allowed`);
  if (machine.name !== process.arch) {
    console.log(`not run: this machine is ${process.arch}`);
    return;
  }
  const said = must([path, "--version"]);
  if (!said.includes(version)) throw new Error(`--version says ${JSON.stringify(said)}, not ${version}`);
  for (const role of ["router", "agent"]) must([path, role, "validate"]);
  const reason = rootFault();
  if (reason !== "") {
    console.log(`not run in an empty root: ${reason}`);
    return;
  }
  const root = mkdtempSync(join(tmpdir(), "infermesh-root-"));
  try {
    emptyRoot(root, path);
    if (must(inEmptyRoot(root, "--version")) !== said) throw new Error("in an empty root it says something else");
    console.log("runs in an empty root without /proc");
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const sha256 = (path: string): string => new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");

/** Compresses it for download, and writes beside it what it is made of, under which licences, and all checksums. */
function pack(machine: Machine, path: string, version: string, parts: readonly Part[], withXz: boolean): void {
  const executable = { name: basename(path), version, sha256: sha256(path) };
  writeFileSync(`${path}.cdx.json`, billOfMaterials(executable, parts));
  writeFileSync(`${path}.notices.txt`, notices(parts));
  const files = [path, `${path}.cdx.json`, `${path}.notices.txt`];
  if (withXz) {
    must([...XZ[machine.name], path]);
    const { size } = statSync(`${path}.xz`);
    if (size > XZ_SIZE_MAX) {
      throw new Error(`${basename(path)}.xz has ${megabytes(size)}, at most ${megabytes(XZ_SIZE_MAX)} are allowed`);
    }
    files.push(`${path}.xz`);
  }
  for (const file of files)
    console.log(`dist/${basename(file)}: ${megabytes(statSync(file).size)}, sha256 ${sha256(file)}`);
  writeFileSync(`${path}.sha256`, files.map((file) => `${sha256(file)}  ${basename(file)}\n`).join(""));
}

function build(machine: Machine, version: string, withXz: boolean, args: readonly string[]): void {
  const path = join(DIST, `infermesh-linux-${machine.name}`);
  const work = join(DIST, "static", machine.name);
  const staged = join(work, "stage");
  const outs = [join(work, "first"), join(work, "second")] as const;
  // What is left of a build before must not be taken for this one's.
  for (const suffix of ["", ".xz", ".sha256", ".cdx.json", ".notices.txt"]) rmSync(`${path}${suffix}`, { force: true });
  stage(machine, staged);
  const { runtime, parts } = makeRuntime(machine, work);
  for (const out of outs) {
    mkdirSync(out, { recursive: true });
    compile(machine, runtime, staged, out, args);
  }
  const [first, second] = outs.map((out) => join(out, "infermesh")) as [string, string];
  if (Buffer.compare(readFileSync(first), readFileSync(second)) !== 0) {
    throw new Error(`two builds of the same differ (cmp ${first} ${second})`);
  }
  inspect(machine, first, version);
  renameSync(first, path);
  rmSync(second);
  const bundled = packagesBundled(readFileSync(join(outs[0], METAFILE), "utf8"));
  pack(machine, path, version, [...parts, ...npmParts(ROOT, bundled)], withXz);
}

const [name, version, ...rest] = process.argv.slice(2);
const machine = Object.values(MACHINES).find((one) => one.name === name);
if (machine === undefined || version === undefined) {
  throw new Error("usage: build-static.ts x64|arm64 VERSION [--no-xz] -- FLAGS-OF-BUN-BUILD ENTRY...");
}
try {
  build(machine, version, !rest.includes("--no-xz"), rest.slice(rest.indexOf("--") + 1));
} catch (error) {
  console.error(
    `error: dist/infermesh-linux-${machine.name}: ${error instanceof Error ? error.message : String(error)}`,
  );
  process.exitCode = error instanceof NotHere ? CANNOT_HERE : 1;
}
