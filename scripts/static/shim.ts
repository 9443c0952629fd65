/** Compiles native/static/ into the shim, which is linked at a fixed address and imports nothing. */

import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { ElfFile } from "../elf/file.ts";
import type { Machine } from "./machine.ts";
import { NotHere } from "./pins.ts";

const SOURCES = resolve(import.meta.dir, "..", "..", "native", "static");

/** No libc, no position-independent code, nothing that needs setting up before the first instruction. */
export const FLAGS = [
  ..."-std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -static -nostdlib -no-pie -fno-pic -fno-pie".split(" "),
  ..."-fno-stack-protector -fno-asynchronous-unwind-tables -fno-strict-aliasing".split(" "),
  // Else memset's loop becomes a call of memset.
  "-fno-tree-loop-distribute-patterns",
  "-Wl,-z,noexecstack,--no-dynamic-linker,--build-id=none",
];
const MACHINE_FLAGS = { x64: ["-fcf-protection=none"], arm64: ["-mno-outline-atomics"] } as const;
const CROSS_COMPILERS = { x64: "x86_64-linux-gnu-gcc", arm64: "aarch64-linux-gnu-gcc" } as const;
const CROSS_PACKAGES = { x64: "gcc-x86-64-linux-gnu", arm64: "gcc-aarch64-linux-gnu" } as const;
const VARIABLES = { x64: "CC_X64", arm64: "CC_ARM64" } as const;

/** The sources, in the order in which they are linked. */
export function shimSources(): string[] {
  return readdirSync(SOURCES)
    .filter((name) => name.endsWith(".c"))
    .sort()
    .map((name) => join(SOURCES, name));
}

/** A C compiler for that processor: $CC_X64 or $CC_ARM64, the machine's own, Debian's cross compiler. */
export function compilerFor({ name }: Machine): string[] {
  const own = process.arch === name ? process.env["CC"]?.trim() || "cc" : CROSS_COMPILERS[name];
  const words = (process.env[VARIABLES[name]]?.trim() || own).split(/\s+/);
  if (Bun.which(words[0] ?? "") !== null) return words;
  const remedy = `install ${CROSS_PACKAGES[name]} (Debian, Ubuntu) or name one by ${VARIABLES[name]}`;
  throw new NotHere(`there is no C compiler for ${name} (${words.join(" ")}): ${remedy}`);
}

export function compileShim(machine: Machine, folder: string): ElfFile {
  const out = join(folder, "shim.elf");
  mkdirSync(folder, { recursive: true });
  const base = `-Wl,--defsym,BASE=0x${machine.shimBase.toString(16)}`;
  const command = [
    ...compilerFor(machine),
    ...FLAGS,
    ...MACHINE_FLAGS[machine.name],
    base,
    "-T",
    join(SOURCES, "shim.ld"),
    "-o",
    out,
    ...shimSources(),
  ];
  const done = Bun.spawnSync(command, { stdout: "ignore", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`the shim can't be compiled:\n${done.stderr.toString().trim()}`);
  return new ElfFile("shim.elf", new Uint8Array(readFileSync(out)));
}
