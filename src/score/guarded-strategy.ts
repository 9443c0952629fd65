/**
 * A strategy that a user wrote, and another one that chooses where it doesn't: where it throws, takes longer than its
 * budget, or names a target that may not be sent to. After so many faults it is asked no more; a thousand good choices
 * make up for one.
 *
 * It runs in the worker's own thread: what it takes too long for is counted and its answer left aside, but nothing can
 * take the thread from it. One that never comes back stops its worker.
 */
import type { Strategy, TargetView, Wanted } from "./view.ts";

export type FaultKind = "threw" | "slow" | "invalid";

export interface GuardEvents {
  fault(kind: FaultKind): void;
  /** It is asked no more; why, in words. */
  disabled(why: string): void;
}

export interface GuardLimits {
  readonly budgetMs: number;
  readonly faultsMax: number;
}

const FORGIVEN_AFTER = 1000;

export class GuardedStrategy implements Strategy {
  readonly name: string;
  /** All there is, since who is asked in its place may need it. */
  readonly needsPrefixes = true;
  readonly needsFigures = true;
  readonly needsContexts = true;
  readonly #user: Strategy;
  readonly #instead: Strategy;
  readonly #limits: GuardLimits;
  readonly #events: GuardEvents;
  /** Milliseconds of any clock. */
  readonly #clock: () => number;
  #faults = 0;
  #good = 0;
  #isDisabled = false;

  constructor(user: Strategy, instead: Strategy, limits: GuardLimits, events: GuardEvents, clock: () => number) {
    this.name = user.name;
    this.#user = user;
    this.#instead = instead;
    this.#limits = limits;
    this.#events = events;
    this.#clock = clock;
  }

  get isDisabled(): boolean {
    return this.#isDisabled;
  }

  choose(view: TargetView, wanted: Wanted, nowMs: number): number {
    const own = this.#isDisabled ? -1 : this.ask(view, wanted, nowMs);
    return own >= 0 ? own : this.#instead.choose(view, wanted, nowMs);
  }

  /** What the user's own says; -1: nothing that can be taken. */
  ask(view: TargetView, wanted: Wanted, nowMs: number): number {
    if (this.#isDisabled) return -1;
    const before = this.#clock();
    let target = -1;
    try {
      target = this.#user.choose(view, wanted, nowMs);
    } catch (error) {
      return this.#fault("threw", error instanceof Error ? error.message : String(error));
    }
    const tookMs = this.#clock() - before;
    if (tookMs > this.#limits.budgetMs) return this.#fault("slow", `it took ${tookMs.toFixed(2)} ms`);
    // It may leave the choice to the other one.
    if (Number.isInteger(target) && target < 0) return -1;
    if (!Number.isInteger(target) || target >= view.count || view.routable[target] === 0) {
      return this.#fault("invalid", `it chose ${String(target)}, which is no target that may be sent to`);
    }
    this.#good += 1;
    if (this.#good % FORGIVEN_AFTER === 0 && this.#faults > 0) this.#faults -= 1;
    return target;
  }

  observe(target: number, ttftMs: number, nowMs: number): void {
    this.#instead.observe?.(target, ttftMs, nowMs);
    this.#tell(() => this.#user.observe?.(target, ttftMs, nowMs));
  }

  forget(target: number): void {
    this.#instead.forget?.(target);
    this.#tell(() => this.#user.forget?.(target));
  }

  #tell(told: () => void): void {
    if (this.#isDisabled) return;
    try {
      told();
    } catch (error) {
      this.#fault("threw", error instanceof Error ? error.message : String(error));
    }
  }

  #fault(kind: FaultKind, what: string): -1 {
    this.#faults += 1;
    this.#events.fault(kind);
    if (this.#faults >= this.#limits.faultsMax && !this.#isDisabled) {
      this.#isDisabled = true;
      this.#events.disabled(`after ${this.#faults} faults, the last one: ${what}`);
    }
    return -1;
  }
}
