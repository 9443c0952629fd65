/**
 * The metric families that somebody wants, found by the bytes of a sample's name: the family's own, or with one of the
 * suffixes that its parts have. A name that is itself a wanted family is that one, not a part of another.
 */
import { FNV_BASIS, FNV_PRIME } from "./octets.ts";

/** Of histograms, summaries, counters and infos; those that OpenMetrics adds are among them. */
export const SUFFIXES = ["", "_bucket", "_sum", "_count", "_total", "_created", "_info", "_gcount", "_gsum"] as const;
export type Suffix = (typeof SUFFIXES)[number];

const encoder = new TextEncoder();

interface Entry {
  readonly bytes: Uint8Array;
  readonly family: number;
  readonly suffix: Suffix;
}

export class FamilyIndex {
  readonly #entries: Entry[] = [];
  /** Open addressing: places of entries, -1 where none is. A power of two, at least half of it free. */
  readonly #slots: Int32Array;

  constructor(families: readonly string[]) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(8, families.length * SUFFIXES.length * 2)));
    this.#slots = new Int32Array(size).fill(-1);
    for (const suffix of SUFFIXES) {
      for (const [family, name] of families.entries()) this.#add(encoder.encode(name + suffix), family, suffix);
    }
  }

  /** The entry of a name by its bytes and their hash; -1 for one that nobody wants. */
  find(source: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const length = end - start;
    for (let at = hash & mask; slots[at]! >= 0; at = (at + 1) & mask) {
      const { bytes } = this.#entries[slots[at]!]!;
      if (bytes.length !== length) continue;
      let i = 0;
      while (i < length && bytes[i] === source[start + i]) i++;
      if (i === length) return slots[at]!;
    }
    return -1;
  }

  /** Of a name that was written with escapes. */
  findText(name: string): number {
    const bytes = encoder.encode(name);
    return this.find(bytes, 0, bytes.length, hashOf(bytes, 0, bytes.length));
  }

  /** The place of its family among those that were named. */
  familyOf(entry: number): number {
    return this.#entries[entry]!.family;
  }

  suffixOf(entry: number): Suffix {
    return this.#entries[entry]!.suffix;
  }

  #add(bytes: Uint8Array, family: number, suffix: Suffix): void {
    const hash = hashOf(bytes, 0, bytes.length);
    if (this.find(bytes, 0, bytes.length, hash) >= 0) return;
    const mask = this.#slots.length - 1;
    let at = hash & mask;
    while (this.#slots[at]! >= 0) at = (at + 1) & mask;
    this.#slots[at] = this.#entries.length;
    this.#entries.push({ bytes, family, suffix });
  }
}

export function hashOf(source: Uint8Array, start: number, end: number): number {
  let hash = FNV_BASIS;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ source[i]!, FNV_PRIME);
  return hash;
}
