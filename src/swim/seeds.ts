/**
 * Which seeds to ask for the mesh, and when. A seed is the address of a node that may be a member: people, DNS and files
 * name them, the shell looks them up and asks them (a push/pull that joins).
 *
 *     const seeds = new Seeds(prng, nowMs);
 *     seeds.told(event);                         // every event of the membership; true: wake it
 *     seeds.replace(addresses, nowMs);           // what is known of names and files; `looked` ends the look
 *     seeds.ended(address, result, why, nowMs);  // a join that was ordered is over
 *     seeds.wake(nowMs);                         // after the others, and at or after wakeAtMs
 *     const { joins, lookUp, news, wakeAtMs } = seeds.take();
 *
 * The rule: a seed that is the address of no present member (alive or suspect) is asked, for ever, with pauses that grow
 * from 0.5 s to 30 s. So a node finds the mesh, two meshes that started apart grow together once one member of either
 * knows a seed in the other, and a partition heals even after each side has forgotten the other. Names are looked up at
 * the same growing pauses, up to a minute, whether or not all seeds are members: a name that was looked up too early
 * would otherwise keep two meshes apart. All pauses begin anew for a node that is left alone.
 *
 * What that costs: above 32 members pauses grow with the mesh, so that all members together ask a seed that does not
 * answer about once a second, and look a name up about once in two seconds. A seed that was a member and is lost is not
 * asked in a hurry: all members lose it at once, and `healing.ts` is after it as well. One that lets us in and is no
 * member's address (a second address of a member, a load balancer) is an alias; of all aliases one is asked in 5 min.
 *
 * Limits: `SEEDS_MAX`, of more a random choice; 3 joins at once, up to 16 for a node that is alone and gets no answer.
 */
import type { Prng } from "../base/prng.ts";
import type { JoinResult, SwimEvent } from "./event.ts";

export const SEEDS_MAX = 1024;
const JOINS = 3;
const JOINS_MAX = 16;
const FIRST_PAUSE_MS = 500;
const PAUSE_MS_MAX = 30_000;
const LOOK_PAUSE_MS_MAX = 60_000;
const ALIAS_PAUSE_MS = 300_000;
/** Pauses have reached their longest by then. */
const TRIES_MAX = 8;
/** Members above which pauses grow. */
const CALM_MEMBERS = 32;
/** A node may be alone for so long before it is worth a word; then it is told again at the second figure. */
const LONELY_MS = 3000;
const LONELY_AGAIN_MS = 600_000;

/** What is worth telling: a node is alone and knows of seeds (perhaps of none); and that is over. */
export type SeedNews =
  | {
      readonly kind: "lonely";
      readonly forMs: number;
      /** Why each seed did not let us in; "" where it is being asked for the first time. */
      readonly unreached: readonly { readonly address: string; readonly why: string }[];
    }
  | { readonly kind: "found"; readonly afterMs: number };

export interface SeedsOutput {
  /** To be asked now; the end of each is told once by `ended`. */
  readonly joins: readonly string[];
  /** Names and files are to be looked at; the end is told by `looked`. */
  readonly lookUp: boolean;
  readonly news: readonly SeedNews[];
  readonly wakeAtMs: number;
}

interface Seed {
  readonly address: string;
  /** Since it was found, or lost. */
  tries: number;
  dueAtMs: number;
  isAlias: boolean;
  isPresent: boolean;
  /** What the last try came to. */
  why: string;
}

export class Seeds {
  readonly #prng: Prng;
  readonly #seeds = new Map<string, Seed>();
  readonly #asking = new Set<string>();
  /** Present members, by id. */
  readonly #addresses = new Map<string, string>();
  /** How many of them have that address. */
  readonly #tenants = new Map<string, number>();
  /** Seeds, or members at their addresses, have changed since they were compared. */
  #isChanged = false;
  #isAlone = true;
  #isTold = false;
  #aloneAtMs: number;
  #tellAtMs: number;
  /** Infinity while one is under way. */
  #lookAtMs: number;
  #looks = 0;
  #aliasAtMs = Infinity;
  #wakeAtMs: number;
  #joins: string[] = [];
  #lookUp = false;
  #news: SeedNews[] = [];

  constructor(prng: Prng, nowMs: number) {
    this.#prng = prng;
    this.#aloneAtMs = nowMs;
    this.#tellAtMs = nowMs + LONELY_MS;
    this.#lookAtMs = nowMs;
    this.#wakeAtMs = nowMs;
  }

