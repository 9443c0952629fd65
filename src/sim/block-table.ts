/**
 * A small whole number for each of many block hashes: open addressing with linear probing over typed arrays, at most half
 * full, entries moved back where one is taken out. Several times as fast as a Map with such keys, and a quarter of its
 * memory; a simulated mesh has one for each of its caches.
 */

/** Says of a hash that it isn't there; also what marks an empty place, since hashes are not negative. */
export const NONE = -1;
const CAPACITY_MIN = 16;
const CAPACITY_SMALL = 2048;

export class BlockTable {
  #hashes = new Float64Array(CAPACITY_MIN).fill(NONE);
  #values = new Int32Array(CAPACITY_MIN);
  #mask = CAPACITY_MIN - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** NONE where there is none. */
  get(hash: number): number {
    const hashes = this.#hashes;
    const mask = this.#mask;
    for (let at = home(hash) & mask; ; at = (at + 1) & mask) {
      const found = hashes[at]!;
      if (found === hash) return this.#values[at]!;
      if (found === NONE) return NONE;
    }
  }

  set(hash: number, value: number): void {
    const at = this.#placeOf(hash);
    if (this.#hashes[at] === hash) this.#values[at] = value;
    else this.#fill(at, hash, value);
  }

  /** False when it is there already, and stays as it is. */
  add(hash: number, value: number): boolean {
    const at = this.#placeOf(hash);
    if (this.#hashes[at] === hash) return false;
    this.#fill(at, hash, value);
    return true;
  }

  delete(hash: number): void {
    const hashes = this.#hashes;
    const mask = this.#mask;
    let hole = this.#placeOf(hash);
    if (hashes[hole] !== hash) return;
    this.#size -= 1;
    for (let at = (hole + 1) & mask; hashes[at] !== NONE; at = (at + 1) & mask) {
      // It may move back unless its home lies between the hole and it.
      if (((at - home(hashes[at]!)) & mask) < ((at - hole) & mask)) continue;
      hashes[hole] = hashes[at]!;
      this.#values[hole] = this.#values[at]!;
      hole = at;
    }
    hashes[hole] = NONE;
  }

  /** Every hash, in no promised order. */
  *hashes(): Generator<number> {
    for (const hash of this.#hashes) if (hash !== NONE) yield hash;
  }

  /** Where it is, or where it would be put. */
  #placeOf(hash: number): number {
    const hashes = this.#hashes;
    const mask = this.#mask;
    let at = home(hash) & mask;
    while (hashes[at] !== hash && hashes[at] !== NONE) at = (at + 1) & mask;
    return at;
  }

  #fill(at: number, hash: number, value: number): void {
    this.#hashes[at] = hash;
    this.#values[at] = value;
    this.#size += 1;
    if (this.#size * 2 > this.#mask) this.#grow();
  }

  #grow(): void {
    const hashes = this.#hashes;
    const values = this.#values;
    // While it is small it grows fast: most that grow go on to.
    const capacity = hashes.length * (hashes.length < CAPACITY_SMALL ? 4 : 2);
    this.#hashes = new Float64Array(capacity).fill(NONE);
    this.#values = new Int32Array(capacity);
    this.#mask = capacity - 1;
    for (let from = 0; from < hashes.length; from += 1) {
      const hash = hashes[from]!;
      if (hash === NONE) continue;
      const at = this.#placeOf(hash);
      this.#hashes[at] = hash;
      this.#values[at] = values[from]!;
    }
  }
}

/** Neighbours that count up, as traces name their blocks, come to lie far apart: runs of them would clog the probing. */
function home(hash: number): number {
  const mixed = Math.imul(hash | 0, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}
