/**
 * The waiting room of one model in one worker: here requests wait when no target can take them, and are bound late, to
 * the target that has room first, in the best order there is then.
 *
 *   offer    the request waits, or is refused with a reason and the time after which to come again
 *   next     the request whose turn it is, left in its place; when a target takes it, `take` it, else try again later
 *   expire   requests whose wait is over
 *   remove   its client went away
 *
 * Order: by priority (0 first, strictly), among tenants fair, within a tenant by deadline (fair-order.ts). As long as
 * anybody waits, a new request must be offered too, so that nobody overtakes.
 *
 * Bounds: number and memory of what waits, and each one's wait. A request whose predicted wait (what is served before it,
 * at the rate at which the queue is served) exceeds that or its own deadline is refused at once: it would wait in vain,
 * and make others wait. When the room is full, the lowest priority makes place for a higher one, youngest first; within a
 * priority the tenant that has most waiting makes place for one that would still have less, so nobody can fill the room.
 *
 * Recovery: nothing waits longer than its bound even when no target ever takes anything; see service-rate.ts for what is
 * believed after that. Allocates only for new tenants; each call costs O(log n).
 */
import { assert } from "../base/assert.ts";
import { Heap } from "../base/heap.ts";
import { FairOrder, type Seat, type Waiter } from "./fair-order.ts";
import { ServiceRate } from "./service-rate.ts";
import type { QueueConfig } from "./settings.ts";

export const PRIORITIES = 4;

/** Why a request may not wait: no room, a wait beyond the longest one, or beyond its own deadline. */
export type Refusal = "full" | "wait" | "deadline";

/** The answer to an offer. One object for each queue, overwritten by the next offer. */
export interface Admission<T> {
  /** Null: it waits. */
  readonly refusal: Refusal | null;
  /** How long it will wait, as far as is known; 0 when nothing is. */
  readonly waitMs: number;
  /** For Retry-After, in whole seconds. */
  readonly retryAfterSeconds: number;
  /** Requests that made place for this one: they do not wait any more, and are to be refused as `full`. */
  readonly pushedOut: readonly Waiter<T>[];
}

