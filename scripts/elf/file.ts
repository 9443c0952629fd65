/**
 * An ELF file of 64 bits in little-endian order, read where it lies and written in place: header, segments, sections.
 * Tables that hang from the dynamic section are in tables.ts.
 *
 * Nothing read from the file is trusted: what lies outside of it, or is larger than a double holds exactly, ends in an
 * ElfFault that names the file.
 */

import { SEGMENT, SIZE } from "./constants.ts";

/** A file that is not what it should be, in words for whoever builds. */
export class ElfFault extends Error {
  override readonly name = "ElfFault";
}

/** A program header: which bytes of the file lie where in memory. */
export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly align: number;
}

export interface Section {
  readonly name: string;
  readonly type: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
  /** Number of the section that belongs to this one: for symbols, their names. */
  readonly link: number;
}

/** Where the header's own fields lie. */
const AT = {
  type: 16,
  machine: 18,
  entry: 24,
  segments: 32,
  sections: 40,
  segmentSize: 54,
  segmentCount: 56,
  sectionSize: 58,
  sectionCount: 60,
  sectionNames: 62,
} as const;

const MAGIC = 0x464c457f;
const SEGMENTS_MAX = 64;
const SECTIONS_MAX = 4096;
const STRING_BYTES_MAX = 4096;

export const hex = (value: number): string => `0x${value.toString(16)}`;

