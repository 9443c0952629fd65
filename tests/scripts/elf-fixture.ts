/**
 * ELF files for tests, made byte by byte without a compiler: one like Bun's runtime for musl, one like musl's libc.so,
 * one like the shim. Each can be made wrong in one respect.
 */
import { BINDING, FILE_TYPE, FLAG, SECTION, SEGMENT, SIZE, TAG } from "../../scripts/elf/constants.ts";
import { ElfFile, type Segment } from "../../scripts/elf/file.ts";
import type { ImportCounts } from "../../scripts/static/imports.ts";
import { type Machine, roundUp } from "../../scripts/static/machine.ts";

export interface FakeSymbol {
  readonly name: string;
  readonly binding?: number;
  readonly section?: number;
  readonly value?: number;
  readonly size?: number;
}

export interface FakeRelocation {
  readonly type: number;
  readonly symbol?: string;
  readonly addend?: number;
  readonly plt?: boolean;
}

/** Strings one after the other; tells where each is. */
class Strings {
  readonly #places = new Map<string, number>([["", 0]]);
  #bytes = "\0";

  at(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined) return known;
    const place = this.#bytes.length;
    this.#places.set(text, place);
    this.#bytes += `${text}\0`;
    return place;
  }

  get bytes(): Buffer {
    return Buffer.from(this.#bytes, "latin1");
  }
}

function symbolTable(symbols: readonly FakeSymbol[], strings: Strings): Buffer {
  const table = Buffer.alloc((symbols.length + 1) * SIZE.symbol);
  for (const [index, { name, binding, section, value, size }] of symbols.entries()) {
    const at = (index + 1) * SIZE.symbol;
    table.writeUInt32LE(strings.at(name), at);
    table.writeUInt8((binding ?? BINDING.global) << 4, at + 4);
    table.writeUInt16LE(section ?? 0, at + 6);
    table.writeBigUInt64LE(BigInt(value ?? 0), at + 8);
    table.writeBigUInt64LE(BigInt(size ?? 0), at + 16);
  }
  return table;
}

interface FakeSection {
  readonly name: string;
  readonly type: number;
  readonly address?: number;
  readonly offset: number;
  readonly size: number;
  readonly link?: number;
}

/** A file of zeros with a header, segments, and blocks of bytes at places; sections, if any, at its end. */
function fakeFile(what: {
  readonly name: string;
  readonly type: number;
  readonly machine: number;
  readonly entry: number;
  readonly segments: readonly Segment[];
  readonly size: number;
  readonly blocks: readonly (readonly [number, Uint8Array])[];
  readonly sections?: readonly FakeSection[];
}): ElfFile {
  const names = new Strings();
  const sections = what.sections ?? [];
  for (const { name } of sections) names.at(name);
  names.at(".shstrtab");
  const namesAt = what.size;
  const sectionsAt = roundUp(namesAt + names.bytes.length, 8);
  const count = sections.length === 0 ? 0 : sections.length + 2;
  const bytes = Buffer.alloc(sectionsAt + count * SIZE.section);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.writeUInt16LE(what.type, 16);
  bytes.writeUInt16LE(what.machine, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BigInt(what.entry), 24);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeBigUInt64LE(BigInt(count === 0 ? 0 : sectionsAt), 40);
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(SIZE.segment, 54);
  bytes.writeUInt16LE(what.segments.length, 56);
  bytes.writeUInt16LE(SIZE.section, 58);
  bytes.writeUInt16LE(count, 60);
  bytes.writeUInt16LE(Math.max(0, count - 1), 62);
  for (const [at, block] of what.blocks) bytes.set(block, at);
  const last = { name: ".shstrtab", type: 3, offset: namesAt, size: names.bytes.length };
  bytes.set(names.bytes, namesAt);
  for (const [index, section] of count === 0 ? [] : [...sections, last].entries()) {
    const at = sectionsAt + (index + 1) * SIZE.section;
    bytes.writeUInt32LE(names.at(section.name), at);
    bytes.writeUInt32LE(section.type, at + 4);
    bytes.writeBigUInt64LE(BigInt(("address" in section ? section.address : 0) ?? 0), at + 16);
    bytes.writeBigUInt64LE(BigInt(section.offset), at + 24);
    bytes.writeBigUInt64LE(BigInt(section.size), at + 32);
    bytes.writeUInt32LE(("link" in section ? section.link : 0) ?? 0, at + 40);
  }
  // A copy: slices of a Buffer share its memory, and tests change what they cut.
  const file = new ElfFile(what.name, new Uint8Array(bytes));
  file.setSegments(what.segments);
  return file;
}

function dynamicBytes(entries: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc((entries.length + 1) * SIZE.dynamic);
  for (const [index, [tag, value]] of entries.entries()) {
    bytes.writeBigUInt64LE(BigInt(tag), index * SIZE.dynamic);
    bytes.writeBigUInt64LE(BigInt(value), index * SIZE.dynamic + 8);
  }
  return bytes;
}

const hashBytes = (symbols: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(1, 0);
  bytes.writeUInt32LE(symbols, 4);
  return bytes;
};

