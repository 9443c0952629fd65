/**
 * The first half of a request that two targets compute: the prompt, at a target of its own. Its claim in the score table
 * and its connection are given back once, by `end`, whatever became of it. Its answer goes to no client: what counts is
 * that it is well, and what it says of where the KV cache lies.
 */
import { MeshError } from "../base/errors.ts";
import type { UpstreamErrorKind } from "../obs/worker-counters.ts";
import type { ResponseHead } from "../wire/http1.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import { newRoom, sglangOf, transferParamsIn, vllmDecodeOf, vllmPrefillOf } from "./pair-bodies.ts";
import type { KvTransfer } from "../fleet/role.ts";
import type { Held, Reshaped } from "./reshape.ts";
import type { Target } from "./routes.ts";
import type { UpstreamConnection, UpstreamUser } from "./upstream.ts";

/** More than the blocks of any prompt take to be named. */
const ANSWER_BYTES_MAX = 4_194_304;

/** What was chosen for it. */
export interface PrefillPlace {
  readonly transfer: KvTransfer;
  /** The pool's number in the score table. */
  readonly model: number;
  readonly row: number;
  readonly target: Target;
  readonly way: UpstreamConnection;
  readonly tokens: number;
  readonly contextTokens: number;
}

/** The attempt that it is the first half of. */
export interface PrefillOwner {
  /** The second half may be sent, as `decode` says. */
  prefilled(): void;
  prefillFailed(detail: string): void;
}

export class Prefill implements UpstreamUser {
  readonly isHead = false;
  readonly isUpgrade = false;
  readonly awaitsEvent = false;
  readonly place: PrefillPlace;
  /** What the other target is sent; null: nothing is known of that yet. */
  decode: Reshaped | null = null;
  readonly #context: WorkerContext;
  readonly #owner: PrefillOwner;
  #upstream: UpstreamConnection | null;
  #tokens: number;
  #request: Held | null = null;
  #bytes: Uint8Array | null = null;
  #sentMs = 0;
  /** Of all prompts that were sent to the target, with this one. */
  #sentTokens = 0;
  #status = 0;
  #isTold = false;
  readonly #answer: Buffer[] = [];
  #answerBytes = 0;

  constructor(context: WorkerContext, place: PrefillPlace, owner: PrefillOwner) {
    this.#context = context;
    this.place = place;
    this.#owner = owner;
    this.#upstream = place.way;
    this.#tokens = place.tokens;
  }

  /** Sends it; the owner hears of what comes of it, of a request that can't be changed at once. */
  begin(request: Held): void {
    const { transfer, target } = this.place;
    const upstream = this.#upstream;
    if (upstream === null) throw new Error("a prefill is begun once");
    const isSglang = transfer === "sglang";
    const made = isSglang
      ? sglangOf(request, target.pool?.host ?? "", target.role?.bootstrapPort ?? 0, newRoom())
      : vllmPrefillOf(request);
    if (made instanceof MeshError) {
      this.#fail("unknown", null, made.message);
      return;
    }
    this.#request = request;
    this.#bytes = made.bytes;
    this.#sentMs = nowMs();
    this.#sentTokens = this.#context.firstTokens.sent(this.place.row, this.#tokens);
    upstream.begin(this);
    if (upstream.open) this.upstreamOpened();
    if (!isSglang || this.#upstream === null) return;
    this.#ready(made);
  }

  #ready(decode: Reshaped): void {
    this.decode = decode;
    this.#context.heldBytes += decode.bytes.length;
    this.#owner.prefilled();
  }

  /** Nobody needs anything of it any more. */
  leave(): void {
    this.end();
    this.#context.heldBytes -= this.decode?.bytes.length ?? 0;
    this.decode = null;
  }

