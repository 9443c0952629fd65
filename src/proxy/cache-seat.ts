/**
 * One request's part in the cache of answers (flow/response-cache.ts): it gives the answer, waits for another request's,
 * or leads, and its answer is taken down as it goes by. A seat serves one request and knows when that has gone, so that
 * an answer which comes later reaches nobody else.
 *
 * What is kept is what any client with the same request may have: status 200, whole, without coding and cookies, and not
 * where the target says no-store, no-cache or private (RFC 9111 section 5.2.2) or that the answer varies by what is not
 * in the key. Who asks with no-cache or no-store goes past it, and so do pages of browsers (Origin), which need the
 * target's own permission. The key holds what an answer depends on and who may see it: target, model, credentials, what
 * is accepted, and the body as the target gets it.
 */
import { cacheKey } from "../flow/response-cache.ts";
import type { CacheConfig, CachedAnswer, Flight, ResponseCache } from "../flow/response-cache.ts";
import type { ApiShape } from "../wire/api-shapes.ts";
import type { ChunkScanner } from "../wire/chunks.ts";
import { fieldValues, findField } from "../wire/field-search.ts";
import type { ResponseHead } from "../wire/http1.ts";
import { CanonicalBody } from "../wire/json-canonical.ts";
import type { PlainBody } from "./reshape.ts";

/** Whoever waits for another's answer. */
export interface Sharer {
  /** Here it is. */
  shared(answer: CachedAnswer): void;
  /** It will not come: go to a target of your own. */
  alone(): void;
}

/** The worker's budget for what it holds: a context. */
export interface Memory {
  heldBytes: number;
  readonly config: { readonly bufferBytesMax: number };
}

/** Fields of a request by which answers may differ, or by which targets know who asks. */
const KEY_FIELDS = [
  "authorization",
  "x-api-key",
  "api-key",
  "x-auth-token",
  "x-goog-api-key",
  "ocp-apim-subscription-key",
  "cookie",
  "x-infermesh-tenant",
  "openai-organization",
  "openai-project",
  "accept",
  "accept-language",
] as const;
/** Lines of a head by which a client goes past the cache, and a target's answer does not get into it. */
const PAST_CACHE = /^(?:cache-control:.*\bno-(?:cache|store)\b|origin:)/im;
const VARY = /^vary:(.*)$/gim;
const NOT_FOR_KEEPING = /^cache-control:.*\b(?:no-cache|no-store|private)\b/im;
/** An answer with one of these is not the same for everybody. */
const PERSONAL_FIELDS = ["set-cookie", "content-encoding"] as const;
/** What an answer may vary by: what is in the key, and what no request has whose answer is kept. */
const MAY_VARY: ReadonlySet<string> = new Set([
  ...KEY_FIELDS,
  "accept-encoding",
  "origin",
  "access-control-request-headers",
  "access-control-request-method",
]);

const canonical = new CanonicalBody();

/** Whether requests of this API may be answered from the cache, as far as their head tells. */
export function isCacheable(shape: ApiShape, held: Buffer, bodyAt: number): boolean {
  return shape.cache !== "never" && !PAST_CACHE.test(held.toString("latin1", 0, bodyAt));
}

/**
 * What stands for a request in the cache; null where its answer may not be kept. `held` has its head before `bodyAt`,
 * of which `keyHeaders` count besides the usual ones.
 */
export function keyOf(
  shape: ApiShape,
  target: Uint8Array,
  model: string,
  held: Buffer,
  bodyAt: number,
  body: PlainBody,
  keyHeaders: readonly string[],
): Uint8Array | null {
  if (!canonical.read(body.bytes, body.start, body.end) || canonical.streams) return null;
  if (shape.cache !== "always" && !canonical.isGreedy) return null;
  // Lines of one name together: a client may send its cookies in several.
  const fields = [...KEY_FIELDS, ...keyHeaders].map((name) =>
    Buffer.from(fieldValues(held, bodyAt, name).join("\n"), "latin1"),
  );
  return cacheKey([target, Buffer.from(model), ...fields, canonical.bytes]);
}

export class CacheSeat {
  readonly #cache: ResponseCache<CacheSeat>;
  readonly #bytesMax: number;
  readonly #keyHeaders: readonly string[];
  readonly #memory: Memory;
  #owner: Sharer | null;
  #flight: Flight<CacheSeat> | null = null;
  #isLeader = false;
  /** What has come of the leader's answer; null: it is not taken down. */
  #pieces: Buffer[] | null = null;
  #bytes = 0;
  #type = "";