export class Queue<T> {
  readonly #config: QueueConfig;
  readonly #expiries = new Heap<Seat<T>>();
  /** By priority. */
  readonly #orders: readonly FairOrder<T>[];
  readonly #rate: ServiceRate;
  readonly #pushedOut: Waiter<T>[] = [];
  readonly #admission = {
    refusal: null as Refusal | null,
    waitMs: 0,
    retryAfterSeconds: 0,
    pushedOut: this.#pushedOut as readonly Waiter<T>[],
  };

  constructor(config: QueueConfig) {
    this.#config = config;
    this.#orders = Array.from({ length: PRIORITIES }, () => new FairOrder<T>(this.#expiries));
    this.#rate = new ServiceRate(config.rateWindowMs);
  }

  /** How many requests wait. */
  get requests(): number {
    let sum = 0;
    for (const order of this.#orders) sum += order.requests;
    return sum;
  }

  get tokens(): number {
    let sum = 0;
    for (const order of this.#orders) sum += order.tokens;
    return sum;
  }

  get bytes(): number {
    let sum = 0;
    for (const order of this.#orders) sum += order.bytes;
    return sum;
  }

  /** When the next wait is over: call `expire` then. Infinity while nobody waits. */
  get wakeAtMs(): number {
    return this.#expiries.peek()?.heapKey ?? Infinity;
  }

  /** Lets the request wait, or says why it may not. */
  offer(waiter: Waiter<T>, nowMs: number): Admission<T> {
    assert(waiter.flow === null, "the request is waiting already");
    const { waitMsMax } = this.#config;
    const waitMs = this.predictedWaitMs(waiter, nowMs);
    const admission = this.#admission;
    this.#pushedOut.length = 0;
    admission.waitMs = waitMs;
    admission.retryAfterSeconds = this.#inSeconds(waitMs);
    admission.refusal = null;
    if (waiter.deadlineMs <= nowMs + waitMs) admission.refusal = "deadline";
    else if (waitMs > waitMsMax) admission.refusal = "wait";
    else if (!this.#makeRoom(waiter)) admission.refusal = "full";
    if (admission.refusal !== null) return admission;
    if (this.#expiries.size === 0) this.#rate.begin(nowMs);
    this.#orderOf(waiter).add(waiter, Math.min(waiter.deadlineMs, nowMs + waitMsMax));
    return admission;
  }

  /** The request to be given to a target next; it waits on until it is taken. Call `expire` before. */
  next(): Waiter<T> | null {
    for (const order of this.#orders) {
      const { first } = order;
      if (first !== null) return first;
    }
    return null;
  }

  /** A target took the request. */
  take(waiter: Waiter<T>, nowMs: number): void {
    this.#orderOf(waiter).take(waiter);
    this.#rate.served(waiter.tokens, nowMs);
    if (this.#expiries.size === 0) this.#rate.end(nowMs);
  }

  /** The request waits no more, since its client went away; false if it did not wait. */
  remove(waiter: Waiter<T>, nowMs: number): boolean {
    if (waiter.flow === null) return false;
    waiter.flow.order.drop(waiter);
    if (this.#expiries.size === 0) this.#rate.end(nowMs);
    return true;
  }

  /** Takes out a request whose wait is over; null when there is none. Call it until then. */
  expire(nowMs: number): Waiter<T> | null {
    const seat = this.#expiries.peek();
    if (seat === undefined || seat.heapKey > nowMs) return null;
    const waiter = seat.flow.waiters.peek() ?? null;
    if (waiter !== null) this.remove(waiter, nowMs);
    return waiter;
  }

  /** How long the request would wait if it came now: an upper bound, at the present rate; 0 when that is not known. */
  predictedWaitMs(waiter: Waiter<T>, nowMs: number): number {
    let ahead = this.#orderOf(waiter).tokensAhead(waiter);
    for (let priority = 0; priority < waiter.priority; priority++) ahead += this.#orders[priority]?.tokens ?? 0;
    if (ahead === 0) return 0;
    const rate = this.#rate.perSecond(nowMs);
    return rate === undefined ? 0 : (ahead / Math.max(rate, waiter.perSecondMin)) * 1000;
  }

  /** What a request that is refused, pushed out or over its wait is told. */
  retryAfterSeconds(waiter: Waiter<T>, nowMs: number): number {
    return this.#inSeconds(this.predictedWaitMs(waiter, nowMs));
  }

  #inSeconds(waitMs: number): number {
    return Math.max(1, Math.ceil(Math.min(waitMs, this.#config.retryAfterMsMax) / 1000));
  }

  #orderOf({ priority }: Waiter<T>): FairOrder<T> {
    const order = this.#orders[priority];
    assert(order !== undefined, `there is no priority ${priority}`);
    return order;
  }

  #fits(bytes: number): boolean {
    return this.requests < this.#config.requestsMax && this.bytes + bytes <= this.#config.bufferBytesMax;
  }

  /** Pushes others out, if that is what it takes, and if it is right; false when the newcomer has no place. */
  #makeRoom(waiter: Waiter<T>): boolean {
    const { bytes, priority } = waiter;
    if (this.#fits(bytes)) return true;
    let lower = 0;
    let lowerBytes = 0;
    for (let each = priority + 1; each < PRIORITIES; each++) {
      lower += this.#orders[each]?.requests ?? 0;
      lowerBytes += this.#orders[each]?.bytes ?? 0;
    }
    const excessBytes = this.bytes + bytes - this.#config.bufferBytesMax;
    if (lower > 0) {
      if (lowerBytes < excessBytes) return false;
      for (let each = PRIORITIES - 1; each > priority && !this.#fits(bytes);) {
        const youngest = this.#orders[each]?.mostExpendable ?? null;
        if (youngest === null) each--;
        else this.#pushOut(youngest);
      }
      return true;
    }
    const order = this.#orderOf(waiter);
    const victim = order.mostExpendable;
    if (victim === null || victim.bytes < excessBytes || victim.tenant === waiter.tenant) return false;
    const left = order.tokensOf(victim.tenant) - victim.tokens;
    if (left < order.tokensOf(waiter.tenant) + waiter.tokens) return false;
    this.#pushOut(victim);
    return true;
  }

  #pushOut(waiter: Waiter<T>): void {
    waiter.flow?.order.drop(waiter);
    this.#pushedOut.push(waiter);
  }
}