  /** It is over: by itself, or nobody needs it any more. */
  end(clean = false): void {
    const upstream = this.#upstream;
    if (upstream === null) return;
    this.#upstream = null;
    const { table, index, strategies, dispatch } = this.#context;
    const { row, model, contextTokens } = this.place;
    if (!this.#isTold) dispatch.observe(model, row, "unknown", this.#sentMs);
    if (this.#tokens > 0) table.endPrefill(index, row, this.#tokens);
    this.#tokens = 0;
    table.end(index, row);
    strategies.left(row, contextTokens);
    upstream.release(clean);
  }

  // ---- the connection's side

  upstreamOpened(): void {
    const bytes = this.#bytes;
    this.#bytes = null;
    if (bytes !== null) this.#upstream?.send(bytes, 0, bytes.length);
  }

  upstreamDrained(): void {}

  responseHead(head: ResponseHead): void {
    this.#status = head.status;
  }

  responseBody(buffer: Buffer, start: number, end: number, ended: boolean): void {
    const chunks = this.#upstream?.chunks ?? null;
    if (chunks === null) this.#take(buffer, start, end);
    else for (let i = 0; i < chunks.spanCount; i++) this.#take(buffer, chunks.spans[i * 2]!, chunks.spans[i * 2 + 1]!);
    if (this.#answerBytes > ANSWER_BYTES_MAX) this.#fail("failure", "bad-response", "its answer has more than 4 MiB");
    else if (ended) this.#answered();
  }

  #take(buffer: Buffer, start: number, end: number): void {
    // Of SGLang's only the status counts.
    if (this.place.transfer === "sglang" || start === end) return;
    this.#answer.push(Buffer.from(buffer.subarray(start, end)));
    this.#answerBytes += end - start;
  }

  #answered(): void {
    const { row, model } = this.place;
    const status = this.#status;
    if (status === 429 || status >= 500) {
      this.#fail(status === 429 || status === 503 ? "unknown" : "failure", null, `it answered ${status}`, true);
      return;
    }
    // What it refused for the request's own sake the decode target refuses too, in words that the client gets.
    const params =
      status === 200 && this.place.transfer === "vllm" ? transferParamsIn(Buffer.concat(this.#answer)) : null;
    if (params === undefined) {
      this.#fail("failure", "bad-response", "its answer is no JSON object", true);
      return;
    }
    this.#isTold = true;
    this.#context.dispatch.observe(model, row, "success", this.#sentMs);
    this.#context.strategies.observe(model, row, nowMs() - this.#sentMs);
    if (status < 400) this.#noteFirst();
    this.end(true);
    if (this.place.transfer === "sglang") return;
    const made = this.#request === null ? null : vllmDecodeOf(this.#request, params);
    if (made === null || made instanceof MeshError) {
      this.#owner.prefillFailed(`its answer's kv_transfer_params can't be passed on: ${made?.message ?? ""}`);
      return;
    }
    this.#ready(made);
  }

  /** What is asked of it is one token. SGLang's answers when the cache has gone to the other one too. */
  #noteFirst(): void {
    const { firstTokens, index } = this.#context;
    const firstMs = unixMs();
    const sentMs = firstMs - (nowMs() - this.#sentMs);
    const isWhole = this.place.transfer === "sglang";
    firstTokens.first(index, this.place.row, this.#tokens, this.#sentTokens, sentMs, firstMs, isWhole);
  }

  upstreamFailed(kind: UpstreamErrorKind, detail: string): void {
    if (kind === "connect" || kind === "reset") {
      const { table, config } = this.#context;
      table.eject(this.place.row, table.nowDeciseconds(unixMs() + config.ejectForMs));
    }
    this.#fail(kind === "exhausted" ? "unknown" : "failure", kind, detail);
  }

  /** It takes too long. */
  expire(detail: string): void {
    this.#fail("failure", "timeout", detail);
  }

  #fail(outcome: "failure" | "unknown", kind: UpstreamErrorKind | null, detail: string, clean = false): void {
    if (this.#upstream === null) return;
    this.#isTold = true;
    const { dispatch, counters } = this.#context;
    dispatch.observe(this.place.model, this.place.row, outcome, this.#sentMs);
    if (kind !== null) counters.upstreamError(this.place.row, kind);
    this.end(clean);
    this.#owner.prefillFailed(`${this.place.target.node}, which was to compute the prompt, failed: ${detail}`);
  }
}
