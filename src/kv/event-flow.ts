/**
 * The numbered batches of one engine, in order and without a gap, or with a word on what is missing.
 *
 *     flow.subscribed(nowMs); flow.lost();         // the publisher is heard, or no longer
 *     flow.heard(frames, nowMs);                   // [topic, number, payload]
 *     flow.replied(frames, nowMs);                 // ["", number, payload], of the replay socket
 *     flow.wake(nowMs);                            // at or after wakeAtMs
 *     const { ask, wakeAtMs } = flow.take();       // a number from which a replay is wanted
 *
 * What comes out goes to the sink: batches, and `anew` before those that do not follow from what was told before.
 *
 * An engine numbers its batches from 0 and keeps the last 10,000 for replay, where it has a replay socket. So:
 * - at first all is asked for; when the replay begins with 0, all that the engine holds is known.
 * - a gap is asked for; what comes meanwhile waits. A replay that begins beyond the gap shows that it can't be filled.
 * - after a lost connection the last batch is asked for once more: if it is the same, byte for byte (batches hold their
 *   time), it is the same engine, and what follows fills the gap; else it started again, and all is asked for.
 * - where there is no replay, a gap and a lost connection both begin anew, in the middle.
 * - a number that is not above the one before, in one connection, is an engine that started again behind a proxy.
 * - SGLang's topics may name the engine's life behind a marker: another life begins anew.
 *
 * A replay may have holes and lack its end, since a ROUTER drops what its peer is slow to take: the rest is asked for
 * again, after `STALL_MS` where nothing more comes. One that brings nothing for `REPLAY_MS` is asked for again,
 * `TRIES_MAX` times in all; then the gap counts as lost.
 *
 * Limits: `WAITING_BATCHES_MAX` and `WAITING_BYTES_MAX` while a replay runs; what is beyond is asked for afterwards.
 */

import { epochOf, isEqual, numberOf } from "./batch-number.ts";

export interface FlowSink {
  /** The next batch. */
  batch(payload: Uint8Array): void;
  /** What was told before is void; `isComplete`: from here on all is told, from the engine's first batch. */
  anew(reason: string, isComplete: boolean): void;
}

export interface FlowStats {
  batches: number;
  gaps: number;
  /** Batches that came by replay. */
  replayed: number;
  /** Gaps that no replay filled. */
  lost: number;
  restarts: number;
  malformed: number;
}

export const REPLAY_MS = 5000;
export const STALL_MS = 1000;
export const TRIES_MAX = 3;
const RETRY_MS = 500;
export const WAITING_BATCHES_MAX = 4096;
export const WAITING_BYTES_MAX = 64 * 1024 * 1024;
/** So many replays without a batch that was missing show that it is lost. */
const FRUITLESS_MAX = 2;

interface Numbered {
  readonly number: number;
  readonly payload: Uint8Array;
}

interface Replay {
  /** The number that was asked for. */
  readonly from: number;
  /** The first batch must be the last one that is known. */
  readonly isProof: boolean;
  /** The first batch was looked at. */
  hasBegun: boolean;
  /** The rest of it is not wanted: all is asked for when it ends. */
  isVoid: boolean;
  /** It has a hole. */
  isTorn: boolean;
  hasProgress: boolean;
  tries: number;
  /** When it is asked for again. */
  deadlineMs: number;
}

export class EventFlow {
  readonly stats: FlowStats = { batches: 0, gaps: 0, replayed: 0, lost: 0, restarts: 0, malformed: 0 };
  readonly #canReplay: boolean;
  readonly #sink: FlowSink;
  /** The number that follows; -1 while nothing is known. */
  #next = -1;
  /** The batch before it. */
  #last: Uint8Array = new Uint8Array(0);
  /** The newest that was heard in this connection. */
  #live = -1;
  #epoch: string | undefined;
  #replay: Replay | undefined;
  #fruitless = 0;
  #waiting: Numbered[] = [];
  #waitingBytes = 0;
  #ask: number | undefined;

  constructor(canReplay: boolean, sink: FlowSink) {
    this.#canReplay = canReplay;
    this.#sink = sink;
  }

  /** A replay is wanted or on its way. */
  get isReplaying(): boolean {
    return this.#replay !== undefined;
  }

