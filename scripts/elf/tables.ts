/** What hangs from an ELF file's dynamic section: needed libraries, symbols, relocations; and the symbols for linkers. */

import { SECTION, SEGMENT, SIZE, TAG } from "./constants.ts";
import { type ElfFile, hex } from "./file.ts";

export interface DynamicEntry {
  readonly tag: number;
  readonly value: number;
}

export interface ElfSymbol {
  readonly index: number;
  readonly name: string;
  /** One of BINDING. */
  readonly binding: number;
  /** Number of the section that defines it; 0 where none does. */
  readonly section: number;
  readonly value: number;
  readonly size: number;
}

export interface Relocation {
  /** Where in the file it is written. */
  readonly at: number;
  /** The address that it changes. */
  readonly address: number;
  readonly type: number;
  /** Index of its symbol; 0 for none. */
  readonly symbol: number;
  readonly addend: number;
}

const DYNAMIC_ENTRIES_MAX = 4096;
const SYMBOLS_MAX = 1_000_000;
const RELOCATIONS_MAX = 4_000_000;

function dynamicAt(file: ElfFile): number {
  const segment = file.segments().find(({ type }) => type === SEGMENT.dynamic);
  if (segment === undefined) throw file.fault("no dynamic section");
  return segment.offset;
}

/** The entries, without the one that ends them. */
export function dynamicEntries(file: ElfFile): DynamicEntry[] {
  const start = dynamicAt(file);
  const entries: DynamicEntry[] = [];
  for (let at = start; entries.length < DYNAMIC_ENTRIES_MAX; at += SIZE.dynamic) {
    const tag = file.u64(at);
    if (tag === TAG.end) return entries;
    entries.push({ tag, value: file.u64(at + 8) });
  }
  throw file.fault(`the dynamic section has no end within ${DYNAMIC_ENTRIES_MAX} entries`);
}

/** Writes fewer entries than there were; the rest becomes ends. */
export function setDynamicEntries(file: ElfFile, entries: readonly DynamicEntry[]): void {
  const start = dynamicAt(file);
  const before = dynamicEntries(file).length;
  if (entries.length > before) throw file.fault(`${entries.length} dynamic entries, and room for ${before}`);
  for (let index = 0; index < before; index += 1) {
    file.setU64(start + index * SIZE.dynamic, entries[index]?.tag ?? TAG.end);
    file.setU64(start + index * SIZE.dynamic + 8, entries[index]?.value ?? 0);
  }
}

/** The value of a tag that has to be there; `name` is what a person calls it. */
export function dynamicValue(file: ElfFile, tag: number, name: string): number {
  const entry = dynamicEntries(file).find((one) => one.tag === tag);
  if (entry === undefined) throw file.fault(`the dynamic section has no ${name}`);
  return entry.value;
}

/** Names of the libraries that have to be loaded first. */
export function neededLibraries(file: ElfFile): string[] {
  const entries = dynamicEntries(file).filter(({ tag }) => tag === TAG.needed);
  if (entries.length === 0) return [];
  const strings = file.offsetOf(dynamicValue(file, TAG.strings, "DT_STRTAB"));
  return entries.map(({ value }) => file.text(strings + value));
}

function readSymbols(file: ElfFile, at: number, names: number, count: number): ElfSymbol[] {
  if (count > SYMBOLS_MAX) throw file.fault(`${count} symbols, at most ${SYMBOLS_MAX}`);
  // Looked at before an array of that length is made.
  file.slice(at, count * SIZE.symbol);
  return Array.from({ length: count }, (_, index) => {
    const start = at + index * SIZE.symbol;
    return {
      index,
      name: file.text(names + file.u32(start)),
      binding: (file.bytes[start + 4] ?? 0) >> 4,
      section: file.u16(start + 6),
      value: file.u64(start + 8),
      size: file.u64(start + 16),
    };
  });
}

/** The symbols that are looked up when the file is loaded; DT_HASH tells how many there are. */
export function dynamicSymbols(file: ElfFile): ElfSymbol[] {
  const symbols = file.offsetOf(dynamicValue(file, TAG.symbols, "DT_SYMTAB"));
  const names = file.offsetOf(dynamicValue(file, TAG.strings, "DT_STRTAB"));
  const count = file.u32(file.offsetOf(dynamicValue(file, TAG.hash, "DT_HASH")) + 4);
  return readSymbols(file, symbols, names, count);
}

/** The symbols that a linker left for debuggers and tools. */
export function linkerSymbols(file: ElfFile): ElfSymbol[] {
  const sections = file.sections();
  const table = sections.find(({ type }) => type === SECTION.symbols);
  const names = table === undefined ? undefined : sections[table.link];
  if (table === undefined || names === undefined) throw file.fault("no symbol table: was it stripped?");
  return readSymbols(file, table.offset, names.offset, Math.floor(table.size / SIZE.symbol));
}

/** Marks a symbol's version as hidden, so that libraries loaded later find their own and not this one. */
export function hideSymbol(file: ElfFile, symbol: ElfSymbol): void {
  const at = file.offsetOf(dynamicValue(file, TAG.symbolVersions, "DT_VERSYM")) + symbol.index * 2;
  file.setU16(at, file.u16(at) | 0x8000);
}

/** All relocations: those done at the start, then those of the PLT. */
export function relocations(file: ElfFile): Relocation[] {
  const tables = [
    [TAG.relocations, "DT_RELA", TAG.relocationsSize, "DT_RELASZ"],
    [TAG.pltRelocations, "DT_JMPREL", TAG.pltRelocationsSize, "DT_PLTRELSZ"],
  ] as const;
  return tables.flatMap(([tag, name, sizeTag, sizeName]) => {
    const start = file.offsetOf(dynamicValue(file, tag, name));
    const size = dynamicValue(file, sizeTag, sizeName);
    if (size % SIZE.relocation !== 0 || size / SIZE.relocation > RELOCATIONS_MAX) {
      throw file.fault(`${name} has ${hex(size)} bytes`);
    }
    file.slice(start, size);
    return Array.from({ length: size / SIZE.relocation }, (_, index) => {
      const at = start + index * SIZE.relocation;
      return {
        at,
        address: file.u64(at),
        type: file.u32(at + 8),
        symbol: file.u32(at + 12),
        addend: file.i64(at + 16),
      };
    });
  });
}

export function setRelocation(file: ElfFile, { at, type, symbol, addend }: Omit<Relocation, "address">): void {
  file.setU32(at + 8, type);
  file.setU32(at + 12, symbol);
  file.setI64(at + 16, addend);
}
