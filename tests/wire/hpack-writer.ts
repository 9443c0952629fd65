/** An encoder with every freedom that RFC 7541 gives one, for tests of the decoder: tables, Huffman code, size updates. */
import { HUFFMAN_CODES, STATIC_ENTRIES } from "../../src/wire/hpack-tables.ts";

export type Pair = readonly [name: string, value: string];

/** How a field is written. */
export interface Spelling {
  /** Into the table, not into it, or never to be. */
  readonly literal: "indexed" | "plain" | "never";
  readonly huffman: boolean;
  /** Use an index where there is one. */
  readonly useTables: boolean;
}

export const PLAIN: Spelling = { literal: "plain", huffman: false, useTables: true };

export function prefixed(value: number, bits: number, first: number): number[] {
  const max = 2 ** bits - 1;
  if (value < max) return [first | value];
  const out = [first | max];
  let rest = value - max;
  while (rest > 127) {
    out.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...out, rest];
}

export function huffman(bytes: Uint8Array): number[] {
  let bits = "";
  for (const byte of bytes) {
    const { code, bits: width } = HUFFMAN_CODES[byte]!;
    bits += code.toString(2).padStart(width, "0");
  }
  bits += "1".repeat((8 - (bits.length % 8)) % 8);
  return (bits.match(/.{8}/g) ?? []).map((eight) => Number.parseInt(eight, 2));
}

export function stringOf(text: string, coded: boolean): number[] {
  const bytes = Buffer.from(text, "latin1");
  const written = coded ? huffman(bytes) : [...bytes];
  return [...prefixed(written.length, 7, coded ? 0x80 : 0), ...written];
}

export class HpackWriter {
  readonly #table: Pair[] = [];
  #max = 4096;

  resize(max: number): number[] {
    this.#max = max;
    this.#evict();
    return prefixed(max, 5, 0x20);
  }

  get tableBytes(): number {
    return this.#table.reduce((sum, pair) => sum + sizeOf(pair), 0);
  }

  field([name, value]: Pair, { literal, huffman: coded, useTables }: Spelling = PLAIN): number[] {
    const all = [...STATIC_ENTRIES, ...this.#table];
    const whole = useTables ? all.findIndex(([n, v]) => n === name && v === value) + 1 : 0;
    if (whole > 0 && literal !== "never") return prefixed(whole, 7, 0x80);
    const named = useTables ? all.findIndex(([n]) => n === name) + 1 : 0;
    const [bits, first] = literal === "indexed" ? [6, 0x40] : literal === "never" ? [4, 0x10] : [4, 0];
    const out = [
      ...prefixed(named, bits, first),
      ...(named > 0 ? [] : stringOf(name, coded)),
      ...stringOf(value, coded),
    ];
    if (literal === "indexed") {
      this.#table.unshift([name, value]);
      this.#evict();
    }
    return out;
  }

  block(fields: readonly Pair[], spelling: Spelling = PLAIN): Uint8Array {
    return Uint8Array.from(fields.flatMap((field) => this.field(field, spelling)));
  }

  #evict(): void {
    while (this.tableBytes > this.#max) this.#table.pop();
  }
}

function sizeOf([name, value]: Pair): number {
  return name.length + value.length + 32;
}
