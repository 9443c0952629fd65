/**
 * Which targets hold a block, by its hash. Most blocks are held by one target, whose number is all that is kept; of others
 * there is a row of bits, one for each target, so that who holds all of many blocks is found by words. Where a target may
 * hold a block for several reasons, they are counted.
 */
import { BlockTable, NONE } from "./block-table.ts";

const ROWS_MIN = 16;
/** The row of a block that nobody holds; that of the block with one holder that was asked for last. */
const NOBODY = 0;
const ONE = 1;

export class BlockHolders {
  /** Of a row of bits, 32 targets each. */
  readonly words: number;
  /** Rows of as many words; another array when it has grown. */
  bits: Int32Array;
  readonly #targets: number;
  /** The one target; or, from the number of targets on, a row. */
  readonly #holders = new BlockTable();
  /** Of a row, how many hold it, for every reason. */
  #counts = new Int32Array(ROWS_MIN);
  /** Of a row, the reasons of each target; null where there is one. */
  #reasons: Int32Array | null;
  #rows = ONE + 1;
  readonly #spare: number[] = [];
  /** The word of the row of one that is not 0. */
  #oneWord = 0;

  constructor(targets: number, isCounted = false) {
    this.#targets = targets;
    this.words = Math.ceil(targets / 32);
    this.bits = new Int32Array(ROWS_MIN * this.words);
    this.#reasons = isCounted ? new Int32Array(ROWS_MIN * targets) : null;
  }

  /** One that doesn't hold it yet does; where they are counted, it has one more reason. */
  add(hash: number, target: number): void {
    if (this.#holders.add(hash, target)) return;
    const held = this.#holders.get(hash);
    let row = held - this.#targets;
    if (row < 0) {
      row = this.#newRow();
      this.#holders.set(hash, this.#targets + row);
      this.#put(row, held);
    }
    this.#put(row, target);
  }

  /** One that holds it doesn't any more, or has one reason less. */
  remove(hash: number, target: number): void {
    const row = this.#holders.get(hash) - this.#targets;
    if (row < 0) {
      this.#holders.delete(hash);
      return;
    }
    this.#counts[row]! -= 1;
    if (this.#reasons !== null) {
      const at = row * this.#targets + target;
      this.#reasons[at]! -= 1;
      if (this.#reasons[at]! > 0) return;
    }
    this.bits[row * this.words + (target >> 5)]! &= ~(1 << (target & 31));
    if (this.#counts[row]! > 0) return;
    this.#holders.delete(hash);
    this.#spare.push(row);
  }

  /** Where in `bits` the row of those that hold it begins. It holds until something else is asked for, or changed. */
  rowOf(hash: number): number {
    const held = this.#holders.get(hash);
    if (held >= this.#targets) return (held - this.#targets) * this.words;
    if (held === NONE) return NOBODY;
    const from = ONE * this.words;
    this.bits[from + this.#oneWord] = 0;
    this.#oneWord = held >> 5;
    this.bits[from + this.#oneWord] = 1 << (held & 31);
    return from;
  }

  #put(row: number, target: number): void {
    this.#counts[row]! += 1;
    if (this.#reasons !== null) this.#reasons[row * this.#targets + target]! += 1;
    this.bits[row * this.words + (target >> 5)]! |= 1 << (target & 31);
  }

  /** All its bits are 0. */
  #newRow(): number {
    const spare = this.#spare.pop();
    if (spare !== undefined) return spare;
    const row = this.#rows;
    this.#rows += 1;
    if (row === this.#counts.length) {
      this.#counts = larger(this.#counts);
      this.bits = larger(this.bits);
      if (this.#reasons !== null) this.#reasons = larger(this.#reasons);
    }
    return row;
  }
}

function larger(of: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(of.length * 2);
  grown.set(of);
  return grown;
}
