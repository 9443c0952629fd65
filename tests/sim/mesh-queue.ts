/**
 * The simulated world's calendar: what happens when, in one order for one seed. A binary heap over flat arrays, since
 * everything that happens in a mesh goes through it.
 */

export interface Happening {
  readonly kind: number;
  /** Whom it happens to. */
  readonly node: number;
  /** Other figures, by kind. */
  readonly other: number;
  readonly bytes: Uint8Array | undefined;
}

export class Calendar {
  #keys = new Float64Array(1024);
  /** Ties go by order of entry. */
  #orders = new Float64Array(1024);
  readonly #items: (Happening | undefined)[] = [];
  #size = 0;
  #entered = 0;

  get nextAtMs(): number {
    return this.#size === 0 ? Infinity : this.#keys[0]!;
  }

  add(atMs: number, item: Happening): void {
    if (this.#size === this.#keys.length) this.#widen();
    let index = this.#size++;
    const order = this.#entered++;
    const keys = this.#keys;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (keys[above]! <= atMs) break;
      this.#move(above, index);
      index = above;
    }
    this.#put(index, atMs, order, item);
  }

  pop(): Happening {
    const first = this.#items[0]!;
    const size = (this.#size -= 1);
    const keys = this.#keys;
    const orders = this.#orders;
    const key = keys[size]!;
    const order = orders[size]!;
    const item = this.#items[size]!;
    this.#items[size] = undefined;
    let index = 0;
    for (;;) {
      let below = index * 2 + 1;
      if (below >= size) break;
      if (below + 1 < size && this.#precedes(below + 1, below)) below += 1;
      if (key < keys[below]! || (key === keys[below] && order < orders[below]!)) break;
      this.#move(below, index);
      index = below;
    }
    if (size > 0) this.#put(index, key, order, item);
    return first;
  }

  #precedes(a: number, b: number): boolean {
    const keys = this.#keys;
    return keys[a]! < keys[b]! || (keys[a] === keys[b] && this.#orders[a]! < this.#orders[b]!);
  }

  #put(index: number, key: number, order: number, item: Happening): void {
    this.#keys[index] = key;
    this.#orders[index] = order;
    this.#items[index] = item;
  }

  #move(from: number, to: number): void {
    this.#keys[to] = this.#keys[from]!;
    this.#orders[to] = this.#orders[from]!;
    this.#items[to] = this.#items[from];
  }

  #widen(): void {
    const keys = new Float64Array(this.#keys.length * 2);
    keys.set(this.#keys);
    this.#keys = keys;
    const orders = new Float64Array(keys.length);
    orders.set(this.#orders);
    this.#orders = orders;
  }
}
