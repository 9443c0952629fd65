/**
 * Bytes that wait in order until somebody takes them, in one buffer: they may come one by one, and each of them kept by
 * itself would cost many times its size. Whoever keeps bytes limits them; nothing is held once all were taken.
 */

const ROOM_BYTES_MIN = 1024;
const NOTHING = Buffer.alloc(0);

export class WaitingBytes {
  #buffer: Buffer = NOTHING;
  #start = 0;
  #end = 0;

  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  /** What waits, as it lies there until more is kept. */
  get bytes(): Buffer {
    return this.#buffer.subarray(this.#start, this.#end);
  }

  /** Puts a copy behind what waits. */
  keep(bytes: Buffer): void {
    if (this.#end + bytes.length > this.#buffer.length) {
      const waiting = this.#end - this.#start;
      const roomy = Buffer.allocUnsafeSlow(Math.max(ROOM_BYTES_MIN, 2 * waiting, waiting + bytes.length));
      this.#buffer.copy(roomy, 0, this.#start, this.#end);
      this.#buffer = roomy;
      this.#start = 0;
      this.#end = waiting;
    }
    this.#end += bytes.copy(this.#buffer, this.#end);
  }

  /** Takes the first ones, at most `max`; they stay as they are until more is kept. */
  take(max: number): Buffer {
    const bytes = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + max));
    this.#start += bytes.length;
    if (this.isEmpty) this.clear();
    return bytes;
  }

  clear(): void {
    this.#buffer = NOTHING;
    this.#start = 0;
    this.#end = 0;
  }
}
