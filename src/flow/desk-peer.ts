/** Another router as a desk knows it: the line to it, what was asked of it, and what it asked (mesh-desk.ts). */
import { DeskLine } from "./desk-line.ts";
import { type DeskWord, WORD } from "./desk-words.ts";

/** A request of ours that waits there, or was bound there and has no first token yet. */
export interface Asked<W> {
  readonly waiter: W;
  readonly model: number;
  /** What was said last of who has its prompt cached, and when. */
  homes: string;
  homesMs: number;
}

/** One of its requests that waits here, or was bound here and has no first token yet. */
export interface Guest<W> {
  readonly peer: DeskPeer<W>;
  readonly id: number;
  readonly waiter: W;
  readonly model: number;
  /** Where it was bound; below 0: it waits. */
  place: number;
}

/** A place that the router could not reach is passed over for it, the longer the more often. */
interface Shunned {
  untilMs: number;
  waitMs: number;
}

const SHUN_MS = 10;
const SHUN_MS_MAX = 5000;
/** Places that are passed over for one router. */
const SHUNNED_MAX = 4096;
/** While either waits for the other, each says something as often; else only that it is there. */
const BEAT_MS = 50;
const HELLO_MS = 1000;
/** Who is not heard for as long is not there. */
const GONE_MS = 3500;

export class DeskPeer<W> {
  readonly id: string;
  readonly line: DeskLine;
  readonly asked = new Map<number, Asked<W>>();
  readonly bound = new Map<number, Asked<W>>();
  readonly guests = new Map<number, Guest<W>>();
  /** Models that somebody waits for, as it says; and as it was told. */
  readonly crowded = new Set<number>();
  readonly told = new Set<number>();
  readonly #shunned = new Map<number, Shunned>();
  #lastId = 0;
  /** Since when something is waited for; Infinity: nothing is. */
  #awaitedMs = Infinity;

  constructor(id: string, life: number, packetBytesMax: number) {
    this.id = id;
    this.line = new DeskLine(life, packetBytesMax);
  }

  get decides(): boolean {
    return this.line.isOpen && this.line.peerDecides;
  }

  get isBusy(): boolean {
    return this.asked.size + this.bound.size + this.guests.size > 0 || this.line.isUnheard;
  }

  get everyMs(): number {
    return this.isBusy ? BEAT_MS : HELLO_MS;
  }

  nextId(): number {
    return ++this.#lastId;
  }

  /** Whether it is waited for in vain. */
  isSilent(silenceMs: number, nowMs: number): boolean {
    if (!this.line.isOpen) return false;
    if (!this.isBusy) this.#awaitedMs = Infinity;
    else if (this.#awaitedMs === Infinity) this.#awaitedMs = nowMs;
    const { heardMs } = this.line;
    return nowMs - Math.max(this.#awaitedMs, heardMs) > silenceMs || nowMs - heardMs > GONE_MS;
  }

  /** Nobody was heard for so long that whoever comes next may be another. */
  forgetIfGone(nowMs: number): void {
    if (!this.line.isOpen && nowMs - this.line.heardMs > GONE_MS) this.line.forgetPeer();
  }

  say(word: DeskWord): void {
    if (this.line.isOpen) this.line.say(word);
  }

  tellCrowd(model: number, isCrowded: boolean): void {
    if (!this.line.isOpen || this.told.has(model) === isCrowded) return;
    if (isCrowded) this.told.add(model);
    else this.told.delete(model);
    this.line.say({ word: WORD.crowd, model, isCrowded });
  }

  /** The place could not be reached from there; or was. */
  reached(place: number, isReached: boolean, nowMs: number): void {
    if (isReached) {
      if (this.#shunned.size > 0) this.#shunned.delete(place);
      return;
    }
    const waitMs = Math.min(SHUN_MS_MAX, (this.#shunned.get(place)?.waitMs ?? SHUN_MS / 2) * 2);
    if (this.#shunned.size >= SHUNNED_MAX && !this.#shunned.has(place)) this.#shunned.clear();
    this.#shunned.set(place, { untilMs: nowMs + waitMs, waitMs });
  }

  get shuns(): boolean {
    return this.#shunned.size > 0;
  }

  isShunned(place: number, nowMs: number): boolean {
    const shunned = this.#shunned.get(place);
    return shunned !== undefined && shunned.untilMs > nowMs;
  }

  /** All that was between the two is void. */
  clear(): void {
    this.asked.clear();
    this.bound.clear();
    this.guests.clear();
    this.crowded.clear();
    this.told.clear();
    this.#shunned.clear();
    this.#awaitedMs = Infinity;
  }
}
