/**
 * The table of members: columns of numbers, indexed by the handle of the id, so that 5,000 members take some 40 bytes
 * each and nothing is searched. Present members (alive or suspect) stand in one list for round-robin probing and for
 * drawing by chance; failed and departed ones in another.
 *
 * Each member's record has two dates, both incarnations of its own: `incarnation`, the newest that was heard of, and
 * `profile`, that at which our copy of address, identity and metadata was announced.
 */
import type { Prng } from "../base/prng.ts";
import type { Acquaintances } from "./acquaintance.ts";
import type { Announcement } from "./announcement.ts";
import type { Member } from "./event.ts";
import type { Names } from "./lexicon.ts";

export const STATUS = { none: 0, alive: 1, suspect: 2, failed: 3, left: 4 } as const;
export type Status = (typeof STATUS)[keyof typeof STATUS];
export const STATUS_WORDS = ["none", "alive", "suspect", "failed", "left"] as const;

const NO_MEMBER = -1;

export class Members {
  readonly names: Names;
  status = new Uint8Array(0);
  incarnation = new Uint32Array(0);
  profile = new Uint32Array(0);
  identity = new Uint32Array(0);
  versions = new Uint16Array(0);
  address = new Int32Array(0);
  meta = new Int32Array(0);
  /** When the status changed, in tenths of seconds of the core's clock. */
  since = new Uint32Array(0);
  #place = new Int32Array(0);
  /** By address handle: who lives there, plus one. */
  #tenants = new Int32Array(0);
  #present = new Int32Array(16);
  presentCount = 0;
  readonly lost: number[] = [];
  #cursor = 0;
  #digest = 0;

  constructor(names: Names) {
    this.names = names;
    this.#widen();
  }

  get count(): number {
    return this.presentCount + this.lost.length;
  }

  /** The same in two tables that have the same members present at the same incarnations. */
  get digest(): number {
    return this.#digest >>> 0;
  }

  /** Takes in a member that is not in the table; `id`, `address` and `meta` were held for it. */
  add(id: number, address: number, meta: number): void {
    if (id >= this.status.length) this.#widen();
    this.status[id] = STATUS.none;
    this.address[id] = -1;
    this.meta[id] = meta;
    this.setAddress(id, address);
  }

