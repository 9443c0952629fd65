/**
 * Clients that ask one request after the other over raw sockets, and count every way in which one can fail: refused,
 * reset, closed before its answer was whole, or answered by anything but 200. A connection that the server announced to
 * close, or closed while nothing was asked on it, is opened anew: that is no failure.
 */
import type { Socket } from "bun";

export interface RawLoadOptions {
  readonly port: number;
  readonly clients: number;
  /** One whole request; by default GET /health. */
  readonly request?: string;
  /** Between an answer and the next request: without one, clients and router would take all of a machine of two cores. */
  readonly pauseMs?: number;
  /** A connection of its own for each request. */
  readonly isShort?: boolean;
}

interface Wire {
  text: string;
  answered: PromiseWithResolvers<string> | null;
  closed: boolean;
}

const LENGTH = /\r\ncontent-length: *(\d+)/i;

export class RawLoad {
  readonly failures: string[] = [];
  /** Requests that were answered as they should. */
  answers = 0;
  readonly #options: Required<RawLoadOptions>;
  readonly #clients: Promise<void>[];
  #stopped = false;

  constructor(options: RawLoadOptions) {
    const { isShort = false, pauseMs = 2 } = options;
    const request = `GET /health HTTP/1.1\r\nhost: x\r\n${isShort ? "connection: close\r\n" : ""}\r\n`;
    this.#options = { request, ...options, pauseMs, isShort };
    this.#clients = Array.from({ length: options.clients }, () => this.#client());
  }

  /** Waits for so many more answers. */
  async goOn(count: number): Promise<void> {
    const goal = this.answers + count;
    const end = performance.now() + 10_000;
    while (this.answers < goal) {
      if (performance.now() > end) throw new Error(`the load stands still: ${this.failures.slice(0, 5).join("; ")}`);
      await Bun.sleep(2);
    }
  }

  /** Stops, and answers what failed. */
  async end(): Promise<readonly string[]> {
    this.#stopped = true;
    await Promise.all(this.#clients);
    return this.failures;
  }

  async #client(): Promise<void> {
    const { request, pauseMs, isShort } = this.#options;
    let socket: Socket<Wire> | null = null;
    while (!this.#stopped) {
      try {
        socket ??= await this.#connect();
        const answer = await ask(socket, request);
        if (answer.startsWith("HTTP/1.1 200 ")) this.answers++;
        else this.failures.push(answer.slice(0, 200));
        if (isShort || /\r\nconnection: close/i.test(answer)) {
          socket.end();
          socket = null;
        }
      } catch (error) {
        this.failures.push(String(error));
        socket?.terminate();
        socket = null;
        await Bun.sleep(10);
      }
      if (pauseMs > 0) await Bun.sleep(pauseMs);
      if (socket?.data.closed === true) socket = null;
    }
    socket?.end();
  }

  #connect(): Promise<Socket<Wire>> {
    return Bun.connect<Wire>({
      hostname: "127.0.0.1",
      port: this.#options.port,
      data: { text: "", answered: null, closed: false },
      socket: {
        data({ data }, bytes) {
          data.text += bytes.toString("latin1");
          const head = data.text.indexOf("\r\n\r\n");
          if (head < 0) return;
          const length = LENGTH.exec(data.text.slice(0, head + 2))?.[1];
          const end = length === undefined ? data.text.indexOf("\r\n0\r\n\r\n") + 7 : head + 4 + Number(length);
          if (end < head + 4 || data.text.length < end) return;
          const answer = data.text.slice(0, end);
          data.text = data.text.slice(end);
          data.answered?.resolve(answer);
          data.answered = null;
        },
        close({ data }) {
          data.closed = true;
          data.answered?.reject(
            new Error(`closed before the answer was whole: ${JSON.stringify(data.text.slice(0, 80))}`),
          );
        },
        end(socket) {
          socket.end();
        },
        error({ data }, error) {
          data.answered?.reject(error);
        },
      },
    });
  }
}

function ask(socket: Socket<Wire>, request: string): Promise<string> {
  const answered = Promise.withResolvers<string>();
  socket.data.answered = answered;
  if (socket.write(request) < request.length) answered.reject(new Error("the socket took only a part, or was closed"));
  return answered.promise;
}
