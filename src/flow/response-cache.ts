/**
 * A bounded cache of whole answers, and single flight: of several requests that are the same, one goes to a target and
 * the others wait for its answer.
 *
 * Exact: the key's bytes are kept and compared, so no two requests ever share an answer because of a hash; the hash only
 * finds them. It is seeded, and its chains are bounded, so that nobody can make look-ups slow. What belongs into a key
 * the caller decides: all that the answer depends on, and who may see it (`cacheKey`).
 *
 * An entry is used for `ttlMs` after its answer came and then replaced; the entry that was used longest ago makes room
 * for a new one. An answer that fails, or is no 200, is not kept, and those that wait for it go on by themselves rather
 * than one after the other behind a target that fails. A leader that takes longer than `waitMs` lets its waiters go
 * (`expire`). One cache serves one worker: it shares nothing and needs no lock.
 */
import { assert } from "../base/assert.ts";
import { list } from "../base/settings-collections.ts";
import { bytes, duration, flag, section, text } from "../base/settings.ts";
import type { Infer } from "../base/settings.ts";

export const cacheSettings = section({
  enabled: flag({
    default: false,
    doc: "Keep whole answers of embeddings, and of completions with temperature 0, and give them to requests that are the same byte for byte and carry the same credentials. Off, since a runtime need not give the same answer twice, and some clients count on that.",
  }),
  ttlMs: duration({
    default: "5m",
    min: "1s",
    max: "30d",
    doc: "How long an answer is used. A model that is exchanged under its old name is answered for from the cache for so long.",
  }),
  bytesMax: bytes({
    default: "64MiB",
    min: "64KiB",
    max: "64GiB",
    doc: "Most memory that one worker's kept answers may take, their requests included: both are kept, to compare exactly.",
  }),
  entryBytesMax: bytes({
    default: "1MiB",
    min: "1KiB",
    max: "1GiB",
    doc: "Longest answer, with its request, that is kept.",
  }),
  keyHeaders: list(text({ pattern: /^[a-z0-9-]{1,64}$/, expected: "a header's name in lower case" }), {
    default: [],
    lengthMax: 32,
    placeholder: "NAME,...",
    emptyMeans: "the usual ones",
    doc: "Further request headers by which clients are told apart, or answers differ; the usual ones (authorization, cookies, API keys, x-infermesh-tenant, accept and its language) always count. Name here whatever else tells your targets who asks.",
  }),
  waitMs: duration({
    default: "30s",
    min: "10ms",
    max: "1h",
    doc: "How long a request waits for the same one under way before it goes to a target of its own.",
  }),
});

export type CacheConfig = Infer<typeof cacheSettings>;

export interface CachedAnswer {
  readonly contentType: string;
  /** Not to be written to: it is what the next one gets. */
  readonly body: Uint8Array;
  /** When it came; tells its age. */
  readonly storedMs: number;
}

/** A request on its way to a target, with those that wait for the same answer. */
export class Flight<W> {
  readonly key: Uint8Array;
  readonly hash: number;
  readonly startedMs: number;
  readonly waiters: W[] = [];
  /** Whether it can still be joined, settled and failed. */
  open = true;

  constructor(key: Uint8Array, hash: number, startedMs: number) {
    this.key = key;
    this.hash = hash;
    this.startedMs = startedMs;
  }
}

/** hit: here it is. lead: go, and settle or fail. wait: it will be told. pass: go, without the cache. */
export type Begun<W> =
  | { readonly kind: "hit"; readonly answer: CachedAnswer }
  | { readonly kind: "lead" | "wait"; readonly flight: Flight<W> }
  | { readonly kind: "pass" };

/** What an entry takes beside its bytes: the objects around them. */
const ENTRY_BYTES = 256;
/** Entries or flights with one hash; a chain gets this long by chance never, and by intent at most. */
const CHAIN_MAX = 8;
const WAITERS_MAX = 4096;
const PASS = Object.freeze({ kind: "pass" as const });

class Entry {
  readonly key: Uint8Array;
  readonly hash: number;
  readonly answer: CachedAnswer;
  readonly bytes: number;
  /** Neighbours by use. */
  newer: Entry | null = null;
  older: Entry | null = null;

  constructor(key: Uint8Array, hash: number, answer: CachedAnswer) {
    this.key = key;
    this.hash = hash;
    this.answer = answer;
    this.bytes = key.length + answer.body.length + answer.contentType.length + ENTRY_BYTES;
  }
}

/** One key of several parts, such that no two lists of parts give the same: each has its length before it. */
export function cacheKey(parts: readonly Uint8Array[]): Uint8Array {
  const key = new Uint8Array(parts.reduce((sum, part) => sum + part.length + 4, 0));
  const view = new DataView(key.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    key.set(part, at + 4);
    at += 4 + part.length;
  }
  return key;
}

/** `W`: whoever waits, as the caller knows it. */
export class ResponseCache<W> {
  readonly #config: CacheConfig;
  readonly #seed: number;
  readonly #entries = new Map<number, Entry[]>();
  readonly #flights = new Map<number, Flight<W>[]>();
  #newest: Entry | null = null;
  #oldest: Entry | null = null;
  #bytes = 0;
  #count = 0;