export class ElfFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** `name` is what faults call the file. */
  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < SIZE.header || this.u32(0) !== MAGIC || bytes[4] !== 2 || bytes[5] !== 1) {
      throw this.fault("not an ELF file of 64 bits in little-endian order");
    }
    const { segmentCount, sectionCount } = this;
    const sizes: readonly (readonly [string, number, number, number])[] = [
      ["program header", segmentCount, this.u16(AT.segmentSize), SIZE.segment],
      ["section header", sectionCount, this.u16(AT.sectionSize), SIZE.section],
    ];
    for (const [what, count, size, wanted] of sizes) {
      if (count > 0 && size !== wanted) throw this.fault(`a ${what} has ${size} bytes, not ${wanted}`);
    }
    if (segmentCount > SEGMENTS_MAX) throw this.fault(`${segmentCount} program headers, at most ${SEGMENTS_MAX}`);
    if (sectionCount > SECTIONS_MAX) throw this.fault(`${sectionCount} sections, at most ${SECTIONS_MAX}`);
  }

  fault(what: string): ElfFault {
    return new ElfFault(`${this.name}: ${what}`);
  }

  // ---- numbers ----

  #check(at: number, size: number): void {
    if (!Number.isSafeInteger(at) || at < 0 || at + size > this.bytes.length) {
      throw this.fault(`${size} bytes at ${hex(at)} lie outside of the file, which has ${hex(this.bytes.length)}`);
    }
  }

  u16(at: number): number {
    this.#check(at, 2);
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    this.#check(at, 4);
    return this.#view.getUint32(at, true);
  }

  u64(at: number): number {
    this.#check(at, 8);
    const value = this.#view.getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.fault(`the number at ${hex(at)} is too large: ${value}`);
    return Number(value);
  }

  /** Signed, as addends are. */
  i64(at: number): number {
    this.#check(at, 8);
    const value = Number(this.#view.getBigInt64(at, true));
    if (!Number.isSafeInteger(value)) throw this.fault(`the number at ${hex(at)} is too large: ${value}`);
    return value;
  }

  setU16(at: number, value: number): void {
    this.#check(at, 2);
    this.#view.setUint16(at, value, true);
  }

  setU32(at: number, value: number): void {
    this.#check(at, 4);
    this.#view.setUint32(at, value, true);
  }

  setU64(at: number, value: number): void {
    this.#check(at, 8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  setI64(at: number, value: number): void {
    this.#check(at, 8);
    this.#view.setBigInt64(at, BigInt(value), true);
  }

  slice(at: number, size: number): Uint8Array {
    this.#check(at, size);
    return this.bytes.subarray(at, at + size);
  }

  /** The bytes up to the next zero. */
  text(at: number): string {
    this.#check(at, 1);
    const end = this.bytes.subarray(at, at + STRING_BYTES_MAX).indexOf(0);
    if (end < 0) throw this.fault(`the name at ${hex(at)} has no end within ${STRING_BYTES_MAX} bytes`);
    return Buffer.from(this.bytes.subarray(at, at + end)).toString("latin1");
  }

  // ---- the header ----

  get type(): number {
    return this.u16(AT.type);
  }

  get machine(): number {
    return this.u16(AT.machine);
  }

  get entry(): number {
    return this.u64(AT.entry);
  }

  set entry(address: number) {
    this.setU64(AT.entry, address);
  }

  get segmentsAt(): number {
    return this.u64(AT.segments);
  }

  get segmentCount(): number {
    return this.u16(AT.segmentCount);
  }

  get sectionsAt(): number {
    return this.u64(AT.sections);
  }

  set sectionsAt(offset: number) {
    this.setU64(AT.sections, offset);
  }

  get sectionCount(): number {
    return this.u16(AT.sectionCount);
  }

  // ---- segments and sections ----

  segments(): Segment[] {
    return Array.from({ length: this.segmentCount }, (_, index) => {
      const at = this.segmentsAt + index * SIZE.segment;
      return {
        type: this.u32(at),
        flags: this.u32(at + 4),
        offset: this.u64(at + 8),
        address: this.u64(at + 16),
        fileSize: this.u64(at + 32),
        memorySize: this.u64(at + 40),
        align: this.u64(at + 48),
      };
    });
  }

  /** Puts these in the place of the file's own; what is left of the table is cleared, so that its size stays. */
  setSegments(segments: readonly Segment[]): void {
    const room = this.segmentCount;
    if (segments.length > room) throw this.fault(`${segments.length} program headers, and room for ${room}`);
    this.slice(this.segmentsAt, room * SIZE.segment).fill(0);
    for (const [index, segment] of segments.entries()) {
      const at = this.segmentsAt + index * SIZE.segment;
      this.setU32(at, segment.type);
      this.setU32(at + 4, segment.flags);
      this.setU64(at + 8, segment.offset);
      this.setU64(at + 16, segment.address);
      // Where it lies physically, which nobody asks for.
      this.setU64(at + 24, segment.address);
      this.setU64(at + 32, segment.fileSize);
      this.setU64(at + 40, segment.memorySize);
      this.setU64(at + 48, segment.align);
    }
  }

  /** Where in the file the bytes of an address are. */
  offsetOf(address: number): number {
    const holds = ({ type, address: start, fileSize }: Segment): boolean =>
      type === SEGMENT.load && address >= start && address < start + fileSize;
    const segment = this.segments().find(holds);
    if (segment === undefined) throw this.fault(`the address ${hex(address)} has no bytes in the file`);
    return address - segment.address + segment.offset;
  }

  sections(): Section[] {
    const count = this.sectionCount;
    if (count === 0) return [];
    const headerAt = (index: number): number => this.sectionsAt + index * SIZE.section;
    const nameIndex = this.u16(AT.sectionNames);
    if (nameIndex >= count) throw this.fault(`the names of sections are in section ${nameIndex} of ${count}`);
    const names = this.u64(headerAt(nameIndex) + 24);
    return Array.from({ length: count }, (_, index) => {
      const at = headerAt(index);
      return {
        name: this.text(names + this.u32(at)),
        type: this.u32(at + 4),
        address: this.u64(at + 16),
        offset: this.u64(at + 24),
        size: this.u64(at + 32),
        link: this.u32(at + 40),
      };
    });
  }

  setSectionOffset(index: number, offset: number): void {
    this.setU64(this.sectionsAt + index * SIZE.section + 24, offset);
  }
}
