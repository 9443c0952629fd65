/**
 * A node's side: what its engines hold, on its way to the routers.
 *
 *     publisher.add(feed); publisher.remove(feed);      // an engine
 *     publisher.present(addresses);                     // the routers that there are
 *     publisher.followed(from, nowMs);                  // a router wants to be told, for LEASE_MS
 *     publisher.asked(ask, nowMs)                       // the answer
 *     publisher.take(nowMs)                             // some times a second: what to send
 *
 * A standing (talk.ts) goes to every router every `STAND_MS`, at once when engines come or go, and to those that follow
 * shortly after each update, so that the last one of a row is not lost unnoticed. Updates go to those that follow, as
 * datagrams; where they are more than `PUSH_BYTES_MAX` at once, a standing goes in their place, and routers ask for them.
 * The newest updates are kept (`LOG_BYTES_MAX` an engine) for those who miss some. Who misses more, or is new, gets a
 * snapshot, in parts: it is written once for all who ask within `SNAPSHOT_MS`, as long as the updates behind it are kept.
 *
 * What it costs is bounded: changes are told in the sum, so that updates of an engine that changes more than
 * `bytesPerSecond` allows are only later; nothing is written for nobody; an engine's snapshot is written once a second at
 * most; answers to all routers together have `ANSWER_BYTES_PER_SECOND`, beyond which they are empty, and routers ask again
 * later and later; `FOLLOWERS_MAX` routers are told.
 */
import type { IndexFeed } from "./index-feed.ts";
import { ANSWER_BYTES, type Ask, HELD, LENGTH_BYTES, type Stand, writeAnswer, writeStandings } from "./talk.ts";
import { RUN_BYTES_MAX, SLOTS_MAX } from "./wire.ts";

export interface PublisherLimits {
  /** Of updates, to each router. */
  readonly bytesPerSecond: number;
  readonly datagramBytesMax: number;
  readonly answerBytesMax: number;
}

export interface Send {
  readonly to: string;
  readonly packet: Uint8Array;
}

export interface PublisherStats {
  /** Updates and standings that were sent, to all routers together. */
  messages: number;
  bytes: number;
  snapshots: number;
  answers: number;
  answerBytes: number;
  /** Asks that got nothing for now. */
  deferred: number;
}

export const STAND_MS = 5000;
const ECHO_MS = 300;
export const LEASE_MS = 15_000;
export const FOLLOWERS_MAX = 256;
export const LOG_BYTES_MAX = 512 * 1024;
const PUSH_DATAGRAMS_MAX = 8;
const SNAPSHOT_MS = 10_000;
const SNAPSHOT_PAUSE_MS = 1000;
const BURST_SECONDS = 2;
export const ANSWER_BYTES_PER_SECOND = 16 * 1024 * 1024;

interface Snapshot {
  readonly life: number;
  readonly number: number;
  readonly parts: readonly Uint8Array[];
  readonly atMs: number;
}

/** An engine, and its newest updates. */
interface Line {
  readonly feed: IndexFeed;
  /** Of the update that was taken last. */
  life: number;
  number: number;
  /** Those up to that one, the oldest first. */
  log: Uint8Array[];
  logBytes: number;
  snapshot: Snapshot | undefined;
}

export class IndexPublisher {
  readonly stats: PublisherStats = { messages: 0, bytes: 0, snapshots: 0, answers: 0, answerBytes: 0, deferred: 0 };
  readonly #limits: PublisherLimits;
  readonly #lines = new Map<number, Line>();
  /** Routers that are there, and until when each wants to be told. */
  readonly #routers = new Map<string, number>();
  #pending: Uint8Array[] = [];
  #standAtMs = 0;
  #echoAtMs = Infinity;
  #isStandDue = false;
  /** There was an engine: where none is left, that is told too. */
  #hasBegun = false;
  #budget = 0;
  /** Whose turn it is when the budget does not suffice for all. */
  #turn = 0;
  #answerBudget = ANSWER_BYTES_PER_SECOND;
  #refilledAtMs = -Infinity;

  constructor(limits: PublisherLimits) {
    this.#limits = limits;
    this.#budget = limits.bytesPerSecond * BURST_SECONDS;
  }

