/**
 * A request's body as it comes, in one buffer that grows: a body may come in a million chunks of one byte, each of which
 * would cost a hundred times its bytes by itself.
 */
import type { ByteBudget } from "./byte-budget.ts";

const NOTHING = new Uint8Array(0);
const ROOM_MIN = 1024;

export class RequestBody {
  readonly #budget: ByteBudget;
  #bytes: Uint8Array<ArrayBuffer> = NOTHING;
  #length = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  get length(): number {
    return this.#length;
  }

  /** Takes bytes [start, end) of a body of at most `bytesMax`; false when the port holds too much already. */
  append(bytes: Uint8Array, start: number, end: number, bytesMax: number): boolean {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) {
      const room = Math.max(length, Math.min(bytesMax, Math.max(ROOM_MIN, 2 * this.#bytes.length)));
      if (!this.#budget.has(room - this.#bytes.length)) return false;
      this.#budget.add(room - this.#bytes.length);
      const wider = new Uint8Array(room);
      wider.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = wider;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#length);
    this.#length = length;
    return true;
  }

  /** What came, valid until `clear`. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Lets go of it. */
  clear(): void {
    this.#budget.add(-this.#bytes.length);
    this.#bytes = NOTHING;
    this.#length = 0;
  }
}
