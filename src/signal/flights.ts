/**
 * What routers tell each other of the requests that they have in flight, so that many routers weigh a target's load as
 * one would. Each tells all others: what changed since it last told, every `flightIntervalMs`; and everything that is
 * not zero every second, so that what got lost is made good. What a router has not told for `FORGET_MS` counts as zero:
 * a router that died must not make targets look busy for ever.
 *
 * A target's place is known by a key, a hash of 48 bits of its id and model, since routers give rows numbers of their
 * own. Two places of 100,000 share one with a probability of 2e-5; then a little load counts at both.
 *
 * A message has its sender's life, drawn at random, and a number: an older one than the one read last is dropped, and the
 * first one of a new life ends what the life before had told.
 *
 * Limits: `PEERS_MAX` routers, `PLACES_MAX` places of each; messages of at most `packetBytesMax`.
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { keyOf } from "../base/key.ts";
import type { Prng } from "../base/prng.ts";
import { decode, encode } from "./quantity.ts";
import { MESSAGE } from "./wire.ts";

export interface Load {
  readonly requests: number;
  readonly tokens: number;
}

const PEERS_MAX = 256;
const PLACES_MAX = 65_536;
const REFRESH_MS = 1000;
const FORGET_MS = 3500;
/** A place that became empty is told so often: until then others hold its last load. */
const ZERO_TIMES = 3;
/** Tokens that differ by less, or by less than a sixteenth, are not news. */
const TOKENS_GRAIN = 64;
const ENTRY_BYTES_MAX = 6 + 5 + 3;
const REQUESTS_MAX = 2 ** 24;
const TOKENS_MAX = 2 ** 31;
export const NO_LOAD: Load = { requests: 0, tokens: 0 };

/** The key of a place. */
export function placeKey(target: string, model: string): number {
  return keyOf(`${target}\n${model}`);
}

interface Told {
  requests: number;
  tokens: number;
  zeros: number;
}

/** What this router tells. */
export class FlightTeller {
  readonly #told = new Map<number, Told>();
  readonly #writer: ByteWriter;
  readonly #packetBytesMax: number;
  readonly #life: number;
  #seq = 0;
  #refreshAtMs = -Infinity;

  constructor(packetBytesMax: number, prng: Prng) {
    this.#life = prng.nextU32();
    this.#packetBytesMax = packetBytesMax;
    this.#writer = new ByteWriter(packetBytesMax);
  }

