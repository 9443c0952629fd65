/** What the calls of a client's HTTP/2 connection have in common: what they need of it, and what it asks of them. */
import type { Http2Connection } from "../wire/http2-connection.ts";
import type { Http2Stream, StreamOwner } from "../wire/http2-stream.ts";
import type { MeshError } from "../base/errors.ts";
import type { FrontContext } from "./front-connection.ts";
import type { Services } from "./services.ts";

/** The connection of a call, as it needs it. */
export interface CallClient {
  readonly connection: Http2Connection;
  readonly services: Services;
  readonly context: FrontContext;
  readonly remoteAddress: string;
  /** The longest message that a call of this path may bring. */
  messageBytesMax(path: string): number;
  /** Whether the calls of this connection may hold so many bytes more, for one of this path. */
  mayHold(bytes: number, path: string): boolean;
  /** So many bytes of requests more are held for its calls, or fewer. */
  hold(change: number): void;
  /** Something is there to send: it goes out at the turn's end. */
  schedule(): void;
  ended(call: PortCall): void;
}

/** A request and its answer. */
export interface PortCall extends StreamOwner {
  /** `ended`: the request has no body. */
  begin(ended: boolean): void;
  /** The server stops: what streams ends, what is being answered is answered. */
  stop(why: MeshError): void;
}

/** Watches over one who is to read what a stream sends: whether anything was taken lately. */
export class SendWatch {
  #left = 0;
  #sinceMs = 0;

  /** Whether nothing of what waits was taken for so long; call it now and then. */
  isStuck({ queue }: Http2Stream, nowMs: number, timeoutMs: number): boolean {
    let left = 0;
    for (const { start, end, isHead } of queue ?? []) left += isHead ? 1 : end - start;
    if (left === 0 || left !== this.#left) {
      this.#left = left;
      this.#sinceMs = nowMs;
      return false;
    }
    return nowMs - this.#sinceMs >= timeoutMs;
  }
}
