/** Compiles native/glibc/ into the library that stands in for what glibc has and musl does not. */

import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { ElfFile } from "../elf/file.ts";
import { dynamicSymbols, neededLibraries } from "../elf/tables.ts";
import type { Machine } from "./machine.ts";
import { compilerFor } from "./shim.ts";

const SOURCES = resolve(import.meta.dir, "..", "..", "native", "glibc");

/** Without the compiler's own C library, whose start-up code and names it must not have. */
const FLAGS = [
  ..."-std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fvisibility=hidden -fPIC -shared -nostdlib".split(" "),
  ..."-fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns".split(" "),
  "-Wl,-z,noexecstack,-z,now,-z,noseparate-code,--hash-style=both,--build-id=none,-s",
];
const MACHINE_FLAGS = { x64: [], arm64: ["-mno-outline-atomics"] } as const;

/** Compiles it to `out`; what it needs must be in musl, and nothing that it has: musl's own would be found first. */
export function compileGlibc(machine: Machine, musl: ElfFile, out: string): ElfFile {
  mkdirSync(resolve(out, ".."), { recursive: true });
  const sources = readdirSync(SOURCES)
    .filter((name) => name.endsWith(".c"))
    .sort();
  const command = [...compilerFor(machine), ...FLAGS, ...MACHINE_FLAGS[machine.name], "-o", out, ...sources];
  const done = Bun.spawnSync(command, { cwd: SOURCES, stdout: "ignore", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`native/glibc can't be compiled:\n${done.stderr.toString().trim()}`);
  const library = new ElfFile("libglibc.so", new Uint8Array(readFileSync(out)));
  if (library.machine !== machine.number) throw library.fault(`it is not made for ${machine.name}`);
  const needed = neededLibraries(library);
  if (needed.length > 0) throw library.fault(`it needs ${needed.join(", ")}`);
  const { exports: has, imports } = symbolsOf(library);
  const { exports: muslHas } = symbolsOf(musl);
  const lacking = [...imports].filter((name) => !muslHas.has(name));
  if (lacking.length > 0) throw library.fault(`musl does not have ${lacking.join(", ")}`);
  const twice = [...has].filter((name) => muslHas.has(name));
  if (twice.length > 0) throw library.fault(`musl has ${twice.join(", ")} too, which would be called instead`);
  return library;
}

/** The names that a library offers, and those that it wants. */
export function symbolsOf(library: ElfFile): { exports: ReadonlySet<string>; imports: ReadonlySet<string> } {
  const symbols = dynamicSymbols(library).filter(({ name }) => name !== "");
  return {
    exports: new Set(symbols.filter(({ section }) => section !== 0).map(({ name }) => name)),
    imports: new Set(symbols.filter(({ section }) => section === 0).map(({ name }) => name)),
  };
}
