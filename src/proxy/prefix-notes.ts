/**
 * Which prompts a worker sent where, on their way to the main thread, which tells the other routers. Packed in words:
 * row, its life (score/prefix-layout.ts), blocks that are new there, blocks, then two words for each block's hash. What
 * comes within 50 ms goes together, or what fills `WORDS_MAX`.
 */
import { PREFIX_BLOCKS_MAX } from "../score/prefix-layout.ts";
import { tick } from "./clock.ts";

const SEND_EVERY_MS = 50;
const HEAD_WORDS = 4;
const WORDS_MAX = 16 * (HEAD_WORDS + PREFIX_BLOCKS_MAX * 2);

export interface PrefixNote {
  readonly row: number;
  readonly life: number;
  /** Of the blocks, such as the row was not believed to hold: the last ones. */
  readonly fresh: number;
  /** Two words each. */
  readonly hashes: Int32Array;
}

export class PrefixNotes {
  readonly #wakeAt: (atMs: number) => void;
  readonly #send: (packed: Int32Array) => void;
  readonly #waiting = new Int32Array(WORDS_MAX);
  #words = 0;
  #sentMs = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `wakeAt` is told when the timer is due, so that the transport wakes for it; what is sent is the receiver's. */
  constructor(wakeAt: (atMs: number) => void, send: (packed: Int32Array) => void) {
    this.#wakeAt = wakeAt;
    this.#send = send;
  }

  add(row: number, life: number, fresh: number, chain: Int32Array, blocks: number): void {
    const words = HEAD_WORDS + blocks * 2;
    if (this.#words + words > WORDS_MAX) this.#flush(tick());
    const waiting = this.#waiting;
    const at = this.#words;
    waiting[at] = row;
    waiting[at + 1] = life;
    waiting[at + 2] = fresh;
    waiting[at + 3] = blocks;
    waiting.set(chain.subarray(2, (blocks + 1) * 2), at + HEAD_WORDS);
    this.#words = at + words;
    if (this.#timer === undefined) this.#schedule();
  }

  #schedule(): void {
    const now = tick();
    const waitMs = Math.max(0, this.#sentMs + SEND_EVERY_MS - now);
    this.#wakeAt(now + waitMs);
    this.#timer = setTimeout(() => this.#flush(tick()), waitMs);
  }

  #flush(now: number): void {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#wakeAt(Infinity);
    }
    this.#sentMs = now;
    const packed = this.#waiting.slice(0, this.#words);
    this.#words = 0;
    if (packed.length > 0) this.#send(packed);
  }
}

/** The notes of a message. */
export function* unpackNotes(packed: Int32Array): Iterable<PrefixNote> {
  for (let at = 0; at + HEAD_WORDS <= packed.length;) {
    const [row = 0, life = 0, fresh = 0, blocks = 0] = packed.subarray(at, at + HEAD_WORDS);
    at += HEAD_WORDS;
    yield { row, life, fresh, hashes: packed.subarray(at, at + blocks * 2) };
    at += blocks * 2;
  }
}
