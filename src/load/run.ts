/**
 * Sends what is planned when it is due, whether or not what was sent before has been answered (an open loop): latencies
 * count from the moment at which a request was due, so that a server which stalls is charged for all that it kept waiting
 * ("coordinated omission", Gil Tene), and so is this side where it is late.
 *
 * Events go in with their times; the shell sends what `next` gives, calls off what `expired` names, and wakes it at
 * `wakeAtMs`. A request ends in exactly one way: answered, failed, timed out, or unfinished as the run was stopped.
 */
import { FAILURE, Flight } from "./flight.ts";
import type { Plan, Planned } from "./plan.ts";
import type { Tally } from "./tally.ts";

/** Requests that are over and still in a list. */
const OVER_MAX = 4096;

export interface RunLimits {
  /** Requests under way at once; those that are due beyond them wait. */
  readonly flightsMax: number;
  /** From when a request is due to its end. */
  readonly timeoutMs: number;
  /** Infinity: as long as there are any. */
  readonly requestsMax: number;
  /** What is due later is not sent. */
  readonly durationMs: number;
  /** What is due before is sent, but not counted. */
  readonly warmUpMs: number;
  /** The number of the first request, and what lies between two. */
  readonly numberFirst: number;
  readonly numberStep: number;
}

export class Run {
  readonly #plan: Plan;
  readonly #limits: RunLimits;
  readonly #tally: Tally;
  #startMs = 0;
  #upcoming: Planned | null = null;
  #planned = 0;
  /** In order of their deadlines, which is the order in which they were due. */
  #open: Flight[] = [];
  #openFrom = 0;
  /** Due, and not sent. */
  #waiting: Flight[] = [];
  #waitingFrom = 0;
  #expired: Flight[] = [];
  inFlight = 0;
  /** When there came to be room after there had been none. */
  #roomSinceMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(plan: Plan, limits: RunLimits, tally: Tally) {
    this.#plan = plan;
    this.#limits = limits;
    this.#tally = tally;
  }

  start(nowMs: number): void {
    this.#startMs = nowMs;
    this.#tally.start(nowMs, this.#limits.warmUpMs);
    this.#look();
  }

  /** Due, and not sent yet. */
  get waiting(): number {
    return this.#waiting.length - this.#waitingFrom;
  }

  /** Nothing is left to be sent or to be answered. */
  get isOver(): boolean {
    return this.#upcoming === null && this.inFlight === 0 && this.waiting === 0;
  }

  get wakeAtMs(): number {
    const { timeoutMs } = this.#limits;
    const deadline = this.#open[this.#openFrom]?.dueMs ?? Number.POSITIVE_INFINITY;
    const due = this.#upcoming === null ? Number.POSITIVE_INFINITY : this.#upcoming.dueMs + this.#startMs;
    // As soon as there is room: nobody wakes for that but an end.
    return Math.min(deadline + timeoutMs, Number.isNaN(due) ? this.#startMs + this.#limits.durationMs : due);
  }

  /** At or after `wakeAtMs`: what is due by now, and what has waited too long. */
  wake(nowMs: number): void {
    for (;;) {
      const upcoming = this.#upcoming;
      if (upcoming === null || !(this.#startMs + upcoming.dueMs <= nowMs)) break;
      this.#enlist(upcoming, this.#startMs + upcoming.dueMs, this.#waiting);
    }
    if (nowMs - this.#startMs >= this.#limits.durationMs && Number.isNaN(this.#upcoming?.dueMs)) this.#upcoming = null;
    const { timeoutMs } = this.#limits;
    for (;;) {
      const flight = this.#open[this.#openFrom];
      if (flight === undefined || (!flight.isOver && flight.dueMs + timeoutMs > nowMs)) break;
      this.#openFrom += 1;
      if (flight.isOver) continue;
      if (!Number.isNaN(flight.sentMs)) this.#expired.push(flight);
      this.ended(flight, FAILURE.timeout, nowMs);
    }
    if (this.#openFrom < OVER_MAX) return;
    this.#open = this.#open.slice(this.#openFrom);
    this.#openFrom = 0;
  }

  /** What is to be sent now, as sent at `nowMs`; null: nothing, or there is no room. */
  next(nowMs: number): Flight | null {
    if (this.inFlight >= this.#limits.flightsMax) return null;
    while (this.waiting > 0) {
      const flight = this.#waiting[this.#waitingFrom]!;
      this.#waitingFrom += 1;
      if (this.#waitingFrom === this.#waiting.length) this.#forgetWaiting();
      if (!flight.isOver) return this.#send(flight, nowMs);
    }
    const upcoming = this.#upcoming;
    if (upcoming === null || !Number.isNaN(upcoming.dueMs)) return null;
    return this.#send(this.#enlist(upcoming, nowMs, null), nowMs);
  }

  /** Requests that have just timed out under way: the shell calls them off. */
  expired(): readonly Flight[] {
    return this.#expired.length === 0 ? this.#expired : this.#expired.splice(0);
  }

  /** Text of its answer came, or all of it; `text`: with so many events of text. */
  came(flight: Flight, text: number, nowMs: number): void {
    if (flight.isOver || text === 0) return;
    if (flight.events === 0) flight.firstMs = nowMs;
    else this.#tally.gap(flight, nowMs - flight.lastMs);
    // What comes together has come at once.
    for (let more = 1; more < text; more += 1) this.#tally.gap(flight, 0);
    flight.lastMs = nowMs;
    flight.events += text;
  }

  /** "": it is answered. */
  ended(flight: Flight, failure: string, nowMs: number): void {
    if (flight.isOver) return;
    flight.isOver = true;
    flight.failure = failure;
    flight.endMs = nowMs;
    if (!Number.isNaN(flight.sentMs)) this.#leave(nowMs);
    else if (this.inFlight < this.#limits.flightsMax) flight.lagMs = this.#lagOf(flight, nowMs);
    this.#tally.ended(flight);
  }

  /** Nothing more is sent; what is under way or was due is unfinished. Answers what the shell is to call off. */
  stop(nowMs: number): readonly Flight[] {
    this.#isStopped = true;
    this.#upcoming = null;
    const left = this.#open.slice(this.#openFrom).filter(({ isOver }) => !isOver);
    for (const flight of left) this.ended(flight, FAILURE.unfinished, nowMs);
    this.#forgetWaiting();
    return left.filter(({ sentMs }) => !Number.isNaN(sentMs));
  }

  #send(flight: Flight, nowMs: number): Flight {
    flight.sentMs = nowMs;
    flight.lagMs = this.#lagOf(flight, nowMs);
    this.inFlight += 1;
    this.#tally.sent(flight);
    return flight;
  }

  #leave(nowMs: number): void {
    if (this.inFlight === this.#limits.flightsMax) this.#roomSinceMs = nowMs;
    this.inFlight -= 1;
  }

  /** For how long it could have been sent. */
  #lagOf({ dueMs }: Flight, nowMs: number): number {
    return Math.max(0, nowMs - Math.max(dueMs, this.#roomSinceMs));
  }

  #enlist(planned: Planned, dueMs: number, into: Flight[] | null): Flight {
    const isWarmUp = dueMs - this.#startMs < this.#limits.warmUpMs;
    const { numberFirst, numberStep } = this.#limits;
    const flight = new Flight(numberFirst + this.#planned * numberStep, planned, dueMs, isWarmUp);
    this.#planned += 1;
    this.#tally.due(flight);
    this.#open.push(flight);
    into?.push(flight);
    this.#look();
    return flight;
  }

  #look(): void {
    const { requestsMax, durationMs } = this.#limits;
    const next = this.#isStopped || this.#planned >= requestsMax ? null : this.#plan.next();
    this.#upcoming = next !== null && next.dueMs >= durationMs ? null : next;
  }

  #forgetWaiting(): void {
    this.#waiting = [];
    this.#waitingFrom = 0;
  }
}
