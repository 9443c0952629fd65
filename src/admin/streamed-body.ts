/** A request's body as a stream, which is filled as the bytes come and says when they were read. */

const NOTHING = new Uint8Array(0);
const ROOM_MIN = 1024;

export class StreamedBody {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #isRead: (bytes: number) => void;
  /** What came and was not read: bytes [0, end). Small pieces lie together. */
  #bytes = NOTHING;
  #end = 0;
  #isEnded = false;
  #wake: (() => void) | null = null;

  /** `isRead`: so many bytes were taken, and as many more may come. */
  constructor(isRead: (bytes: number) => void) {
    this.#isRead = isRead;
    this.stream = new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => this.#pull(controller),
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Takes bytes [start, end). */
  push(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (this.#isEnded) {
      this.#isRead(length);
      return;
    }
    if (this.#end + length > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(ROOM_MIN, 2 * (this.#end + length)));
      wider.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = wider;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#end);
    this.#end += length;
    this.#wake?.();
  }

  /** Nothing comes any more. */
  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  /** Nothing is read any more. */
  close(): void {
    this.#take();
    this.end();
  }

  #take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#end);
    this.#bytes = NOTHING;
    this.#end = 0;
    if (taken.length > 0) this.#isRead(taken.length);
    return taken;
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#end === 0 && !this.#isEnded) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
    const taken = this.#take();
    if (taken.length > 0) controller.enqueue(taken);
    else controller.close();
  }
}