  /** `bytesMax` is the longest answer that is kept, `keyHeaders` what is in its key besides the usual fields. */
  constructor(
    cache: ResponseCache<CacheSeat>,
    { entryBytesMax, keyHeaders }: Pick<CacheConfig, "entryBytesMax" | "keyHeaders">,
    memory: Memory,
    owner: Sharer,
  ) {
    this.#cache = cache;
    this.#keyHeaders = keyHeaders;
    this.#bytesMax = entryBytesMax;
    this.#memory = memory;
    this.#owner = owner;
  }

  /** The kept answer; or whether the request waits for one, or goes to a target. */
  begin(key: Uint8Array, nowMs: number): CachedAnswer | "wait" | "go" {
    const begun = this.#cache.begin(key, this, nowMs);
    if (begun.kind === "hit") return begun.answer;
    if (begun.kind === "pass") return "go";
    this.#flight = begun.flight;
    this.#isLeader = begun.kind === "lead";
    return this.#isLeader ? "go" : "wait";
  }

  /** The head of the answer came; `isFramed`: one can tell whether all of its body comes. */
  answers(head: ResponseHead, buffer: Buffer, isFramed: boolean): void {
    if (!this.#isLeader) return;
    if (!isFramed || !mayKeep(head, buffer, this.#keyHeaders)) {
      this.leave();
      return;
    }
    const line = head.contentTypeLine;
    this.#type = line < 0 ? "" : buffer.toString("latin1", head.valueStart[line], head.valueEnd[line]);
    this.#pieces = [];
  }

  /** Bytes [start, end) of the answer's framed body came; the last ones end the flight. */
  body(chunks: ChunkScanner | null, buffer: Buffer, start: number, end: number, ended: boolean, nowMs: number): void {
    if (this.#pieces === null) return;
    let fits = true;
    if (chunks === null) {
      fits = this.#take(buffer, start, end);
    } else {
      for (let i = 0; fits && i < chunks.spanCount; i++) {
        fits = this.#take(buffer, chunks.spans[i * 2] ?? 0, chunks.spans[i * 2 + 1] ?? 0);
      }
    }
    if (!fits) this.leave();
    else if (ended) this.#settle(this.#pieces, nowMs);
  }

  /** Takes bytes down; false when that is more than is kept, or than there is memory for. */
  #take(buffer: Buffer, start: number, end: number): boolean {
    const memory = this.#memory;
    const more = end - start;
    if (this.#bytes + more > this.#bytesMax || memory.heldBytes + more > memory.config.bufferBytesMax) return false;
    this.#bytes += more;
    memory.heldBytes += more;
    // The buffer is the transport's.
    if (more > 0) this.#pieces?.push(Buffer.from(buffer.subarray(start, end)));
    return true;
  }

  #forget(): void {
    this.#memory.heldBytes -= this.#bytes;
    this.#bytes = 0;
    this.#pieces = null;
    this.#flight = null;
    this.#isLeader = false;
  }

  #settle(pieces: Buffer[], nowMs: number): void {
    const flight = this.#flight;
    this.#forget();
    if (flight === null) return;
    const { answer, waiters } = this.#cache.settle(flight, this.#type, Buffer.concat(pieces), nowMs);
    for (const waiter of waiters) waiter.#shared(answer);
  }

  #shared(answer: CachedAnswer): void {
    this.#flight = null;
    this.#owner?.shared(answer);
  }

  /** Its wait is over in vain. */
  alone(): void {
    this.#flight = null;
    this.#owner?.alone();
  }

  /** The request has no part in the cache any more: those that wait for its answer go on by themselves. */
  leave(): void {
    const flight = this.#flight;
    const isLeader = this.#isLeader;
    this.#forget();
    if (flight === null) return;
    if (isLeader) for (const waiter of this.#cache.fail(flight)) waiter.alone();
    else this.#cache.leave(flight, this);
  }

  /** The request is over. */
  end(): void {
    this.#owner = null;
    this.leave();
  }
}

function mayKeep(head: ResponseHead, buffer: Buffer, keyHeaders: readonly string[]): boolean {
  if (head.status !== 200 || head.eventStream) return false;
  if (PERSONAL_FIELDS.some((name) => findField(buffer, head, name) >= 0)) return false;
  const text = buffer.toString("latin1", head.lineStart[0], head.headEnd);
  const varied = [...text.matchAll(VARY)].flatMap(([, names = ""]) => names.toLowerCase().split(","));
  return (
    !NOT_FOR_KEEPING.test(text) && varied.every((one) => MAY_VARY.has(one.trim()) || keyHeaders.includes(one.trim()))
  );
}
