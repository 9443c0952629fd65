/**
 * A lexicon gives byte strings small numbers (handles), so that the tables of thousands of members are arrays of
 * numbers, and a name in a packet is recognised without making a string of it. Entries are counted: one that nobody
 * holds any more gives its handle back, and handles stay dense.
 *
 * Several members of one process (a simulated mesh) may share lexicons; each takes its own holds. Limits: as many
 * entries as its users hold. Lookup is by FNV-1a over open addressing with linear probing.
 */
import { assert } from "../base/assert.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Lexicon {
  /** Handle plus one; 0 is an empty slot. */
  #slots = new Int32Array(64);
  #hashes = new Int32Array(32);
  #holds = new Int32Array(32);
  readonly #bytes: Uint8Array[] = [];
  readonly #texts: (string | undefined)[] = [];
  readonly #byText = new Map<string, number>();
  readonly #free: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** One more than the largest handle ever given. */
  get handlesMax(): number {
    return this.#bytes.length;
  }

  /** The handle of what stands in buffer[start, end), or -1. */
  find(buffer: Uint8Array, start: number, end: number): number {
    const hash = hashBytes(buffer, start, end);
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const handle = this.#slots[slot]! - 1;
      if (handle < 0) return -1;
      if (this.#hashes[handle] === hash && this.#equals(handle, buffer, start, end)) return handle;
    }
  }

  findText(text: string): number {
    return this.#byText.get(text) ?? -1;
  }

  /** Finds it or takes it in, and holds it once more. */
  hold(buffer: Uint8Array, start: number, end: number): number {
    const known = this.find(buffer, start, end);
    if (known >= 0) {
      this.#holds[known]! += 1;
      return known;
    }
    const handle = this.#free.pop() ?? this.#bytes.length;
    if (handle >= this.#hashes.length) this.#widen();
    const bytes = buffer.slice(start, end);
    this.#bytes[handle] = bytes;
    this.#texts[handle] = undefined;
    this.#hashes[handle] = hashBytes(bytes, 0, bytes.length);
    this.#holds[handle] = 1;
    this.#size += 1;
    if (this.#size * 2 > this.#slots.length) this.#rehash(this.#slots.length * 2);
    this.#insert(handle);
    return handle;
  }

  holdText(text: string): number {
    const bytes = encoder.encode(text);
    const handle = this.hold(bytes, 0, bytes.length);
    this.text(handle);
    return handle;
  }

  release(handle: number): void {
    const holds = (this.#holds[handle]! -= 1);
    assert(holds >= 0, "a handle was released more often than held");
    if (holds > 0) return;
    this.#erase(handle);
    const text = this.#texts[handle];
    if (text !== undefined) this.#byText.delete(text);
    this.#texts[handle] = undefined;
    this.#bytes[handle] = NOTHING;
    this.#free.push(handle);
    this.#size -= 1;
  }

  bytes(handle: number): Uint8Array {
    return this.#bytes[handle]!;
  }

  /** The bytes as text; only names and addresses are asked for theirs. */
  text(handle: number): string {
    let text = this.#texts[handle];
    if (text === undefined) {
      text = decoder.decode(this.#bytes[handle]);
      this.#texts[handle] = text;
      this.#byText.set(text, handle);
    }
    return text;
  }

  hash(handle: number): number {
    return this.#hashes[handle]!;
  }

  #equals(handle: number, buffer: Uint8Array, start: number, end: number): boolean {
    const bytes = this.#bytes[handle]!;
    const length = bytes.length;
    if (length !== end - start) return false;
    for (let index = 0; index < length; index += 1) if (bytes[index] !== buffer[start + index]) return false;
    return true;
  }

  #insert(handle: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#hashes[handle]! & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = handle + 1;
  }

  /** Takes the entry out and moves up those behind it, so that no search ends too early. */
  #erase(handle: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#hashes[handle]! & mask;
    while (slots[hole] !== handle + 1) hole = (hole + 1) & mask;
    for (let next = (hole + 1) & mask; slots[next] !== 0; next = (next + 1) & mask) {
      const home = this.#hashes[slots[next]! - 1]! & mask;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        slots[hole] = slots[next]!;
        hole = next;
      }
    }
    slots[hole] = 0;
  }

  #rehash(length: number): void {
    const handles = this.#slots.filter((slot) => slot !== 0);
    this.#slots = new Int32Array(length);
    for (const one of handles) this.#insert(one - 1);
  }

  #widen(): void {
    const length = this.#hashes.length * 2;
    this.#hashes = grown(this.#hashes, length);
    this.#holds = grown(this.#holds, length);
  }
}

const NOTHING = new Uint8Array(0);

function grown(from: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}

/** FNV-1a, 32 bits, signed. */
export function hashBytes(buffer: Uint8Array, start: number, end: number): number {
  let hash = -2128831035;
  for (let index = start; index < end; index += 1) hash = Math.imul(hash ^ buffer[index]!, 16777619);
  return hash ^ (hash >>> 15);
}

/** What members of one process may share: names, addresses, metadata. */
export class Names {
  readonly ids = new Lexicon();
  readonly addresses = new Lexicon();
  readonly metas = new Lexicon();
}