const FIRST = 0x200000;
const PLACES = { symbols: 0x400, strings: 0x900, hash: 0xf00, versions: 0xf10, relocations: 0x1000, plt: 0x1800 };

/** Where the parts of a fake Bun lie. */
export function bunLayout({ page }: Machine) {
  const textOffset = roundUp(0x2000, page) + 0x400;
  const dataOffset = textOffset + 0x130;
  const textAddress = FIRST + textOffset + page;
  const dataAddress = FIRST + dataOffset + 2 * page;
  return { textOffset, textAddress, dataOffset, dataAddress, dynamic: 0x100, slots: 0x300, payload: 0x80, size: 0x600 };
}

/** A few imports of each kind: [symbol, relocation]. */
export function bunImports(machine: Machine): { symbols: FakeSymbol[]; relocations: FakeRelocation[] } {
  const { relocation: types } = machine;
  const vtable = "_ZTVN10__cxxabiv1";
  const copies = [
    `${vtable}17__class_type_infoE`,
    `${vtable}20__si_class_type_infoE`,
    `${vtable}21__vmi_class_type_infoE`,
  ];
  const calls = ["pthread_cond_wait", "abort", "clock_gettime", "pthread_cond_signal", "__cxa_guard_acquire"];
  const twin = "_ZNSt18condition_variable10notify_oneEv";
  const faster = "memcpy";
  const once = ["_ZSt15__once_callable", "_ZSt11__once_call"];
  const { dataAddress } = bunLayout(machine);
  return {
    symbols: [
      ...[...calls, twin, ...once, "__once_proxy", faster].map((name) => ({ name })),
      ...copies.map((name, index) => ({ name, section: 4, value: dataAddress + 0x480 + index * 16 })),
      { name: "_ITM_registerTMCloneTable", binding: BINDING.weak },
    ],
    relocations: [
      { type: types.relative, addend: 0x1234 },
      ...once.map((symbol) => ({ type: types.threadLocal, symbol })),
      ...copies.map((symbol) => ({ type: types.copy, symbol })),
      { type: types.absolute, symbol: "__once_proxy", addend: 4 },
      { type: types.got, symbol: "_ITM_registerTMCloneTable" },
      ...[...calls, twin, faster].map((symbol) => ({ type: types.jump, symbol, plt: true })),
      { type: types.got, symbol: faster },
    ],
  };
}

export const FAKE_IMPORTS: ImportCounts = { shim: 2, faster: 1, twins: 1, callOnce: 2, vtables: 3 };

export interface BunFaults {
  readonly type?: number;
  readonly number?: number;
  readonly needed?: readonly string[];
  readonly symbols?: readonly FakeSymbol[];
  readonly relocations?: readonly FakeRelocation[];
  readonly segments?: (segments: readonly Segment[]) => readonly Segment[];
  readonly payloadSection?: string;
}

export function fakeBun(machine: Machine, faults: BunFaults = {}): ElfFile {
  const layout = bunLayout(machine);
  const { textOffset, textAddress, dataOffset, dataAddress } = layout;
  const { symbols: usual, relocations: usualRelocations } = bunImports(machine);
  const symbols = [...usual, ...(faults.symbols ?? [])];
  const all = [...usualRelocations, ...(faults.relocations ?? [])];
  const strings = new Strings();
  const table = symbolTable(symbols, strings);
  const needed = (faults.needed ?? ["libstdc++.so.6", machine.muslLibrary]).map((name) => strings.at(name));
  const records = all.map(({ type, symbol, addend }, index) => {
    const record = Buffer.alloc(SIZE.relocation);
    record.writeBigUInt64LE(BigInt(dataAddress + layout.slots + index * 8), 0);
    record.writeUInt32LE(type, 8);
    record.writeUInt32LE(symbol === undefined ? 0 : symbols.findIndex(({ name }) => name === symbol) + 1, 12);
    record.writeBigInt64LE(BigInt(addend ?? 0), 16);
    return record;
  });
  const early = Buffer.concat(records.filter((_, index) => all[index]?.plt !== true));
  const late = Buffer.concat(records.filter((_, index) => all[index]?.plt === true));
  const dynamic = dynamicBytes([
    ...needed.map((value) => [TAG.needed, value] as const),
    [TAG.relocations, FIRST + PLACES.relocations],
    [TAG.relocationsSize, early.length],
    [TAG.pltRelocations, FIRST + PLACES.plt],
    [TAG.pltRelocationsSize, late.length],
    [TAG.symbols, FIRST + PLACES.symbols],
    [TAG.strings, FIRST + PLACES.strings],
    [TAG.hash, FIRST + PLACES.hash],
    [TAG.symbolVersions, FIRST + PLACES.versions],
  ]);
  const load = { type: SEGMENT.load, align: machine.page };
  const inFile = (type: number, address: number, offset: number, size: number): Segment => ({
    type,
    flags: FLAG.read,
    offset,
    address,
    fileSize: size,
    memorySize: size,
    align: 8,
  });
  const segments: Segment[] = [
    inFile(SEGMENT.headers, FIRST + 64, 64, 9 * SIZE.segment),
    inFile(SEGMENT.interpreter, FIRST + 0x380, 0x380, 0x19),
    { ...load, flags: FLAG.read, offset: 0, address: FIRST, fileSize: 0x2000, memorySize: 0x2000 },
    { ...load, flags: 5, offset: textOffset, address: textAddress, fileSize: 0x100, memorySize: 0x100 },
    { ...load, flags: 6, offset: dataOffset, address: dataAddress, fileSize: layout.size, memorySize: 0x1000 },
    { ...inFile(SEGMENT.threadLocal, dataAddress, dataOffset, 0x40), memorySize: 0x64, align: 16 },
    inFile(SEGMENT.dynamic, dataAddress + layout.dynamic, dataOffset + layout.dynamic, dynamic.length),
    { ...inFile(SEGMENT.stack, 0, 0, 0), flags: 6 },
    inFile(SEGMENT.note, FIRST + 0x3a0, 0x3a0, 0x24),
  ];
  const name = faults.payloadSection ?? ".bun";
  const payload = { offset: dataOffset + layout.payload, address: dataAddress + layout.payload, size: 8 };
  return fakeFile({
    name: "bun",
    type: faults.type ?? FILE_TYPE.fixed,
    machine: faults.number ?? machine.number,
    entry: textAddress,
    segments: faults.segments?.(segments) ?? segments,
    size: dataOffset + layout.size,
    blocks: [
      [PLACES.symbols, table],
      [PLACES.strings, strings.bytes],
      [PLACES.hash, hashBytes(symbols.length + 1)],
      [PLACES.relocations, early],
      [PLACES.plt, late],
      [textOffset, Buffer.from("Bun's text")],
      [dataOffset, Buffer.from("Bun's thread-local data")],
      [dataOffset + layout.dynamic, dynamic],
    ],
    sections: [{ name, type: 1, ...payload }],
  });
}

