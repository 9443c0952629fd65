/**
 * What the settings do to one request and its answer (content.ts): the request as it goes to targets, the models that
 * may stand in, its part in the cache, and what is changed in the head of the answer. Made when the request is bound,
 * where anything is configured at all; it goes on by the settings that it began with.
 *
 * What it gives back: the memory of the reshaped request and the seat in the cache, in `end`.
 */
import { MeshError } from "../base/errors.ts";
import type { CachedAnswer } from "../flow/response-cache.ts";
import type { ChunkScanner } from "../wire/chunks.ts";
import { findField } from "../wire/field-search.ts";
import type { ResponseHead } from "../wire/http1.ts";
import type { Rewrite } from "../wire/rewrite.ts";
import { CacheSeat, isCacheable, keyOf } from "./cache-seat.ts";
import type { Sharer } from "./cache-seat.ts";
import type { Content } from "./content.ts";
import type { WorkerContext } from "./context.ts";
import { noMemory } from "./refusals.ts";
import { keptReply } from "./replies.ts";
import { plainBody, reshape, targetOf } from "./reshape.ts";
import type { Held, Reshaped } from "./reshape.ts";

const MODEL_FIELD = "x-infermesh-model";
const CACHE_FIELD = "x-infermesh-cache";
const CONTENT_TYPE = Buffer.from("content-type");
const CRLF = Buffer.from("\r\n");
const NOTHING = new Uint8Array(0);

/** Whether the cache may answer such a request, as far as one can tell without its body. */
export function mayAskCache(content: Content, { shape, held, bodyAt }: Held): boolean {
  return content.cache !== null && isCacheable(shape, held, bodyAt);
}

export class Treatment {
  /** Models that may stand in for the one that is meant. */
  readonly standIns: readonly string[];
  /** The model whose targets it is made for. */
  model = "";
  /** What goes to targets in place of what is held; null: that. */
  shaped: Reshaped | null = null;
  /** The request waits for another's answer. */
  isSharing = false;
  readonly #context: WorkerContext;
  readonly #content: Content;
  #rewrite: Rewrite | null = null;
  /** The model that serves it, where that is not the one that was asked for. */
  #servedBy = "";
  /** Its answer may come from the cache, and tells whether it did. */
  #isCacheable = false;
  #seat: CacheSeat | null = null;

  /** `meant` is the model that was asked for, by its own name. */
  constructor(context: WorkerContext, meant: string) {
    this.#context = context;
    this.#content = context.content;
    this.standIns = this.#content.aliases.fallbacks(meant);
  }

  /** Makes what goes to the targets of `model`; `isRenamed`: the client named another. */
  reshape(request: Held, model: string, isRenamed: boolean): MeshError | null {
    const context = this.#context;
    const rewrite = this.#content.rewrites.find(request.shape, model);
    const shaped = reshape(request, isRenamed ? model : null, rewrite);
    if (shaped instanceof MeshError) return shaped;
    const more = (shaped?.bytes.length ?? 0) - (this.shaped?.bytes.length ?? 0);
    if (context.heldBytes + more > context.config.bufferBytesMax) return noMemory();
    context.heldBytes += more;
    this.model = model;
    this.shaped = shaped;
    this.#rewrite = rewrite;
    this.#servedBy = isRenamed ? model : "";
    return null;
  }

