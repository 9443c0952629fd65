/**
 * What is added to Bun: the shim, and musl's libc.so, which is also the loader, as the kernel would have mapped it. Both
 * become two segments below Bun's own: one to read and run (shim, then musl's text), one to write (musl's data, then the
 * shim's variables).
 */

import { FILE_TYPE, FLAG, SEGMENT } from "../elf/constants.ts";
import { type ElfFile, type Segment, hex } from "../elf/file.ts";
import { linkerSymbols } from "../elf/tables.ts";
import type { ShimAddresses } from "./imports.ts";
import { type Machine, roundDown, roundUp } from "./machine.ts";

/** The shim's configuration, in the order of `struct config` of native/static/shim.h, behind its magic number. */
const FIELDS = [
  "appEntry",
  "appHeaders",
  "appHeaderCount",
  "loaderBase",
  "loaderEntry",
  "condWaitSlot",
  "abortSlot",
  "onceCallSlot",
  "clockSlot",
  "classVtable",
  "singleVtable",
  "manyVtable",
] as const;
const MAGIC = 0x31306d6968736d69n;

/** What the shim is told of Bun. */
export interface AppAddresses extends ShimAddresses {
  readonly appEntry: number;
  readonly appHeaders: number;
  readonly appHeaderCount: number;
}

export interface LoaderImage {
  readonly text: Uint8Array;
  readonly textAddress: number;
  readonly data: Uint8Array;
  readonly dataAddress: number;
  /** Size of the data in memory: zeros follow what is in the file. */
  readonly dataMemory: number;
  /** Where the process starts. */
  readonly entry: number;
  readonly loaderBase: number;
}

/** The shim's two segments; it has to be linked as native/static/shim.ld says. */
function shimSegments(shim: ElfFile): { text: Segment; data: Segment } {
  const loads = shim.segments().filter(({ type }) => type === SEGMENT.load);
  const text = loads.find(({ flags }) => flags === (FLAG.read | FLAG.execute));
  const data = loads.find(({ flags }) => flags === (FLAG.read | FLAG.write));
  if (loads.length !== 2 || text === undefined || data === undefined || data.fileSize !== 0) {
    throw shim.fault("it should have one segment to run and one to write, the latter without initialised data");
  }
  return { text, data };
}

/** Musl's read-only end and its one writable segment. */
function muslSegments(musl: ElfFile, page: number): { readable: Segment[]; readableEnd: number; data: Segment } {
  if (musl.type !== FILE_TYPE.shared) throw musl.fault("it is not a shared object");
  if (musl.segments().some(({ type }) => type === SEGMENT.threadLocal)) {
    throw musl.fault("it has thread-local storage, which its loader would not find here");
  }
  const loads = musl.segments().filter(({ type }) => type === SEGMENT.load);
  const readable = loads.filter(({ flags }) => (flags & FLAG.write) === 0);
  const [data, ...more] = loads.filter(({ flags }) => (flags & FLAG.write) !== 0);
  const [first] = readable;
  if (data === undefined || more.length > 0) throw musl.fault("it should have exactly one writable segment");
  if (first === undefined || first.address !== 0 || first.offset !== 0) {
    throw musl.fault("its first segment should begin with the file, at address 0");
  }
  const readableEnd = Math.max(...readable.map(({ address, memorySize }) => address + memorySize));
  if (roundUp(readableEnd, page) > roundDown(data.address, page)) {
    throw musl.fault(`its text and data share a page of ${hex(page)} bytes`);
  }
  return { readable, readableEnd, data };
}

/** Lays both out below `limit`, the lowest address of Bun. */
export function loaderImage(
  shim: ElfFile,
  musl: ElfFile,
  machine: Machine,
  app: AppAddresses,
  limit: number,
): LoaderImage {
  const { page } = machine;
  const own = shimSegments(shim);
  const libc = muslSegments(musl, page);
  const textAddress = own.text.address;
  if (textAddress % page !== 0) throw shim.fault(`its text at ${hex(textAddress)} is not at the start of a page`);
  const loaderBase = roundUp(textAddress + own.text.memorySize, page);
  const dataAddress = loaderBase + roundDown(libc.data.address, page);
  const muslEnd = loaderBase + libc.data.address + libc.data.memorySize;
  const dataEnd = roundUp(own.data.address + own.data.memorySize, page);
  if (muslEnd > own.data.address || dataEnd > limit) {
    throw musl.fault(
      `no room: shim and musl need ${hex(textAddress)} to ${hex(Math.max(muslEnd, dataEnd))}, the shim's variables are ` +
        `at ${hex(own.data.address)} and Bun begins at ${hex(limit)}. Move BASE (scripts/static/machine.ts) or shim.ld.`,
    );
  }

  const text = new Uint8Array(dataAddress - textAddress);
  text.set(shim.slice(own.text.offset, own.text.fileSize));
  for (const { address, offset, fileSize } of libc.readable) {
    text.set(musl.slice(offset, fileSize), loaderBase - textAddress + address);
  }
  const data = new Uint8Array(loaderBase + libc.data.address + libc.data.fileSize - dataAddress);
  data.set(musl.slice(libc.data.offset, libc.data.fileSize), loaderBase + libc.data.address - dataAddress);
  configure(shim, text, textAddress, { ...app, loaderBase, loaderEntry: loaderBase + musl.entry });
  return { text, textAddress, data, dataAddress, dataMemory: dataEnd - dataAddress, entry: shim.entry, loaderBase };
}

/** Writes what the shim is told into its configuration. */
function configure(
  shim: ElfFile,
  text: Uint8Array,
  textAddress: number,
  values: Readonly<Record<(typeof FIELDS)[number], number>>,
): void {
  const view = new DataView(text.buffer, text.byteOffset, text.byteLength);
  const config = linkerSymbols(shim).find(({ name }) => name === "config");
  const size = (1 + FIELDS.length) * 8;
  if (config?.value !== textAddress || config.size !== size || view.getBigUint64(0, true) !== MAGIC) {
    throw shim.fault(`its text should begin with a configuration of ${size} bytes (struct config of shim.h)`);
  }
  for (const [index, field] of FIELDS.entries()) {
    view.setBigUint64(8 + index * 8, BigInt(values[field]), true);
  }
}
