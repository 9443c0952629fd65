/**
 * What goes over a link: messages of the consensus, calls with one answer, and streams of pieces.
 *
 *     1  message of the consensus (raft/codec.ts)
 *     2  call: id (4 bytes), then JSON { method, body }
 *     3  answer: id, then JSON { body } or { error }
 *     4  piece of a stream that a call began: id, then JSON
 *     5  the caller gave up: id
 *
 * Both sides may call. Errors travel as code, message and whether a retry makes sense, and are a MeshError again on the
 * other side. What is no frame of these ends the link: nothing that comes over it may end the process. Bodies are JSON:
 * calls are few beside messages, and whoever looks at a connection can read them.
 */
import { isRecord } from "../base/field.ts";
import { type ErrorCode, ERRORS, MeshError, toMeshError } from "../base/errors.ts";
import type { Link } from "./link.ts";

const TYPE = { message: 1, call: 2, answer: 3, piece: 4, cancel: 5 } as const;
const ID_BYTES = 4;
/** Calls under way over one link, in each direction. */
const CALLS_MAX = 10_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const MESSAGE_HEAD = new Uint8Array([TYPE.message]);

/** A call that came in, and the way to answer it. */
export interface Incoming {
  readonly method: string;
  readonly body: unknown;
  /** Whose link it came over, and of which control cluster that node said to be; "" for none. */
  readonly node: string;
  readonly storeId: string;
  /** Nobody waits for it any more. */
  readonly isGone: boolean;
  /** Sends a piece before the answer. */
  piece(body: unknown): void;
  /** Called when the caller gave up or its link is gone. */
  onGone: () => void;
}

export interface CallHandlers {
  /** A view that holds until it returns. */
  message(bytes: Uint8Array, calls: Calls): void;
  /** The answer's body; what it throws is the answer's error. */
  call(incoming: Incoming): Promise<unknown>;
}

interface Pending {
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: MeshError) => void;
  readonly onPiece: ((body: unknown) => void) | undefined;
  /** Ends what else could settle it. */
  readonly forget: () => void;
}

export interface AskOptions {
  /** Undefined: as long as the link lives. */
  readonly timeoutMs?: number;
  readonly onPiece?: (body: unknown) => void;
  /** Gives up when it is aborted. */
  readonly signal?: AbortSignal;
}

/** The calls of one link. */
export class Calls {
  readonly #link: Link;
  readonly #handlers: CallHandlers;
  readonly #pending = new Map<number, Pending>();
  readonly #serving = new Map<number, Incoming>();
  #next = 1;

  constructor(link: Link, handlers: CallHandlers) {
    this.#link = link;
    this.#handlers = handlers;
  }

  get link(): Link {
    return this.#link;
  }

  /** Whether anything is asked or answered over it now. */
  get isBusy(): boolean {
    return this.#pending.size + this.#serving.size > 0;
  }

  message(bytes: Uint8Array): void {
    this.#link.send(MESSAGE_HEAD, bytes);
  }

