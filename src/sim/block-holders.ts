/**
 * Which targets hold a block, by its hash. Most blocks are held by one target, whose number is all that is kept; of others
 * there is a row of bits, one for each target, so that who holds all of many blocks is found by words.
 */
import { BlockTable, NONE } from "./block-table.ts";

const ROWS_MIN = 16;

export class BlockHolders {
  /** Of a row of bits, 32 targets each. */
  readonly words: number;
  readonly #targets: number;
  /** The one target; or, from the number of targets on, a row. */
  readonly #holders = new BlockTable();
  #bits: Int32Array;
  #counts = new Int32Array(ROWS_MIN);
  #rows = 0;
  readonly #spare: number[] = [];

  constructor(targets: number) {
    this.#targets = targets;
    this.words = Math.ceil(targets / 32);
    this.#bits = new Int32Array(ROWS_MIN * this.words);
  }

  /** One that doesn't hold it yet does. */
  add(hash: number, target: number): void {
    if (this.#holders.add(hash, target)) return;
    const held = this.#holders.get(hash);
    let row = held - this.#targets;
    if (row < 0) {
      row = this.#newRow();
      this.#holders.set(hash, this.#targets + row);
      this.#bits[row * this.words + (held >> 5)]! |= 1 << (held & 31);
      this.#counts[row] = 1;
    }
    this.#bits[row * this.words + (target >> 5)]! |= 1 << (target & 31);
    this.#counts[row]! += 1;
  }

  /** One that holds it doesn't any more. */
  remove(hash: number, target: number): void {
    const row = this.#holders.get(hash) - this.#targets;
    if (row < 0) {
      this.#holders.delete(hash);
      return;
    }
    this.#bits[row * this.words + (target >> 5)]! &= ~(1 << (target & 31));
    this.#counts[row]! -= 1;
    if (this.#counts[row]! > 0) return;
    this.#holders.delete(hash);
    this.#spare.push(row);
  }

  /** Sets the bits of those that hold it. */
  mark(hash: number, bits: Int32Array): void {
    const held = this.#holders.get(hash);
    if (held === NONE) return;
    if (held < this.#targets) {
      bits[held >> 5]! |= 1 << (held & 31);
      return;
    }
    const from = (held - this.#targets) * this.words;
    for (let word = 0; word < this.words; word += 1) bits[word]! |= this.#bits[from + word]!;
  }

  /** All its bits are 0. */
  #newRow(): number {
    const spare = this.#spare.pop();
    if (spare !== undefined) return spare;
    const row = this.#rows;
    this.#rows += 1;
    if (row === this.#counts.length) {
      const counts = new Int32Array(row * 2);
      counts.set(this.#counts);
      this.#counts = counts;
      const bits = new Int32Array(row * 2 * this.words);
      bits.set(this.#bits);
      this.#bits = bits;
    }
    return row;
  }
}
