/**
 * A binary min-heap of items that know their place in it, so that any of them can be taken out in O(log n) – a timer
 * that is called off, a sequence that is cancelled. Items with equal keys come out in no promised order, but in the
 * same one for the same calls.
 */

import { assert } from "./assert.ts";

export interface HeapItem {
  /** Where the item stands; -1 while it is in no heap. Written by the heap. */
  heapIndex: number;
  /** What the heap is ordered by; not to be changed while the item is in it. */
  heapKey: number;
}

export class Heap<T extends HeapItem> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The item with the smallest key, left in its place. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    assert(item.heapIndex === -1, "the item is in a heap already");
    this.#items.push(item);
    this.#rise(item, this.#items.length - 1);
  }

  pop(): T | undefined {
    const first = this.#items[0];
    if (first !== undefined) this.remove(first);
    return first;
  }

  /** Takes the item out; false when it is in no heap. */
  remove(item: T): boolean {
    const index = item.heapIndex;
    if (index === -1) return false;
    assert(this.#items[index] === item, "the item is in another heap");
    const last = this.#items.pop() as T;
    item.heapIndex = -1;
    if (last === item) return true;
    if (last.heapKey < item.heapKey) this.#rise(last, index);
    else this.#sink(last, index);
    return true;
  }

  #rise(item: T, from: number): void {
    const items = this.#items;
    let index = from;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = items[above] as T;
      if (parent.heapKey <= item.heapKey) break;
      items[index] = parent;
      parent.heapIndex = index;
      index = above;
    }
    items[index] = item;
    item.heapIndex = index;
  }

  #sink(item: T, from: number): void {
    const items = this.#items;
    let index = from;
    for (;;) {
      let below = index * 2 + 1;
      if (below >= items.length) break;
      if (below + 1 < items.length && (items[below + 1] as T).heapKey < (items[below] as T).heapKey) below += 1;
      const child = items[below] as T;
      if (child.heapKey >= item.heapKey) break;
      items[index] = child;
      child.heapIndex = index;
      index = below;
    }
    items[index] = item;
    item.heapIndex = index;
  }
}