  subscribed(nowMs: number): void {
    this.lost();
    this.#fruitless = 0;
    if (this.#canReplay) this.#begin(Math.max(0, this.#next - 1), this.#next > 0, nowMs);
    else if (this.#next >= 0) this.#void("the connection was lost, and there is no replay socket to ask");
  }

  /** The publisher is not heard any more. */
  lost(): void {
    this.#live = -1;
    this.#replay = undefined;
    this.#ask = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  heard(frames: readonly Uint8Array[], nowMs: number): void {
    const [topic, digits, payload] = frames;
    const number = frames.length === 3 ? numberOf(digits!) : undefined;
    if (number === undefined || number < 0) {
      this.stats.malformed += 1;
      return;
    }
    const epoch = epochOf(topic!);
    const isOther = epoch !== undefined && this.#epoch !== undefined && epoch !== this.#epoch;
    if (epoch !== undefined) this.#epoch = epoch;
    if (isOther) this.#startAgain("the engine started again, as its topic tells", nowMs);
    else if (number <= this.#live)
      this.#startAgain(`the engine started again: batch ${number} comes after ${this.#live}`, nowMs);
    this.#live = number;
    if (this.#replay === undefined) this.#inOrder(number, payload!, nowMs);
    else this.#wait(number, payload!);
  }

  replied(frames: readonly Uint8Array[], nowMs: number): void {
    const replay = this.#replay;
    if (replay === undefined) return;
    const [digits, payload] = frames.length === 3 && frames[0]!.length === 0 ? frames.slice(1) : frames;
    const number = digits === undefined ? undefined : numberOf(digits);
    if (number === undefined || payload === undefined || frames.length > 3) {
      this.stats.malformed += 1;
      return;
    }
    if (number < 0 || payload.length === 0) return this.#ended(replay, nowMs);
    if (!replay.isVoid) this.#replayed(replay, number, payload);
    // It comes in one go: after a pause nothing more does, its end was dropped too.
    replay.deadlineMs = nowMs + STALL_MS;
  }

  /** The replay socket is not there, or went away. */
  replayLost(nowMs: number): void {
    if (this.#replay !== undefined) this.#replay.deadlineMs = Math.min(this.#replay.deadlineMs, nowMs + RETRY_MS);
  }

  wake(nowMs: number): void {
    const replay = this.#replay;
    if (replay === undefined || nowMs < replay.deadlineMs) return;
    if (replay.hasProgress) {
      this.#begin(this.#next, false, nowMs);
      return;
    }
    replay.tries += 1;
    const isProof = replay.isProof && !replay.hasBegun;
    if (replay.tries < TRIES_MAX) {
      this.#begin(isProof ? replay.from : Math.max(0, this.#next), isProof, nowMs, replay.tries);
      return;
    }
    this.#replay = undefined;
    if (isProof) this.#void("no replay tells whether it is the same engine as before");
    this.#fruitless = FRUITLESS_MAX;
    this.#drain(nowMs);
  }

  take(): { readonly ask: number | undefined; readonly wakeAtMs: number } {
    const ask = this.#ask;
    this.#ask = undefined;
    return { ask, wakeAtMs: this.#replay?.deadlineMs ?? Infinity };
  }

  #begin(from: number, isProof: boolean, nowMs: number, tries = 0): void {
    const deadlineMs = nowMs + REPLAY_MS;
    this.#replay = {
      from,
      isProof,
      hasBegun: false,
      isVoid: false,
      isTorn: false,
      hasProgress: false,
      tries,
      deadlineMs,
    };
    this.#ask = from;
  }

  #replayed(replay: Replay, number: number, payload: Uint8Array): void {
    if (number < replay.from) return;
    const isFirst = !replay.hasBegun;
    replay.hasBegun = true;
    if (isFirst && replay.isProof && number === replay.from) {
      if (isEqual(payload, this.#last)) return;
      this.stats.restarts += 1;
      this.#void("the engine started again while it was not heard");
      replay.isVoid = true;
      return;
    }
    if (isFirst && number > replay.from && this.#next >= 0) {
      this.stats.lost += 1;
      this.#void(`the batches before ${number} are no longer in the engine's replay buffer`);
    }
    if (this.#next < 0 || number === this.#next) {
      this.stats.replayed += 1;
      replay.hasProgress = true;
      this.#give(number, payload);
    } else if (number > this.#next) replay.isTorn = true;
  }

  #ended(replay: Replay, nowMs: number): void {
    this.#replay = undefined;
    const isOther = replay.isProof && !replay.hasBegun;
    if (isOther) {
      this.stats.restarts += 1;
      this.#void("the engine started again: it does not know its last batch");
    }
    if (isOther || replay.isVoid) return this.#begin(0, false, nowMs);
    if (replay.isTorn) return this.#begin(this.#next, false, nowMs);
    this.#fruitless = replay.hasProgress || replay.isProof ? 0 : this.#fruitless + 1;
    this.#drain(nowMs);
  }

  /** What waited, now that the replay is over. */
  #drain(nowMs: number): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const { number, payload } of waiting) {
      if (this.#replay === undefined) this.#inOrder(number, payload, nowMs);
      else this.#wait(number, payload);
    }
  }

  #wait(number: number, payload: Uint8Array): void {
    const isFull =
      this.#waiting.length >= WAITING_BATCHES_MAX || this.#waitingBytes + payload.length > WAITING_BYTES_MAX;
    // The ones behind it are a gap then.
    if (isFull) return;
    this.#waiting.push({ number, payload });
    this.#waitingBytes += payload.length;
  }

  #inOrder(number: number, payload: Uint8Array, nowMs: number): void {
    const expected = Math.max(0, this.#next);
    if (number < expected) return;
    if (number > expected) {
      if (this.#next >= 0) this.stats.gaps += 1;
      if (this.#canReplay && this.#fruitless < FRUITLESS_MAX) {
        this.#wait(number, payload);
        this.#begin(expected, false, nowMs);
        return;
      }
      if (this.#next >= 0) {
        this.stats.lost += 1;
        this.#void(`batches ${expected} to ${number - 1} are lost`);
      }
    }
    this.#give(number, payload);
  }

  #give(number: number, payload: Uint8Array): void {
    if (this.#next < 0) {
      this.#sink.anew(number === 0 ? "the engine's first batch" : `heard from batch ${number} on`, number === 0);
    }
    this.stats.batches += 1;
    this.#fruitless = 0;
    this.#next = number + 1;
    this.#last = payload;
    this.#sink.batch(payload);
  }

  #startAgain(reason: string, nowMs: number): void {
    this.stats.restarts += 1;
    this.#void(reason);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#fruitless = 0;
    this.#replay = undefined;
    if (this.#canReplay) this.#begin(0, false, nowMs);
  }

  #void(reason: string): void {
    this.#next = -1;
    this.#last = new Uint8Array(0);
    this.#sink.anew(reason, false);
  }
}
