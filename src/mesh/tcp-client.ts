/**
 * Asks over TCP: connect, send one frame, read one frame, close, all within one time. Whatever goes wrong rejects with
 * a MeshError; nothing is tried twice. Limits: `connectionsMax` at once (one more is refused), and `frameBytesMax` for
 * an answer.
 */
import { MeshError } from "../base/errors.ts";
import { Outbox } from "../net/outbox.ts";
import type { Endpoint } from "./addresses.ts";
import { framed, FrameReader } from "./frame.ts";
import { codeOf, orCrash } from "../net/crash.ts";

export interface TcpClientOptions {
  readonly frameBytesMin: number;
  readonly frameBytesMax: number;
  readonly connectionsMax: number;
}

export const REFUSED = "connection refused";
/** What strangers get. */
export const CLOSED = "closed without an answer; is its key or cluster name another?";

export class TcpClient {
  readonly #options: TcpClientOptions;
  readonly #asking = new Set<Question>();

  constructor(options: TcpClientOptions) {
    this.#options = options;
  }

  get connections(): number {
    return this.#asking.size;
  }

  /** The frame that comes back. */
  async ask(to: Endpoint, packet: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    if (this.#asking.size >= this.#options.connectionsMax) {
      throw new MeshError("over_capacity", `${this.#asking.size} requests to other members are under way`);
    }
    const question = new Question(to, packet, this.#options, timeoutMs);
    this.#asking.add(question);
    try {
      return await question.answer;
    } finally {
      this.#asking.delete(question);
    }
  }

  stop(): void {
    for (const question of this.#asking) question.fail(new MeshError("draining", "the transport is stopping"));
  }
}

class Question {
  readonly answer: Promise<Uint8Array>;
  readonly #resolve: (frame: Uint8Array) => void;
  readonly #reject: (error: MeshError) => void;
  readonly #timer: ReturnType<typeof setTimeout>;
  readonly #outbox = new Outbox();
  readonly #reader: FrameReader;
  #socket: Bun.Socket | undefined;
  #over = false;

  constructor(to: Endpoint, packet: Uint8Array, options: TcpClientOptions, timeoutMs: number) {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#reader = new FrameReader(options.frameBytesMin, options.frameBytesMax);
    this.#timer = setTimeout(() => {
      this.fail(new MeshError("upstream_timeout", `no answer within ${timeoutMs} ms`, { retryable: true }));
    }, timeoutMs);
    const bytes = framed(packet);
    const lost = (why: string, cause?: unknown) => this.fail(new MeshError("upstream_failed", why, { cause }));
    const connecting = Bun.connect({
      hostname: to.host,
      port: to.port,
      socket: {
        open: (socket) => {
          this.#socket = socket;
          // The time may have passed while it was opening.
          if (this.#over) socket.terminate();
          else this.#outbox.write(socket, bytes, 0, bytes.length);
        },
        drain: (socket) => void this.#outbox.flush(socket),
        data: (_socket, chunk) => orCrash(() => this.#read(chunk)),
        end: () => lost(CLOSED),
        close: () => lost(CLOSED),
        error: (_socket, error) => lost(error.message, error),
        connectError: (_socket, error) => lost(reason(error), error),
      },
    });
    connecting.catch((error: unknown) => lost(reason(error), error));
  }

  fail(error: MeshError): void {
    if (this.#finish()) this.#reject(error);
  }

  #read(chunk: Uint8Array): void {
    if (this.#over) return;
    const state = this.#reader.push(chunk);
    if (state === "bad") this.fail(new MeshError("upstream_failed", "the answer is not one frame, or too long"));
    else if (state === "done" && this.#finish()) this.#resolve(this.#reader.frame);
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    clearTimeout(this.#timer);
    // Closing by a reset leaves no socket in TIME_WAIT; what there was to read has been read.
    this.#socket?.terminate();
    return true;
  }
}

function reason(error: unknown): string {
  if (codeOf(error) === "ECONNREFUSED") return REFUSED;
  return error instanceof Error ? error.message : String(error);
}
