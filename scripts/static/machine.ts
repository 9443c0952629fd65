/** What differs between the processors that a static executable is made for. */

import { MACHINE } from "../elf/constants.ts";
import type { ElfFile } from "../elf/file.ts";

export interface Machine {
  /** As Bun's targets call it. */
  readonly name: "x64" | "arm64";
  /** As ELF headers call it. */
  readonly number: number;
  /** The largest page that a kernel for it may use. */
  readonly page: number;
  readonly relocation: {
    readonly absolute: number;
    readonly copy: number;
    readonly got: number;
    readonly jump: number;
    readonly relative: number;
    readonly threadLocal: number;
  };
  /**
   * Where new thread-local variables go. x86-64 counts from the end of a file's thread-local storage, so that they lie in
   * front of what there is; aarch64 counts from its start, so that they lie behind. Either way the others don't move.
   */
  readonly threadLocalsInFront: boolean;
  /** Where the shim lies in memory: 64 KB pages need more room for it and musl below Bun's 0x200000. */
  readonly shimBase: number;
  /** The one library that is needed, which is musl itself: its loader answers to the name without opening a file. */
  readonly muslLibrary: string;
}

export const MACHINES: Readonly<Record<Machine["name"], Machine>> = {
  x64: {
    name: "x64",
    number: MACHINE.x64,
    page: 0x1000,
    relocation: { absolute: 1, copy: 5, got: 6, jump: 7, relative: 8, threadLocal: 18 },
    threadLocalsInFront: true,
    shimBase: 0x100000,
    muslLibrary: "libc.musl-x86_64.so.1",
  },
  arm64: {
    name: "arm64",
    number: MACHINE.arm64,
    page: 0x10000,
    relocation: { absolute: 257, copy: 1024, got: 1025, jump: 1026, relative: 1027, threadLocal: 1030 },
    threadLocalsInFront: false,
    shimBase: 0x80000,
    muslLibrary: "libc.musl-aarch64.so.1",
  },
};

/** The machine that a file is for. */
export function machineOf(file: ElfFile): Machine {
  const machine = Object.values(MACHINES).find(({ number }) => number === file.machine);
  if (machine === undefined) throw file.fault(`made for machine ${file.machine}, not for x86-64 or aarch64`);
  return machine;
}

export const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;
export const roundDown = (value: number, step: number): number => Math.floor(value / step) * step;
