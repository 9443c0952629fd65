/**
 * One connection to a server, on which one request at a time is asked, each within a hard deadline and with a limit of
 * its answer. It is kept between requests where the server keeps it, so that its end is told of at once: the server may
 * have ended itself, or was only tired of waiting, which another connection shows.
 *
 * A server that closes after each answer says so, and that is no news. A kept connection that ends just as it is used
 * again is made anew, and the request sent once more, where it was one that changes nothing.
 *
 * No proxy of the environment is asked: what is spoken to is local.
 */
import type { Dialer } from "../net/dialer.ts";
import { Outbox } from "../net/outbox.ts";
import type { DialPlace, Stream, StreamHandlers } from "../net/stream.ts";
import { AnswerReader, type AnswerState } from "../wire/http-answer.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Head and body as they are sent. */
  readonly bytes: Uint8Array;
  /** For all of it, from connecting to the answer's last byte. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly piece?: ((bytes: Uint8Array) => void) | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Until the next request on this connection. */
  readonly body: Uint8Array;
  readonly isFromMesh: boolean;
}

/** refused: nothing listens. unreachable: it can't be connected to for another reason. broken: no HTTP, or half of it. */
export type HttpFault = "refused" | "unreachable" | "timeout" | "too_large" | "broken";

export type HttpResult =
  | { readonly ok: true; readonly answer: HttpAnswer }
  | { readonly ok: false; readonly kind: HttpFault; readonly message: string };

export interface ConnectionOptions {
  /** Asked at each attempt, since certificates may be others then. */
  readonly dialer: () => Dialer;
  readonly place: DialPlace;
  /** The server ended a connection that it had said to keep, and that had served before. */
  readonly closed?: () => void;
}

interface Pending {
  readonly request: HttpRequest;
  readonly resolve: (result: HttpResult) => void;
  readonly timer: ReturnType<typeof setTimeout>;
  /** It was sent on a connection that had served another one. */
  isReused: boolean;
}

interface Attempt {
  giveUp: () => void;
  isOver: boolean;
}