  /** The address was held for it; the one before is let go. */
  setAddress(id: number, address: number): void {
    const before = this.address[id]!;
    if (before >= 0) {
      if (this.#tenants[before] === id + 1) this.#tenants[before] = 0;
      this.names.addresses.release(before);
    }
    if (address >= this.#tenants.length) {
      const wider = new Int32Array(Math.max(64, this.#tenants.length * 2, this.names.addresses.handlesMax));
      wider.set(this.#tenants);
      this.#tenants = wider;
    }
    this.address[id] = address;
    this.#tenants[address] = id + 1;
  }

  /** Who lives at the address (a handle, or -1), or -1. */
  tenant(address: number): number {
    return address < 0 || address >= this.#tenants.length ? NO_MEMBER : this.#tenants[address]! - 1;
  }

  known(id: number): boolean {
    return id >= 0 && id < this.status.length && this.status[id] !== STATUS.none;
  }

  present(id: number): boolean {
    if (id < 0 || id >= this.status.length) return false;
    const status = this.status[id]!;
    return status === STATUS.alive || status === STATUS.suspect;
  }

  /** This node itself: known, but in no list. */
  addSelf(id: number, incarnation: number, nowTenths: number): void {
    this.status[id] = STATUS.alive;
    this.incarnation[id] = incarnation;
    this.profile[id] = incarnation;
    this.since[id] = nowTenths;
    this.#digest ^= this.#mark(id);
  }

  raiseSelf(id: number, incarnation: number): void {
    this.#digest ^= this.#mark(id);
    this.incarnation[id] = incarnation;
    this.#digest ^= this.#mark(id);
  }

  /** Moves the member between the lists and keeps the digest. */
  set(id: number, status: Status, incarnation: number, nowTenths: number, prng: Prng): void {
    const before = this.status[id]!;
    const wasPresent = before === STATUS.alive || before === STATUS.suspect;
    const isPresent = status === STATUS.alive || status === STATUS.suspect;
    if (wasPresent) this.#digest ^= this.#mark(id);
    this.status[id] = status;
    this.incarnation[id] = incarnation;
    if (isPresent) this.#digest ^= this.#mark(id);
    if (before !== status) this.since[id] = nowTenths;
    if (wasPresent !== isPresent || before === STATUS.none) {
      if (before !== STATUS.none) this.#leaveList(id, wasPresent);
      this.#enterList(id, isPresent, prng);
    }
  }

  /** Forgets the member and lets go of its handles. */
  remove(id: number): void {
    const wasPresent = this.present(id);
    if (wasPresent) this.#digest ^= this.#mark(id);
    this.#leaveList(id, wasPresent);
    this.status[id] = STATUS.none;
    const address = this.address[id]!;
    if (this.#tenants[address] === id + 1) this.#tenants[address] = 0;
    this.names.addresses.release(address);
    this.names.metas.release(this.meta[id]!);
    this.names.ids.release(id);
  }

  /** The next member in the round, or -1; each round is shuffled anew. */
  nextInRound(prng: Prng): number {
    if (this.presentCount === 0) return NO_MEMBER;
    if (this.#cursor >= this.presentCount) {
      this.#cursor = 0;
      for (let index = this.presentCount - 1; index > 0; index -= 1) this.#swap(index, prng.int(index + 1));
    }
    return this.#present[this.#cursor++]!;
  }

  /** Draws up to `count` different members that are thought alive, besides `except`; how many there were. */
  drawAlive(count: number, except: number, into: number[], prng: Prng): number {
    into.length = 0;
    // Enough tries to find all that there are in a small mesh, and few in one where most are suspect.
    for (let tries = count * 4; tries > 0 && into.length < count && this.presentCount > 0; tries -= 1) {
      const one = this.anyPresent(prng);
      if (one !== except && this.status[one] === STATUS.alive && !into.includes(one)) into.push(one);
    }
    return into.length;
  }

  /** Anyone present or failed since `recentTenths`; -1 where chance fell on another. */
  anyToGossipTo(prng: Prng, recentTenths: number): number {
    const index = prng.int(this.presentCount + this.lost.length);
    if (index < this.presentCount) return this.presentAt(index);
    const lost = this.lost[index - this.presentCount]!;
    return this.status[lost] === STATUS.failed && this.since[lost]! > recentTenths ? lost : NO_MEMBER;
  }

  /** Who has been failed or departed since before then. */
  lostBefore(tenths: number): number[] {
    return this.lost.filter((id) => this.since[id]! <= tenths);
  }

  /** Takes over the profile that was announced; what changed, in words, "" for nothing. */
  adopt(id: number, heard: Announcement): string {
    const { names } = this;
    const changes: string[] = [];
    const address = names.addresses.hold(heard.buffer, heard.addressStart, heard.addressEnd);
    if (address === this.address[id]) names.addresses.release(address);
    else {
      changes.push(`moved from ${names.addresses.text(this.address[id]!)} to ${names.addresses.text(address)}`);
      this.setAddress(id, address);
    }
    const meta = names.metas.hold(heard.buffer, heard.metaStart, heard.metaEnd);
    const before = this.meta[id]!;
    if (meta !== before) changes.push("new metadata");
    this.meta[id] = meta;
    names.metas.release(before);
    this.profile[id] = heard.profile;
    this.identity[id] = heard.identity;
    this.versions[id] = heard.versions;
    return changes.join(", ");
  }

  view(id: number, acquaintances: Acquaintances, pausedMs: number): Member {
    const versions = this.versions[id]!;
    const answeredAtMs = acquaintances.answeredAtMs(id);
    return {
      id: this.names.ids.text(id),
      address: this.names.addresses.text(this.address[id]!),
      status: STATUS_WORDS[this.status[id]!] as Member["status"],
      incarnation: this.incarnation[id]!,
      sinceMs: this.since[id]! * 100 + pausedMs,
      versions: [versions >>> 8, versions & 255],
      meta: this.names.metas.bytes(this.meta[id]!),
      rttMs: acquaintances.rttMs(id),
      answeredAtMs: answeredAtMs === undefined ? undefined : answeredAtMs + pausedMs,
    };
  }

  /** Any member that is present; there must be one. */
  anyPresent(prng: Prng): number {
    return this.#present[prng.int(this.presentCount)]!;
  }

  presentIds(): Int32Array {
    return this.#present.subarray(0, this.presentCount);
  }

  /** Whether one that announces this identity is another node than the member. */
  isOther(id: number, identity: number): boolean {
    return identity === 0 || identity !== this.identity[id];
  }

  presentAt(index: number): number {
    return this.#present[index]!;
  }

  #enterList(id: number, present: boolean, prng: Prng): void {
    if (!present) {
      this.#place[id] = this.lost.length;
      this.lost.push(id);
      return;
    }
    if (this.presentCount === this.#present.length) {
      const wider = new Int32Array(this.presentCount * 2);
      wider.set(this.#present);
      this.#present = wider;
    }
    const last = this.presentCount;
    this.#present[last] = id;
    this.#place[id] = last;
    this.presentCount += 1;
    // It takes a place by chance in what is left of the round.
    this.#swap(last, this.#cursor + prng.int(last + 1 - Math.min(this.#cursor, last)));
  }

  #leaveList(id: number, present: boolean): void {
    const place = this.#place[id]!;
    if (!present) {
      const last = this.lost.pop()!;
      if (last !== id) {
        this.lost[place] = last;
        this.#place[last] = place;
      }
      return;
    }
    let hole = place;
    // What was probed in this round stays before the cursor, what was not stays behind it.
    if (hole < this.#cursor) {
      this.#cursor -= 1;
      this.#swap(hole, this.#cursor);
      hole = this.#cursor;
    }
    this.presentCount -= 1;
    this.#swap(hole, this.presentCount);
  }

  #swap(a: number, b: number): void {
    const present = this.#present;
    const atA = present[a]!;
    const atB = present[b]!;
    present[a] = atB;
    present[b] = atA;
    this.#place[atB] = a;
    this.#place[atA] = b;
  }

  #mark(id: number): number {
    const mixed = Math.imul(this.names.ids.hash(id) ^ Math.imul(this.incarnation[id]!, 0x9e3779b1), 0x85ebca6b);
    return mixed ^ (mixed >>> 15);
  }

  #widen(): void {
    const length = Math.max(16, this.names.ids.handlesMax + (this.names.ids.handlesMax >> 2));
    const wide = <T extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(to: T, from: T): T => {
      to.set(from);
      return to;
    };
    this.status = wide(new Uint8Array(length), this.status);
    this.incarnation = wide(new Uint32Array(length), this.incarnation);
    this.profile = wide(new Uint32Array(length), this.profile);
    this.identity = wide(new Uint32Array(length), this.identity);
    this.versions = wide(new Uint16Array(length), this.versions);
    this.address = wide(new Int32Array(length), this.address);
    this.meta = wide(new Int32Array(length), this.meta);
    this.since = wide(new Uint32Array(length), this.since);
    this.#place = wide(new Int32Array(length), this.#place);
  }
}
