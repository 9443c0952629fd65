/**
 * Copies of requests for a revision that is tried in the shadow: sent beside the request itself, and their answers are
 * dropped. Nothing of a copy holds its request back or lets it fail: it is made when the request has been sent, takes a
 * place at a target of the revision or none, and is given up when the request's own time would be over.
 *
 * Copied are requests that are here as a whole and may be repeated, over HTTP. Limits: 64 copies in flight a worker, and
 * what they hold counts against `bufferBytesMax`; beyond that requests go without.
 */
import type { ResponseHead } from "../wire/http1.ts";
import { Attempt, type AttemptFailure, type AttemptOwner } from "./attempt.ts";
import { Choice } from "./choice.ts";
import { nowMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { Copied, Copies } from "./copies.ts";
import type { Held, Reshaped } from "./reshape.ts";
import type { UpstreamConnection } from "./upstream.ts";

export const SHADOWS_MAX = 64;
const NOBODY: readonly number[] = [];

export class Shadows implements Copies {
  readonly #of: () => WorkerContext;
  readonly #choice = new Choice<UpstreamConnection>((target) => target.pool?.take() ?? null);
  readonly #copies = new Set<Shadow>();

  /** `of`: the worker's context, of which this is a part. */
  constructor(of: () => WorkerContext) {
    this.#of = of;
  }

  get #context(): WorkerContext {
    return this.#of();
  }

  get size(): number {
    return this.#copies.size;
  }

  copy(request: Copied, shaped: Reshaped | null, tokens: number): void {
    const shadow = this.#context.strategies.shadowOf(request.model);
    if (shadow === null || Math.random() >= shadow.share) return;
    const { isComplete, isUpgrade, shape } = request;
    if (!isComplete || isUpgrade || !shape.repeatable) return;
    const bytes = bytesOf(request, shaped);
    const { config, counters, pick } = this.#context;
    if (this.#copies.size >= SHADOWS_MAX || this.#context.heldBytes + bytes.length > config.bufferBytesMax) {
      counters.shadow("shadowsSkipped");
      return;
    }
    pick.session = 0;
    pick.urgency = null;
    pick.cachedTokens = 0;
    if (this.#choice.make(this.#context, shadow.model, tokens, NOBODY, false, null, true) < 0) {
      counters.shadow("shadowsSkipped");
      return;
    }
    const one = new Shadow(this.#context, shadow.model, bytes, request.isHead, () => this.#copies.delete(one));
    this.#copies.add(one);
    counters.shadow("shadowsSent");
    one.begin(this.#choice);
  }

  expire(now: number): void {
    for (const copy of this.#copies) copy.expire(now);
  }
}

function bytesOf({ held, heldEnd }: Copied, shaped: Reshaped | null): Buffer {
  if (shaped === null) return Buffer.from(held.subarray(0, heldEnd));
  if (shaped.hasBody) return Buffer.from(shaped.bytes);
  return Buffer.concat([shaped.bytes, held.subarray(shaped.bodyAt, heldEnd)]);
}

class Shadow implements AttemptOwner {
  readonly isHead: boolean;
  readonly isUpgrade = false;
  readonly awaitsEvent = false;
  readonly committed = false;
  readonly #context: WorkerContext;
  readonly #model: number;
  readonly #bytes: Buffer;
  readonly #attempt: Attempt;
  readonly #ended: () => void;
  readonly #startedMs = nowMs();
  #isOver = false;

  constructor(context: WorkerContext, model: number, bytes: Buffer, isHead: boolean, ended: () => void) {
    this.#context = context;
    this.#model = model;
    this.#bytes = bytes;
    this.isHead = isHead;
    this.#ended = ended;
    this.#attempt = new Attempt(context, this);
    context.heldBytes += bytes.length;
  }

  begin(choice: Choice<UpstreamConnection>): void {
    this.#attempt.take(choice, null);
    this.#attempt.launch();
  }

  opened(attempt: Attempt): void {
    attempt.send(this.#bytes, 0, this.#bytes.length);
  }

  answers(attempt: Attempt, head: ResponseHead): void {
    const isFailure = head.status === 500 || (head.status >= 502 && head.status <= 504);
    this.#observe(attempt, isFailure ? "failure" : "success");
    if (isFailure) this.#context.counters.shadow("shadowsFailed");
  }

  answerBody(attempt: Attempt, _buffer: Buffer, _start: number, _end: number, ended: boolean): void {
    attempt.endPrefill(true);
    if (ended) this.#end(true);
  }

  get source(): Held {
    throw new Error("a copy goes to one target as it is, and is no half of a pair");
  }

  failed(attempt: Attempt, kind: AttemptFailure): void {
    this.#observe(attempt, kind === "exhausted" || (kind === "reset" && attempt.isReused) ? "unknown" : "failure");
    this.#context.counters.shadow("shadowsFailed");
    this.#end(false);
  }

  drained(): void {
    // All of it was sent at once.
  }

  expire(now: number): void {
    if (now - this.#startedMs >= this.#context.config.requestTimeoutMs) this.#end(false);
  }

  #observe(attempt: Attempt, outcome: "success" | "failure" | "unknown"): void {
    attempt.isTold = true;
    this.#context.dispatch.observe(this.#model, attempt.row, outcome, attempt.sentMs);
  }

  #end(clean: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.#attempt.isTold) this.#observe(this.#attempt, "unknown");
    this.#attempt.giveBack(clean);
    this.#context.heldBytes -= this.#bytes.length;
    this.#context.dispatch.freed(this.#model);
    this.#ended();
  }
}