  /** The membership has changed; whether that is a reason to wake. Of hundreds who join, few are seeds. */
  told({ kind, id, address }: SwimEvent): boolean {
    if (kind === "joined" || kind === "alive-again") this.#move(id, address);
    else if (kind === "updated" && this.#addresses.has(id)) this.#move(id, address);
    else if (kind === "failed" || kind === "left") this.#move(id, undefined);
    return this.#isChanged || this.#isAlone !== (this.#addresses.size === 0);
  }

  /** The seeds are these now. Those that were known keep their pauses. */
  replace(addresses: readonly string[], nowMs: number): void {
    this.#isChanged = true;
    const chosen = new Set(addresses.length > SEEDS_MAX ? this.#some([...new Set(addresses)]) : addresses);
    for (const address of this.#seeds.keys()) if (!chosen.has(address)) this.#seeds.delete(address);
    for (const address of this.#some([...chosen])) {
      if (this.#seeds.has(address)) continue;
      const dueAtMs = this.#isAlone ? nowMs : nowMs + this.#prng.next() * this.#pause(0, PAUSE_MS_MAX);
      this.#seeds.set(address, { address, tries: 0, dueAtMs, isAlias: false, isPresent: false, why: "" });
    }
  }

  /** A look at names and files is over. */
  looked(nowMs: number): void {
    this.#lookAtMs = nowMs + this.#jittered(this.#pause(this.#looks, LOOK_PAUSE_MS_MAX));
    this.#looks = Math.min(TRIES_MAX, this.#looks + 1);
  }

  /** There is reason to look at names and files at once. */
  look(nowMs: number): void {
    this.#looks = 0;
    if (this.#lookAtMs !== Infinity) this.#lookAtMs = nowMs;
  }

  /** A join is over; `why` says in short what became of one that did not let us in. */
  ended(address: string, result: JoinResult, why: string, nowMs: number): void {
    const seed = this.#seeds.get(address);
    if (!this.#asking.delete(address) || seed === undefined) return;
    seed.isAlias = result === "joined" && this.#addresses.size > 0;
    seed.why = result === "joined" ? "answers, and is this node itself" : why;
    seed.dueAtMs = nowMs + this.#jittered(this.#pause(seed.tries, PAUSE_MS_MAX));
    seed.tries = Math.min(TRIES_MAX, seed.tries + 1);
    if (seed.isAlias && this.#aliasAtMs === Infinity) this.#aliasAtMs = nowMs + this.#aliasPause();
  }

  /** Decides what is to be done now. */
  wake(nowMs: number): void {
    if (this.#isChanged) this.#compare(nowMs);
    const isAlone = this.#addresses.size === 0;
    if (isAlone !== this.#isAlone) {
      this.#isAlone = isAlone;
      if (isAlone) this.#parted(nowMs);
      else this.#met(nowMs);
    }
    if (nowMs >= this.#lookAtMs) {
      this.#lookUp = true;
      this.#lookAtMs = Infinity;
    }
    this.#ask(nowMs);
    if (isAlone && nowMs >= this.#tellAtMs) {
      const unreached = [...this.#seeds.values()].map(({ address, why }) => ({ address, why }));
      this.#news.push({ kind: "lonely", forMs: nowMs - this.#aloneAtMs, unreached });
      this.#isTold = true;
      this.#tellAtMs = nowMs + LONELY_AGAIN_MS;
    }
    if (isAlone) this.#wakeAtMs = Math.min(this.#wakeAtMs, this.#tellAtMs);
    this.#wakeAtMs = Math.min(this.#wakeAtMs, this.#lookAtMs);
  }

  /** What to do since the last take. */
  take(): SeedsOutput {
    const output = { joins: this.#joins, lookUp: this.#lookUp, news: this.#news, wakeAtMs: this.#wakeAtMs };
    this.#joins = [];
    this.#lookUp = false;
    this.#news = [];
    return output;
  }

  // ---- alone, and not

  /** Which seeds are members now. */
  #compare(nowMs: number): void {
    this.#isChanged = false;
    for (const seed of this.#seeds.values()) {
      const wasPresent = seed.isPresent;
      seed.isPresent = this.#tenants.has(seed.address);
      if (!wasPresent || seed.isPresent) continue;
      seed.tries = TRIES_MAX;
      seed.isAlias = false;
      seed.dueAtMs = nowMs + this.#prng.next() * this.#pause(TRIES_MAX, PAUSE_MS_MAX);
    }
  }

  #parted(nowMs: number): void {
    this.#aloneAtMs = nowMs;
    this.#tellAtMs = nowMs + LONELY_MS;
    this.#aliasAtMs = Infinity;
    this.look(nowMs + this.#prng.next() * FIRST_PAUSE_MS);
    for (const seed of this.#seeds.values()) {
      seed.tries = 0;
      seed.isAlias = false;
      seed.dueAtMs = nowMs + this.#prng.next() * FIRST_PAUSE_MS;
    }
  }

  #met(nowMs: number): void {
    if (this.#isTold) this.#news.push({ kind: "found", afterMs: nowMs - this.#aloneAtMs });
    this.#isTold = false;
    // Many may have met at this moment: what is still to be asked is asked at the pace of the mesh that they make.
    for (const seed of this.#seeds.values()) {
      const soonestMs = nowMs + this.#prng.next() * this.#pause(seed.tries, PAUSE_MS_MAX);
      seed.dueAtMs = Math.max(seed.dueAtMs, soonestMs);
    }
  }

  /** Orders joins as far as there is room, those due longest first, and finds when to look again. */
  #ask(nowMs: number): void {
    const rounds = Math.floor((nowMs - this.#aloneAtMs) / FIRST_PAUSE_MS);
    const room = this.#isAlone ? Math.min(JOINS_MAX, JOINS * 2 ** Math.min(rounds, 4)) : JOINS;
    let next = this.#mostDue(nowMs);
    for (; next !== undefined && this.#asking.size < room; next = this.#mostDue(nowMs)) this.#order(next);
    this.#wakeAtMs = Infinity;
    for (const { dueAtMs, isAlias, isPresent } of this.#seeds.values()) {
      if (dueAtMs > nowMs && !isAlias && !isPresent) this.#wakeAtMs = Math.min(this.#wakeAtMs, dueAtMs);
    }
    // Who waits for room gets it when a join ends, or when there is more of it.
    if (next !== undefined && this.#isAlone && room < JOINS_MAX) {
      this.#wakeAtMs = Math.min(this.#wakeAtMs, this.#aloneAtMs + (rounds + 1) * FIRST_PAUSE_MS);
    }
    if (nowMs >= this.#aliasAtMs) this.#askAlias(nowMs);
    this.#wakeAtMs = Math.min(this.#wakeAtMs, this.#aliasAtMs);
  }

  #mostDue(nowMs: number): Seed | undefined {
    let most: Seed | undefined;
    for (const seed of this.#seeds.values()) {
      if (seed.dueAtMs > nowMs || seed.isAlias || seed.isPresent || this.#asking.has(seed.address)) continue;
      if (most === undefined || seed.dueAtMs < most.dueAtMs) most = seed;
    }
    return most;
  }

  #askAlias(nowMs: number): void {
    const aliases = [...this.#seeds.values()].filter(({ isAlias, isPresent }) => isAlias && !isPresent);
    const seed = aliases.length === 0 ? undefined : aliases[this.#prng.int(aliases.length)];
    this.#aliasAtMs = seed === undefined ? Infinity : nowMs + this.#aliasPause();
    if (seed !== undefined && !this.#asking.has(seed.address)) this.#order(seed);
  }

  #order({ address }: Seed): void {
    this.#asking.add(address);
    this.#joins.push(address);
  }

  // ---- small things

  #move(id: string, address: string | undefined): void {
    const before = this.#addresses.get(id);
    if (this.#seeds.has(before ?? "") || this.#seeds.has(address ?? "")) this.#isChanged = true;
    if (before !== undefined) {
      const left = (this.#tenants.get(before) ?? 1) - 1;
      if (left === 0) this.#tenants.delete(before);
      else this.#tenants.set(before, left);
    }
    if (address === undefined) this.#addresses.delete(id);
    else {
      this.#addresses.set(id, address);
      this.#tenants.set(address, (this.#tenants.get(address) ?? 0) + 1);
    }
  }

  /** After so many tries, in milliseconds. */
  #pause(tries: number, max: number): number {
    return Math.min(max, FIRST_PAUSE_MS * 2 ** tries) * this.#crowd;
  }

  #aliasPause(): number {
    return this.#jittered(ALIAS_PAUSE_MS * this.#crowd);
  }

  get #crowd(): number {
    return Math.max(1, (this.#addresses.size + 1) / CALM_MEMBERS);
  }

  #jittered(ms: number): number {
    return ms * (0.5 + this.#prng.next());
  }

  /** Up to `SEEDS_MAX` of them, in an order drawn by chance. */
  #some(addresses: string[]): string[] {
    for (let index = 0; index < addresses.length && index < SEEDS_MAX; index += 1) {
      const other = index + this.#prng.int(addresses.length - index);
      [addresses[index], addresses[other]] = [addresses[other]!, addresses[index]!];
    }
    return addresses.slice(0, SEEDS_MAX);
  }
}
