/**
 * What is to happen in a simulated mesh, in order of time: a binary heap over typed arrays. An entry is a moment, a kind
 * and whom it concerns; places of entries are used again, so that nothing is allocated for one. Of equal moments the order
 * is `base/heap.ts`'s: none that is promised, but the same for the same calls.
 */
import { assert } from "../base/assert.ts";

const CAPACITY_MIN = 256;
/** The number of no entry. */
export const NO_ENTRY = -1;

export class EventQueue<T> {
  // By place in the heap.
  #atMs = new Float64Array(CAPACITY_MIN);
  #entries = new Int32Array(CAPACITY_MIN);
  #size = 0;
  // By entry.
  #places = new Int32Array(CAPACITY_MIN).fill(NO_ENTRY);
  #kinds = new Uint8Array(CAPACITY_MIN);
  readonly #whom: (T | undefined)[] = [];
  readonly #spare: number[] = [];
  /** Of the entry that was taken last. */
  kind = 0;
  whom: T | undefined = undefined;

  /** Infinity: there is nothing. */
  get nextMs(): number {
    return this.#size === 0 ? Infinity : this.#atMs[0]!;
  }

  /** Answers the entry's number, which is its until it was taken or removed. */
  push(atMs: number, kind: number, whom: T): number {
    const entry = this.#spare.pop() ?? this.#whom.length;
    if (entry === this.#places.length) this.#grow();
    this.#kinds[entry] = kind;
    this.#whom[entry] = whom;
    this.#size += 1;
    this.#rise(entry, atMs, this.#size - 1);
    return entry;
  }

  /** Takes the first entry out, and shows what it is. */
  take(): void {
    assert(this.#size > 0, "there must be something to take");
    const entry = this.#entries[0]!;
    this.kind = this.#kinds[entry]!;
    this.whom = this.#whom[entry];
    this.remove(entry);
  }

  remove(entry: number): void {
    const place = this.#places[entry]!;
    assert(place >= 0, "the entry is not in the queue");
    this.#places[entry] = NO_ENTRY;
    this.#whom[entry] = undefined;
    this.#spare.push(entry);
    this.#size -= 1;
    const end = this.#size;
    if (place === end) return;
    const last = this.#entries[end]!;
    const lastMs = this.#atMs[end]!;
    if (lastMs < this.#atMs[place]!) this.#rise(last, lastMs, place);
    else this.#sink(last, lastMs, place);
  }

  #rise(entry: number, atMs: number, from: number): void {
    const moments = this.#atMs;
    const entries = this.#entries;
    const places = this.#places;
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const aboveMs = moments[above]!;
      if (aboveMs <= atMs) break;
      const parent = entries[above]!;
      moments[place] = aboveMs;
      entries[place] = parent;
      places[parent] = place;
      place = above;
    }
    moments[place] = atMs;
    entries[place] = entry;
    places[entry] = place;
  }

  #sink(entry: number, atMs: number, from: number): void {
    const moments = this.#atMs;
    const entries = this.#entries;
    const places = this.#places;
    const size = this.#size;
    let place = from;
    for (;;) {
      let below = place * 2 + 1;
      if (below >= size) break;
      if (below + 1 < size && moments[below + 1]! < moments[below]!) below += 1;
      const belowMs = moments[below]!;
      if (belowMs >= atMs) break;
      const child = entries[below]!;
      moments[place] = belowMs;
      entries[place] = child;
      places[child] = place;
      place = below;
    }
    moments[place] = atMs;
    entries[place] = entry;
    places[entry] = place;
  }

  #grow(): void {
    const capacity = this.#places.length * 2;
    const atMs = new Float64Array(capacity);
    atMs.set(this.#atMs);
    this.#atMs = atMs;
    const entries = new Int32Array(capacity);
    entries.set(this.#entries);
    this.#entries = entries;
    const places = new Int32Array(capacity).fill(NO_ENTRY);
    places.set(this.#places);
    this.#places = places;
    const kinds = new Uint8Array(capacity);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
  }
}