  /** The messages for all other routers, from this router's load at each place; none when there is no news. */
  tell(loads: Iterable<readonly [key: number, load: Load]>, nowMs: number): Uint8Array[] {
    const isRefresh = nowMs >= this.#refreshAtMs;
    if (isRefresh) this.#refreshAtMs = nowMs + REFRESH_MS;
    const packets: Uint8Array[] = [];
    this.#writer.at = 0;
    // Places that are no more have no load; nobody else would say so.
    const gone = isRefresh ? new Set(this.#told.keys()) : undefined;
    for (const [key, load] of loads) {
      gone?.delete(key);
      if (this.#isNews(key, load, isRefresh)) this.#write(key, load, packets);
    }
    for (const key of gone ?? []) if (this.#isNews(key, NO_LOAD, true)) this.#write(key, NO_LOAD, packets);
    if (this.#writer.at > 0) packets.push(this.#writer.bytes());
    return packets;
  }

  #write(key: number, { requests, tokens }: Load, packets: Uint8Array[]): void {
    const writer = this.#writer;
    if (writer.at === 0) {
      this.#seq = (this.#seq + 1) >>> 0;
      writer.byte(MESSAGE.flights);
      writer.fixed32(this.#life);
      writer.varint(this.#seq);
    }
    writer.fixed48(key);
    writer.varint(requests);
    writer.varint(encode("size", tokens));
    if (writer.at + ENTRY_BYTES_MAX <= this.#packetBytesMax) return;
    packets.push(writer.bytes());
    writer.at = 0;
  }

  #isNews(key: number, { requests, tokens }: Load, isRefresh: boolean): boolean {
    const told = this.#told.get(key);
    if (requests === 0 && tokens === 0) {
      if (told === undefined) return false;
      told.zeros += 1;
      if (told.zeros >= ZERO_TIMES) this.#told.delete(key);
      return true;
    }
    if (told === undefined) {
      this.#told.set(key, { requests, tokens, zeros: 0 });
      return true;
    }
    const grain = Math.max(TOKENS_GRAIN, told.tokens / 16);
    if (!isRefresh && told.requests === requests && Math.abs(told.tokens - tokens) < grain) return false;
    told.requests = requests;
    told.tokens = tokens;
    told.zeros = 0;
    return true;
  }
}

interface Heard extends Load {
  readonly atMs: number;
}

interface Peer {
  life: number;
  seq: number;
  readonly places: Map<number, Heard>;
}

const reader = new ByteReader();

/** What the other routers have told. */
export class PeerFlights {
  readonly #peers = new Map<string, Peer>();
  /** Sums over all peers, kept as they speak. */
  readonly #sums = new Map<number, { requests: number; tokens: number }>();
  malformed = 0;

  /** Routers that have something in flight. */
  get peers(): number {
    let busy = 0;
    for (const { places } of this.#peers.values()) if (places.size > 0) busy += 1;
    return busy;
  }

  /** What all others have in flight at a place. */
  load(key: number): Load {
    return this.#sums.get(key) ?? NO_LOAD;
  }

  /** A message of another router; answers the keys of the places whose load it changed. */
  receive(from: string, packet: Uint8Array, nowMs: number): number[] {
    const told = readFlights(packet);
    if (told === undefined) {
      this.malformed += 1;
      return [];
    }
    const changed: number[] = [];
    let peer = this.#peers.get(from);
    if (peer !== undefined && peer.life !== told.life) {
      changed.push(...this.forget(from));
      peer = undefined;
    }
    if (peer === undefined) {
      if (this.#peers.size >= PEERS_MAX) return changed;
      peer = { life: told.life, seq: told.seq - 1, places: new Map() };
      this.#peers.set(from, peer);
    }
    if (((told.seq - peer.seq) | 0) <= 0) return changed;
    peer.seq = told.seq;
    for (const [key, load] of told.entries) {
      const before = peer.places.get(key);
      const isZero = load.requests === 0 && load.tokens === 0;
      if (before === undefined && (isZero || peer.places.size >= PLACES_MAX)) continue;
      if (isZero) peer.places.delete(key);
      else peer.places.set(key, { ...load, atMs: nowMs });
      if (this.#add(key, load, before ?? NO_LOAD)) changed.push(key);
    }
    return changed;
  }

  /** Forgets what was not told for a while; answers the keys whose load changed by it. */
  expire(nowMs: number): number[] {
    const changed: number[] = [];
    for (const { places } of this.#peers.values()) {
      for (const [key, heard] of places) {
        if (nowMs - heard.atMs < FORGET_MS) continue;
        places.delete(key);
        if (this.#add(key, NO_LOAD, heard)) changed.push(key);
      }
    }
    return changed;
  }

  /** The router is gone, and its requests with it. */
  forget(from: string): number[] {
    const places = this.#peers.get(from)?.places ?? [];
    this.#peers.delete(from);
    return [...places].flatMap(([key, heard]) => (this.#add(key, NO_LOAD, heard) ? [key] : []));
  }

  #add(key: number, load: Load, before: Load): boolean {
    const requests = load.requests - before.requests;
    const tokens = load.tokens - before.tokens;
    if (requests === 0 && tokens === 0) return false;
    const sum = this.#sums.get(key) ?? { requests: 0, tokens: 0 };
    sum.requests += requests;
    sum.tokens += tokens;
    if (sum.requests === 0 && sum.tokens === 0) this.#sums.delete(key);
    else this.#sums.set(key, sum);
    return true;
  }
}

/** A whole message, or undefined when any of it is not right. */
function readFlights(packet: Uint8Array): { life: number; seq: number; entries: [number, Load][] } | undefined {
  reader.read(packet);
  if (reader.byte() !== MESSAGE.flights) return undefined;
  const life = reader.fixed32();
  const seq = reader.varint();
  const entries: [number, Load][] = [];
  while (!reader.bad && reader.at < reader.end) {
    const key = reader.fixed48();
    const requests = reader.varint();
    const tokens = decode("size", reader.varint());
    if (tokens === undefined || requests > REQUESTS_MAX || tokens > TOKENS_MAX) return undefined;
    entries.push([key, { requests, tokens }]);
  }
  return reader.bad ? undefined : { life, seq, entries };
}
