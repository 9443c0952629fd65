/**
 * Builds dist/native/libscorer.so from native/*.c with `cc` (or $CC), when anything has changed. Where there is no
 * compiler, or it fails, an empty file takes its place: the executable embeds it all the same, and src/native.ts says
 * at run time that the TypeScript scorer serves. `--force` builds anew.
 *
 * Beside it comes libglibc.so, empty: what it is in place of is for the static executable alone (scripts/static/glibc.ts).
 */

import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { layoutConstants, layoutWord } from "../src/score/layout.ts";

const ROOT = resolve(import.meta.dir, "..");
const SOURCES = join(ROOT, "native");
const FILES = ["scorer.c", "follow.c", "tokens.c"].map((name) => join(SOURCES, name));
const OUT = join(ROOT, "dist", "native");
const NAME = "libscorer.so";
const LIBRARY = join(OUT, NAME);
/** Of native/glibc/, which the static build fills. */
export const GLIBC_NAME = "libglibc.so";
const STAMP = join(OUT, ".libscorer-inputs");

/** No contraction and no reassociation, for parity; nothing that calls for libc, and a refusal to link if it does. */
const FLAGS = [
  ..."-std=c11 -O3 -Wall -Wextra -Werror -fvisibility=hidden -fPIC -shared".split(" "),
  ..."-ffp-contract=off -fno-fast-math -Wno-psabi".split(" "),
  ..."-ffreestanding -nostdlib -fno-stack-protector -Wl,-z,defs".split(" "),
];

/** Atomic operations are instructions, not calls of a library that isn't linked. */
const PROCESSOR_FLAGS: Readonly<Record<string, readonly string[]>> = { arm64: ["-mno-outline-atomics"] };

function layoutHeader(): string {
  const lines = [...layoutConstants()].map(([name, value]) => `#define ${name} (${value})`);
  return [
    "/* Made by scripts/build-native.ts from src/score/layout.ts. */",
    "#pragma once",
    ...lines,
    `#define LAYOUT_WORD (${layoutWord()})`,
    "",
  ].join("\n");
}

/** Compiles into a folder for a processor, as Node calls it; says why there is no library, or "" when there is one. */
export function compileScorer(
  compiler: string,
  folder: string,
  processor: string = process.arch,
  defines: readonly string[] = [],
): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "layout.h"), layoutHeader());
  // Written beside and renamed: a running process may have the old one mapped.
  const fresh = join(folder, `.libscorer-${process.pid}.so`);
  try {
    const flags = [...FLAGS, ...(PROCESSOR_FLAGS[processor] ?? []), ...defines];
    const command = [...compiler.split(/\s+/), ...flags, "-I", folder, "-o", fresh, ...FILES];
    const done = Bun.spawnSync(command, { stdout: "ignore", stderr: "pipe" });
    if (done.exitCode !== 0) return `${compiler} failed:\n${done.stderr.toString().trim()}`;
    renameSync(fresh, join(folder, NAME));
    return "";
  } catch (error) {
    return `${compiler} does not run here (${error instanceof Error ? error.message : String(error)})`;
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** What the compiler calls itself; part of what decides whether to build anew. */
function versionOf(compiler: string): string {
  try {
    return Bun.spawnSync([...compiler.split(/\s+/), "--version"], { stderr: "ignore" }).stdout.toString();
  } catch {
    return "none";
  }
}

function main(): void {
  mkdirSync(OUT, { recursive: true });
  if (!existsSync(join(OUT, GLIBC_NAME))) writeFileSync(join(OUT, GLIBC_NAME), "");
  const compiler = process.env["CC"]?.trim() || "cc";
  const sources = readdirSync(SOURCES)
    .filter((name) => /\.[ch]$/.test(name))
    .sort()
    .map((name) => readFileSync(join(SOURCES, name), "utf8"));
  const inputs = new Bun.CryptoHasher("sha256")
    .update(
      [
        layoutHeader(),
        ...sources,
        compiler,
        versionOf(compiler),
        ...FLAGS,
        ...(PROCESSOR_FLAGS[process.arch] ?? []),
        process.arch,
      ].join("\0"),
    )
    .digest("hex");
  const current = existsSync(LIBRARY) && existsSync(STAMP) && readFileSync(STAMP, "utf8") === inputs;
  if (current && !process.argv.includes("--force")) return;
  rmSync(STAMP, { force: true });
  const fault = compileScorer(compiler, OUT);
  if (fault === "") {
    console.log(`dist/native/libscorer.so: built with ${compiler}`);
  } else {
    writeFileSync(LIBRARY, "");
    console.log(`dist/native/libscorer.so: not built, the TypeScript scorer will serve: ${fault}`);
  }
  writeFileSync(STAMP, inputs);
}

if (import.meta.main) main();