  /** `seed`: any 32 bits that clients can't know. */
  constructor(config: CacheConfig, seed: number) {
    this.#config = config;
    this.#seed = seed >>> 0;
  }

  /** Memory that the entries take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Entries, those that are too old included. */
  get size(): number {
    return this.#count;
  }

  /** A request with this key has come; the key is kept, not copied. */
  begin(key: Uint8Array, waiter: W, nowMs: number): Begun<W> {
    const hash = hashOf(key, this.#seed);
    const entry = this.#entries.get(hash)?.find((one) => isSame(one.key, key));
    if (entry !== undefined) {
      if (nowMs - entry.answer.storedMs < this.#config.ttlMs) {
        this.#unlink(entry);
        this.#link(entry);
        return { kind: "hit", answer: entry.answer };
      }
      this.#remove(entry);
    }
    const chain = this.#flights.get(hash) ?? [];
    const flight = chain.find((one) => isSame(one.key, key));
    if (flight !== undefined) {
      if (nowMs - flight.startedMs >= this.#config.waitMs || flight.waiters.length >= WAITERS_MAX) return PASS;
      flight.waiters.push(waiter);
      return { kind: "wait", flight };
    }
    if (chain.length >= CHAIN_MAX || key.length + ENTRY_BYTES > this.#config.entryBytesMax) return PASS;
    const led = new Flight<W>(key, hash, nowMs);
    chain.push(led);
    this.#flights.set(hash, chain);
    return { kind: "lead", flight: led };
  }

  /**
   * The leader's answer has come, whole, with status 200. Answers who waits for it, each to be given the answer, and
   * keeps it where it fits.
   */
  settle(
    flight: Flight<W>,
    contentType: string,
    body: Uint8Array,
    nowMs: number,
  ): { answer: CachedAnswer; waiters: W[] } {
    const waiters = this.#land(flight);
    const answer = Object.freeze({ contentType, body, storedMs: nowMs });
    const entry = new Entry(flight.key, flight.hash, answer);
    if (entry.bytes <= this.#config.entryBytesMax && entry.bytes <= this.#config.bytesMax) this.#insert(entry);
    return { answer, waiters };
  }

  /** The leader failed, was refused or went away, or its answer can't be kept: who waited goes on without the cache. */
  fail(flight: Flight<W>): W[] {
    return this.#land(flight);
  }

  /** One that waits has gone; false when it was not waiting (any more). */
  leave(flight: Flight<W>, waiter: W): boolean {
    const at = flight.waiters.indexOf(waiter);
    if (at < 0) return false;
    flight.waiters.splice(at, 1);
    return true;
  }

  /** Who has waited long enough, and goes on without the cache; their leaders go on too. */
  expire(nowMs: number): W[] {
    const gone: W[] = [];
    for (const chain of this.#flights.values()) {
      for (const flight of chain) {
        if (nowMs - flight.startedMs >= this.#config.waitMs) gone.push(...flight.waiters.splice(0));
      }
    }
    return gone;
  }

  /** Forgets every answer, as when the models have changed; flights go on. */
  clear(): void {
    this.#entries.clear();
    this.#newest = null;
    this.#oldest = null;
    this.#bytes = 0;
    this.#count = 0;
  }

  #land(flight: Flight<W>): W[] {
    assert(flight.open, "a flight of the response cache ended twice");
    flight.open = false;
    const chain = this.#flights.get(flight.hash) ?? [];
    const left = chain.filter((one) => one !== flight);
    if (left.length === 0) this.#flights.delete(flight.hash);
    else this.#flights.set(flight.hash, left);
    return flight.waiters.splice(0);
  }

  #insert(entry: Entry): void {
    const chain = this.#entries.get(entry.hash) ?? [];
    const same = chain.find((one) => isSame(one.key, entry.key)) ?? (chain.length >= CHAIN_MAX ? chain[0] : undefined);
    if (same !== undefined) this.#remove(same);
    while (this.#oldest !== null && this.#bytes + entry.bytes > this.#config.bytesMax) this.#remove(this.#oldest);
    const room = this.#entries.get(entry.hash);
    if (room === undefined) this.#entries.set(entry.hash, [entry]);
    else room.push(entry);
    this.#bytes += entry.bytes;
    this.#count++;
    this.#link(entry);
  }

  #remove(entry: Entry): void {
    const chain = this.#entries.get(entry.hash) ?? [];
    chain.splice(chain.indexOf(entry), 1);
    if (chain.length === 0) this.#entries.delete(entry.hash);
    this.#bytes -= entry.bytes;
    this.#count--;
    this.#unlink(entry);
  }

  #link(entry: Entry): void {
    entry.older = this.#newest;
    if (this.#newest !== null) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
  }

  #unlink(entry: Entry): void {
    if (entry.newer === null) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === null) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    entry.newer = null;
    entry.older = null;
  }
}

/** FNV-1a from a secret start, stirred at the end: it need not be strong, since keys are compared. */
function hashOf(key: Uint8Array, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key[i]!, 0x01000193);
  hash ^= hash >>> 16;
  return Math.imul(hash, 0x85ebca6b) >>> 0;
}

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  return true;
}