export class HttpConnection {
  readonly #options: ConnectionOptions;
  readonly #reader = new AnswerReader();
  readonly #outbox = new Outbox();
  #stream: Stream<Attempt> | null = null;
  /** The stream has served a request. */
  #isUsed = false;
  #attempt: Attempt | null = null;
  #pending: Pending | null = null;
  /** Who waits for a connection without asking anything. */
  #waiting: ((why: string) => void)[] = [];

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#stream !== null;
  }

  /** Never rejects. One at a time: the one before must have ended. */
  ask(request: HttpRequest): Promise<HttpResult> {
    const { promise, resolve } = Promise.withResolvers<HttpResult>();
    if (this.#pending !== null) throw new Error("a request is under way on this connection");
    const timer = setTimeout(() => {
      const what = this.#stream === null ? "connection" : "answer";
      this.#drop();
      this.#fail("timeout", `no ${what} within ${request.timeoutMs} ms`);
    }, request.timeoutMs);
    this.#pending = { request, resolve, timer, isReused: this.#stream !== null && this.#isUsed };
    this.#reader.begin(request);
    if (this.#stream !== null) this.#send(this.#stream);
    else this.#dial();
    return promise;
  }

  /**
   * Asks nothing: "" where a connection is there that has served, or can be made, else why not. Never rejects. One that
   * has not served yet proves nothing: a process that was dying may have taken it, and its end is not always told.
   */
  connect(timeoutMs: number): Promise<string> {
    if (this.#stream !== null && (this.#isUsed || this.#pending !== null)) return Promise.resolve("");
    if (this.#stream !== null) this.#drop();
    const { promise, resolve } = Promise.withResolvers<string>();
    const timer = setTimeout(() => {
      resolve(`no connection within ${timeoutMs} ms`);
      if (this.#pending === null) this.#drop();
    }, timeoutMs);
    this.#waiting.push((why) => {
      clearTimeout(timer);
      resolve(why);
    });
    this.#dial();
    return promise;
  }

  /** Closes, telling nobody but the request under way. */
  close(why = "it was called off"): void {
    this.#drop();
    this.#fail("broken", why);
  }

  #dial(): void {
    if (this.#attempt !== null) return;
    const attempt: Attempt = { giveUp: () => {}, isOver: false };
    this.#attempt = attempt;
    const { dialer, place } = this.#options;
    try {
      attempt.giveUp = dialer().connect(place, attempt, this.#handlers, () => {});
    } catch (error) {
      this.#attempt = null;
      const why = error instanceof Error ? error.message : String(error);
      queueMicrotask(() => {
        this.#tellWaiting(why);
        this.#fail("unreachable", why);
      });
    }
  }

  #send(stream: Stream<Attempt>): void {
    const { bytes } = this.#pending?.request ?? { bytes: new Uint8Array() };
    this.#outbox.write(stream, bytes, 0, bytes.length);
  }

  readonly #handlers: StreamHandlers<Attempt> = {
    open: (stream) => {
      if (stream.data.isOver || this.#attempt !== stream.data) {
        stream.terminate();
        return;
      }
      this.#attempt = null;
      this.#stream = stream;
      this.#isUsed = false;
      this.#tellWaiting("");
      if (this.#pending !== null && this.#stream === stream) this.#send(stream);
    },
    data: (stream, buffer, start, end) => {
      if (stream !== this.#stream) return;
      if (this.#pending === null) {
        // Nobody asked for it: what would come next is in doubt.
        this.#lost();
        return;
      }
      this.#read(this.#reader.push(buffer, start, end));
    },
    drain: (stream) => {
      if (stream === this.#stream) this.#outbox.flush(stream);
    },
    end: (stream) => {
      if (stream === this.#stream) this.#over();
      else stream.end();
    },
    close: (stream) => {
      if (stream === this.#stream) this.#over();
    },
    connectError: (stream, error) => {
      if (stream.data.isOver || this.#attempt !== stream.data) return;
      this.#attempt = null;
      const { code = "" } = error as { code?: string };
      const isRefused = code === "ECONNREFUSED" || code === "ENOENT";
      const why = code === "ENOENT" ? "there is no such socket" : isRefused ? "connection refused" : tlsWords(error);
      this.#tellWaiting(why);
      this.#fail(isRefused ? "refused" : "unreachable", why);
    },
  };

  #read(state: AnswerState): void {
    if (state === "more") return;
    if (state === "too_large") {
      this.#drop();
      this.#fail("too_large", this.#reader.reason);
    } else if (state === "bad") {
      this.#drop();
      this.#fail("broken", this.#reader.reason);
    } else this.#answered();
  }

  #answered(): void {
    const { status, contentType, body, isFromMesh, keepsAlive } = this.#reader;
    this.#isUsed = true;
    if (!keepsAlive) {
      // In order; what follows from that is nobody's any more.
      const stream = this.#stream;
      this.#stream = null;
      stream?.end();
    }
    this.#settle({ ok: true, answer: { status, contentType, body, isFromMesh } });
  }

  /** The other side has ended the connection, or its half. */
  #over(): void {
    const pending = this.#pending;
    if (pending === null) {
      this.#lost();
      return;
    }
    const isAnew = pending.isReused && !this.#reader.hasBegun && pending.request.method === "GET";
    const state = this.#reader.ended();
    if (state !== "done" && isAnew) {
      this.#lost();
      pending.isReused = false;
      this.#reader.begin(pending.request);
      this.#dial();
      return;
    }
    if (state !== "done") this.#lost();
    this.#read(state);
  }

  #lost(): void {
    this.#drop();
    if (this.#isUsed) this.#options.closed?.();
  }

  #drop(): void {
    this.#outbox.clear();
    const stream = this.#stream;
    this.#stream = null;
    stream?.terminate();
    const attempt = this.#attempt;
    this.#attempt = null;
    if (attempt === null) return;
    attempt.isOver = true;
    attempt.giveUp();
    this.#tellWaiting("it was called off");
  }

  #tellWaiting(why: string): void {
    for (const tell of this.#waiting.splice(0)) tell(why);
  }

  #fail(kind: HttpFault, message: string): void {
    this.#settle({ ok: false, kind, message });
  }

  #settle(result: HttpResult): void {
    const pending = this.#pending;
    this.#pending = null;
    if (pending === null) return;
    clearTimeout(pending.timer);
    pending.resolve(result);
  }
}

/** What OpenSSL says of an answer in plain HTTP. */
function tlsWords({ message }: Error): string {
  return message.includes("WRONG_VERSION_NUMBER") ? "it speaks no TLS at that port" : message;
}