  /** Rejects with a MeshError: the other side's; upstream_failed where it was not asked; request_timeout where it was. */
  ask(method: string, body: unknown, options: AskOptions = {}): Promise<unknown> {
    const id = this.#next;
    this.#next = (this.#next % 0xffff_ffff) + 1;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (!this.#link.isOpen) {
      reject(new MeshError("upstream_failed", "the link is not open"));
      return promise;
    }
    if (this.#pending.size >= CALLS_MAX) {
      reject(new MeshError("over_capacity", `${CALLS_MAX} calls to ${this.#link.peer.node} are under way`));
      return promise;
    }
    const { timeoutMs, signal } = options;
    if (signal?.aborted === true) {
      reject(gaveUp());
      return promise;
    }
    const giveUp = (error: MeshError): void => {
      this.#settle(id)?.reject(error);
      this.#link.send(head(TYPE.cancel, id));
    };
    const late = (): void => {
      const why = `no answer within ${Math.round(timeoutMs ?? 0)} ms; what was asked may have been done`;
      giveUp(new MeshError("request_timeout", why, { retryable: true }));
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs);
    const aborted = (): void => giveUp(gaveUp());
    signal?.addEventListener("abort", aborted, { once: true });
    const forget = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
    };
    this.#pending.set(id, { resolve, reject, onPiece: options.onPiece, forget });
    this.#link.send(head(TYPE.call, id), encoder.encode(JSON.stringify({ method, body })));
    return promise;
  }

  /** A frame of the link. */
  frame(frame: Uint8Array): void {
    const type = frame[0];
    if (type === TYPE.message) return this.#handlers.message(frame.subarray(1), this);
    if (frame.length < 1 + ID_BYTES) return this.#link.close("a frame of it is too short");
    const id = new DataView(frame.buffer, frame.byteOffset + 1, ID_BYTES).getUint32(0);
    const body = frame.length === 1 + ID_BYTES ? {} : jsonOf(frame.subarray(1 + ID_BYTES));
    if (body === undefined) return this.#link.close("a frame of it is not JSON");
    switch (type) {
      case TYPE.call:
        return void this.#serve(id, body);
      case TYPE.answer:
        return this.#answered(id, body);
      case TYPE.piece:
        return this.#pending.get(id)?.onPiece?.(body["body"]);
      case TYPE.cancel: {
        const incoming = this.#serving.get(id);
        this.#serving.delete(id);
        return incoming?.onGone();
      }
      default:
        return this.#link.close(`it sent a frame of an unknown kind, ${type}`);
    }
  }

  /** The link is gone: nothing that was asked is answered any more. */
  closed(why: string): void {
    const lost = `the answer did not come: ${why}; what was asked may have been done`;
    for (const id of this.#pending.keys()) {
      this.#settle(id)?.reject(new MeshError("request_timeout", lost, { retryable: true }));
    }
    for (const incoming of this.#serving.values()) incoming.onGone();
    this.#serving.clear();
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.forget();
    return pending;
  }

  async #serve(id: number, { method, body }: Readonly<Record<string, unknown>>): Promise<void> {
    const answer = (json: object): void => {
      if (isServing() && this.#serving.delete(id))
        this.#link.send(head(TYPE.answer, id), encoder.encode(JSON.stringify(json)));
    };
    const isServing = (): boolean => this.#serving.get(id) === incoming;
    const incoming: Incoming = {
      method: typeof method === "string" ? method : "",
      body,
      node: this.#link.peer.node,
      storeId: this.#link.peer.storeId,
      get isGone() {
        return !isServing();
      },
      piece: (piece) => {
        if (!isServing()) return;
        this.#link.send(head(TYPE.piece, id), encoder.encode(JSON.stringify({ body: piece })));
      },
      onGone: () => {},
    };
    if (this.#serving.size >= CALLS_MAX || this.#serving.has(id)) {
      return this.#link.close("it asks more at once than is allowed");
    }
    this.#serving.set(id, incoming);
    try {
      answer({ body: await this.#handlers.call(incoming) });
    } catch (thrown) {
      const { code, message, retryable } = toMeshError(thrown);
      answer({ error: { code, message, retryable } });
    }
  }

  #answered(id: number, { body, error }: Readonly<Record<string, unknown>>): void {
    const pending = this.#settle(id);
    if (error === undefined) return pending?.resolve(body);
    const { code, message, retryable } = isRecord(error) ? error : {};
    const known = typeof code === "string" && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : "internal";
    const why = typeof message === "string" ? message : "it answered an error without a word";
    pending?.reject(new MeshError(known, why, typeof retryable === "boolean" ? { retryable } : {}));
  }
}

function gaveUp(): MeshError {
  return new MeshError("draining", "it is not waited for any more");
}

function head(type: number, id: number): Uint8Array {
  const bytes = new Uint8Array(1 + ID_BYTES);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(1, id);
  return bytes;
}

function jsonOf(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes));
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