export function fakeMusl(machine: Machine, segments?: (all: readonly Segment[]) => readonly Segment[]): ElfFile {
  const { page } = machine;
  const names = ["pthread_cond_wait", "abort", "clock_gettime", "pthread_cond_signal", "memcpy"];
  const strings = new Strings();
  const table = symbolTable(
    names.map((name) => ({ name, section: 1, value: 0x700 })),
    strings,
  );
  const dynamic = dynamicBytes([
    [TAG.symbols, 0x300],
    [TAG.strings, 0x500],
    [TAG.hash, 0x600],
  ]);
  const data = 2 * page - 0x100;
  const all: Segment[] = [
    { type: SEGMENT.load, flags: 5, offset: 0, address: 0, fileSize: 0x800, memorySize: 0x800, align: page },
    { type: SEGMENT.load, flags: 6, offset: data, address: data, fileSize: 0x80, memorySize: 0x300, align: page },
    { type: SEGMENT.dynamic, flags: 4, offset: 0x200, address: 0x200, fileSize: 0x60, memorySize: 0x60, align: 8 },
  ];
  return fakeFile({
    name: "libc.so",
    type: FILE_TYPE.shared,
    machine: machine.number,
    entry: 0x710,
    segments: segments?.(all) ?? all,
    size: data + 0x80,
    blocks: [
      [0x200, dynamic],
      [0x300, table],
      [0x500, strings.bytes],
      [0x600, hashBytes(names.length + 1)],
      [0x700, Buffer.from("musl's text")],
      [data, Buffer.from("musl's data")],
    ],
  });
}

const CONFIG_BYTES = 13 * 8;

export function fakeShim(machine: Machine, { configSize = CONFIG_BYTES, variables = 0x1f0000 } = {}): ElfFile {
  const base = machine.shimBase;
  const strings = new Strings();
  const table = symbolTable(
    [
      { name: "config", section: 1, value: base, size: configSize },
      { name: "__cxa_guard_acquire", section: 1, value: base + 0x90 },
      { name: "__once_proxy", section: 1, value: base + 0xa0 },
      { name: "memcpy", section: 1, value: base + 0xa8 },
      { name: "isSame", binding: BINDING.local, section: 1, value: base + 0xb0 },
    ],
    strings,
  );
  const text = Buffer.alloc(0x100);
  text.writeBigUInt64LE(0x31306d6968736d69n, 0);
  const at = machine.page;
  const load = { type: SEGMENT.load, align: machine.page };
  return fakeFile({
    name: "shim.elf",
    type: FILE_TYPE.fixed,
    machine: machine.number,
    entry: base + 0x80,
    segments: [
      { ...load, flags: 5, offset: at, address: base, fileSize: text.length, memorySize: text.length },
      { ...load, flags: 6, offset: 0, address: variables, fileSize: 0, memorySize: 8 },
    ],
    size: at + 0x400,
    blocks: [
      [at, text],
      [at + 0x100, table],
      [at + 0x200, strings.bytes],
    ],
    sections: [
      { name: ".symtab", type: SECTION.symbols, offset: at + 0x100, size: table.length, link: 2 },
      { name: ".strtab", type: 3, offset: at + 0x200, size: strings.bytes.length },
    ],
  });
}