  get engines(): number {
    return this.#lines.size;
  }

  followers(nowMs: number): number {
    let count = 0;
    for (const untilMs of this.#routers.values()) if (untilMs > nowMs) count += 1;
    return count;
  }

  add(feed: IndexFeed): void {
    const { slot, life, number } = feed;
    this.#lines.set(slot, { feed, life, number, log: [], logBytes: 0, snapshot: undefined });
    this.#isStandDue = true;
    this.#hasBegun = true;
  }

  remove(feed: IndexFeed): void {
    if (this.#lines.get(feed.slot)?.feed === feed) this.#lines.delete(feed.slot);
    this.#isStandDue = true;
  }

  present(addresses: readonly string[]): void {
    const there = new Set(addresses);
    for (const address of this.#routers.keys()) if (!there.has(address)) this.#routers.delete(address);
    for (const address of there) {
      if (this.#routers.has(address) || this.#routers.size >= FOLLOWERS_MAX) continue;
      this.#routers.set(address, -Infinity);
      this.#isStandDue = true;
    }
  }

  followed(from: string, nowMs: number): void {
    if (this.#routers.has(from)) this.#routers.set(from, nowMs + LEASE_MS);
  }

  take(nowMs: number): Send[] {
    this.#refill(nowMs);
    const followers = [...this.#routers].filter(([, untilMs]) => untilMs > nowMs).map(([to]) => to);
    if (followers.length === 0) this.#pending = [];
    else this.#gatherAll();
    this.#age(nowMs);
    const sends: Send[] = [];
    const pending = this.#pending;
    this.#pending = [];
    const bytes = pending.reduce((sum, { length }) => sum + length, 0);
    const isPushed = bytes <= PUSH_DATAGRAMS_MAX * this.#limits.datagramBytesMax;
    if (isPushed) for (const packet of pending) this.#toAll(followers, packet, sends);
    if (pending.length > 0) this.#echoAtMs = isPushed ? nowMs + ECHO_MS : nowMs;
    const isForAll = this.#isStandDue || nowMs >= this.#standAtMs;
    if (isForAll || nowMs >= this.#echoAtMs) {
      const to = isForAll ? [...this.#routers.keys()] : followers;
      if (this.#hasBegun) for (const packet of this.#standings()) this.#toAll(to, packet, sends);
      this.#isStandDue = false;
      this.#echoAtMs = Infinity;
      if (isForAll) this.#standAtMs = nowMs + STAND_MS;
    }
    return sends;
  }

  asked(ask: Ask, nowMs: number): Uint8Array {
    this.#refill(nowMs);
    const { slot } = ask;
    const line = this.#lines.get(slot);
    if (line === undefined) {
      return writeAnswer({ slot, isKnown: false, life: 0, number: 0, more: false, messages: [] });
    }
    const found = this.#answerBudget > 0 ? this.#behind(line, ask, nowMs) : [];
    const messages: Uint8Array[] = [];
    let bytes = ANSWER_BYTES;
    for (const message of found) {
      bytes += message.length + LENGTH_BYTES;
      if (bytes > this.#limits.answerBytesMax) break;
      messages.push(message);
    }
    const { life, number } = line;
    const isBehindSnapshot = ask.held !== HELD.update && line.snapshot !== undefined && line.snapshot.number < number;
    const more = messages.length > 0 && (messages.length < found.length || isBehindSnapshot);
    const answer = writeAnswer({ slot, isKnown: true, life, number, more, messages });
    this.stats.answers += 1;
    this.stats.answerBytes += answer.length;
    this.#answerBudget -= answer.length;
    if (messages.length === 0 && !isLevel(ask, line)) this.stats.deferred += 1;
    return answer;
  }

  /** What the asker needs next, as far as it is to be had. */
  #behind(line: Line, ask: Ask, nowMs: number): readonly Uint8Array[] {
    const { snapshot } = line;
    if (ask.held === HELD.parts) {
      const isSame = snapshot !== undefined && snapshot.life === ask.life && snapshot.number === ask.number;
      return isSame ? snapshot.parts.slice(ask.part) : [];
    }
    if (ask.held === HELD.update && reaches(line, ask)) {
      return line.log.slice(line.log.length - (line.number - ask.number));
    }
    return this.#snapshot(line, nowMs)?.parts ?? [];
  }

  /** Undefined where the one before it is of just now and not to be used any more. */
  #snapshot(line: Line, nowMs: number): Snapshot | undefined {
    const { feed, snapshot } = line;
    if (snapshot !== undefined) {
      if (reaches(line, snapshot) && nowMs - snapshot.atMs < SNAPSHOT_MS) return snapshot;
      if (nowMs - snapshot.atMs < SNAPSHOT_PAUSE_MS) return undefined;
    }
    // Most of it is new, and would be written twice.
    if (feed.changes * 2 > feed.index.size) {
      feed.pass();
      setLog(line, []);
      // Those that follow learn of it by the standing.
      this.#echoAtMs = nowMs;
    } else this.#gather(line);
    line.snapshot = { life: line.life, number: line.number, parts: feed.snapshot(), atMs: nowMs };
    this.stats.snapshots += 1;
    return line.snapshot;
  }

  #gatherAll(): void {
    const lines = [...this.#lines.values()];
    for (let left = lines.length; left > 0 && this.#budget > 0; left -= 1) {
      this.#turn += 1;
      this.#spend(this.#gather(lines[this.#turn % lines.length]!));
    }
  }

  /** Takes what changed; answers how many bytes that is. */
  #gather(line: Line): number {
    const { feed } = line;
    const messages = feed.take(this.#limits.datagramBytesMax - RUN_BYTES_MAX);
    setLog(line, feed.life === line.life ? line.log : []);
    let bytes = 0;
    for (const message of messages) {
      this.#pending.push(message);
      bytes += message.length;
      // Numbers may have come to their end with these: they were of the life before.
      if (feed.number > 0) line.log.push(message);
    }
    line.logBytes += feed.number > 0 ? bytes : 0;
    let at = 0;
    for (; line.logBytes > LOG_BYTES_MAX && at < line.log.length; at += 1) line.logBytes -= line.log[at]!.length;
    line.log.splice(0, at);
    return bytes;
  }

  #spend(bytes: number): void {
    this.#budget = Math.max(-this.#limits.bytesPerSecond * BURST_SECONDS, this.#budget - bytes);
  }

  /** Lets snapshots go that nobody asked for of late. */
  #age(nowMs: number): void {
    for (const line of this.#lines.values()) {
      if (line.snapshot !== undefined && nowMs - line.snapshot.atMs > 2 * SNAPSHOT_MS) line.snapshot = undefined;
    }
  }

  #standings(): Uint8Array[] {
    const stands: Stand[] = [...this.#lines.values()]
      .map(({ feed: { slot }, life, number }) => ({ slot, life, number }))
      .toSorted((a, b) => a.slot - b.slot);
    return writeStandings(stands, SLOTS_MAX, this.#limits.datagramBytesMax);
  }

  #toAll(to: readonly string[], packet: Uint8Array, sends: Send[]): void {
    for (const address of to) sends.push({ to: address, packet });
    this.stats.messages += to.length;
    this.stats.bytes += to.length * packet.length;
  }

  #refill(nowMs: number): void {
    const seconds = Math.min(60, Math.max(0, (nowMs - this.#refilledAtMs) / 1000));
    this.#refilledAtMs = nowMs;
    const { bytesPerSecond } = this.#limits;
    this.#budget = Math.min(bytesPerSecond * BURST_SECONDS, this.#budget + seconds * bytesPerSecond);
    const most = ANSWER_BYTES_PER_SECOND;
    this.#answerBudget = Math.min(most, this.#answerBudget + seconds * most);
  }
}

function isLevel({ held, life, number }: Ask, line: Line): boolean {
  return held === HELD.update && life === line.life && number === line.number;
}

/** The line is where its feed is, with these updates behind it. */
function setLog(line: Line, log: Uint8Array[]): void {
  line.life = line.feed.life;
  line.number = line.feed.number;
  if (log === line.log) return;
  line.log = log;
  line.logBytes = 0;
}

/** Whether the updates behind that one are kept. */
function reaches(line: Line, { life, number }: Pick<Stand, "life" | "number">): boolean {
  return life === line.life && number <= line.number && line.number - number <= line.log.length;
}