  /** What it goes out as now; the returned function makes it that again. */
  keep(): () => void {
    const { model, shaped } = this;
    const [rewrite, servedBy] = [this.#rewrite, this.#servedBy];
    return () => {
      this.#context.heldBytes += (shaped?.bytes.length ?? 0) - (this.shaped?.bytes.length ?? 0);
      this.model = model;
      this.shaped = shaped;
      this.#rewrite = rewrite;
      this.#servedBy = servedBy;
    };
  }

  // ---- the cache

  /** The kept answer to a complete request; or whether it waits for another's, leads, or has no part in the cache. */
  askCache(request: Held, sharer: Sharer, nowMs: number): CachedAnswer | "wait" | "go" | "none" {
    const { cache, cacheConfig } = this.#content;
    if (cache === null || !mayAskCache(this.#content, request)) return "none";
    const { shaped } = this;
    const body =
      shaped?.hasBody === true
        ? { bytes: shaped.bytes, start: shaped.bodyAt, end: shaped.bytes.length }
        : plainBody(request);
    const { shape, held, bodyAt } = request;
    const key = keyOf(shape, targetOf(held), this.model, held, bodyAt, body, cacheConfig.keyHeaders);
    if (key === null) return "none";
    this.#isCacheable = true;
    const seat = new CacheSeat(cache, cacheConfig, this.#context, sharer);
    const begun = seat.begin(key, nowMs);
    if (begun === "go" || begun === "wait") this.#seat = seat;
    this.isSharing = begun === "wait";
    return begun;
  }

  /** Another model serves the request: what is kept under a model's name must be that model's. */
  leaveCache(): void {
    this.#seat?.leave();
  }

  /** A kept answer as a whole response. */
  keptReply(answer: CachedAnswer, nowMs: number, requestId: string, keepAlive: boolean): Buffer {
    const hasType = this.#rewrite?.response?.drops(CONTENT_TYPE, 0, CONTENT_TYPE.length) !== true;
    return keptReply(
      hasType ? answer : { ...answer, contentType: "" },
      nowMs,
      requestId,
      keepAlive,
      this.#lines("hit"),
    );
  }

  // ---- the answer

  /** The head of the answer came; `isFramed`: one can tell whether all of its body comes. */
  answers(head: ResponseHead, buffer: Buffer, isFramed: boolean): void {
    this.#seat?.answers(head, buffer, isFramed);
  }

  /** Bytes [start, end) of the answer's framed body came. */
  answerBody(
    chunks: ChunkScanner | null,
    buffer: Buffer,
    start: number,
    end: number,
    ended: boolean,
    nowMs: number,
  ): void {
    this.#seat?.body(chunks, buffer, start, end, ended, nowMs);
  }

  /** Marks the lines of an answer's head that the client does not get; answers what it gets besides, up to the end. */
  dress(head: ResponseHead, buffer: Buffer, end: Buffer | null): Buffer {
    const { security } = this.#content;
    const rules = this.#rewrite?.response ?? null;
    for (let line = 0; line < head.lineCount; line++) {
      const start = head.lineStart[line] ?? 0;
      const stop = head.nameEnd[line] ?? 0;
      if (security?.drops(buffer, start, stop) === true || rules?.drops(buffer, start, stop) === true) {
        head.drop[line] = 1;
      }
    }
    // A target that is a router itself may have told of a model and a cache of its own.
    if (this.#servedBy !== "") dropField(head, buffer, MODEL_FIELD);
    if (this.#isCacheable) dropField(head, buffer, CACHE_FIELD);
    return Buffer.concat([this.#lines("miss"), end ?? CRLF]);
  }

  /** What is added to the head of an answer. */
  #lines(cache: "hit" | "miss"): Buffer {
    const model = this.#servedBy === "" ? "" : `${MODEL_FIELD}: ${this.#servedBy}\r\n`;
    const kept = this.#isCacheable ? `${CACHE_FIELD}: ${cache}\r\n` : "";
    return Buffer.concat([
      this.#rewrite?.response?.lines ?? NOTHING,
      this.#content.security?.lines ?? NOTHING,
      Buffer.from(model + kept),
    ]);
  }

  end(): void {
    this.#context.heldBytes -= this.shaped?.bytes.length ?? 0;
    this.shaped = null;
    this.#seat?.end();
    this.#seat = null;
  }
}

function dropField(head: ResponseHead, buffer: Buffer, name: string): void {
  const line = findField(buffer, head, name);
  if (line >= 0) head.drop[line] = 1;
}
