/** A raw socket: sends bytes as they are and collects what comes back. */

export class RawClient {
  received = "";
  closed = false;
  /** The other side ended its half. */
  ended = false;
  readonly #socket: Bun.Socket;

  private constructor(socket: Bun.Socket) {
    this.#socket = socket;
  }

  static async connect(port: number): Promise<RawClient> {
    let client: RawClient | null = null;
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      allowHalfOpen: true,
      socket: {
        data(_socket, bytes) {
          client!.received += Buffer.from(bytes).toString("latin1");
        },
        end() {
          client!.ended = true;
        },
        close() {
          client!.closed = true;
          client!.ended = true;
        },
      },
    });
    client = new RawClient(socket);
    return client;
  }

  send(text: string): void {
    this.#socket.write(Buffer.from(text, "latin1"));
  }

  /** Ends our half. */
  end(): void {
    this.#socket.shutdown();
  }

  /** Closes without a goodbye. */
  reset(): void {
    this.#socket.terminate();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Waits until what came back satisfies `done`. */
  async until(done: (received: string) => boolean, timeoutMs = 5000): Promise<string> {
    await eventually(
      () => done(this.received),
      timeoutMs,
      () => `received so far: ${JSON.stringify(this.received)}`,
    );
    return this.received;
  }

  /** Waits until the other side has ended. */
  async untilEnded(timeoutMs = 5000): Promise<string> {
    await eventually(
      () => this.ended,
      timeoutMs,
      () => `not ended; received: ${JSON.stringify(this.received)}`,
    );
    return this.received;
  }
}

/** Waits until something is so. */
export async function eventually(
  holds: () => boolean,
  timeoutMs = 5000,
  describe: () => string = () => holds.toString(),
): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > untilMs) throw new Error(`waited ${timeoutMs} ms in vain: ${describe()}`);
    await Bun.sleep(2);
  }
}
