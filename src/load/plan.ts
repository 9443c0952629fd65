/** Which requests there are to be, and when each is due: by a rate, by a trace, or one as soon as another has ended. */
import { Prng } from "../base/prng.ts";
import type { Arrival } from "../sim/arrival.ts";
import { drawLength, type Lengths } from "./lengths.ts";
import type { RateCurve } from "./rate.ts";

export interface Planned {
  /** Since the start. As soon as there is room: NaN. */
  readonly dueMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Of the prompt's blocks that others may share (traces.ts). */
  readonly hashes: readonly number[];
}

/** Requests in order of time; null: there are no more. */
export interface Plan {
  next(): Planned | null;
}

export interface Shapes {
  readonly prompt: Lengths;
  readonly output: Lengths;
}

const ALONE: readonly number[] = [];

/** Poisson arrivals of a rate, or evenly spaced ones. */
export class RatePlan implements Plan {
  readonly #curve: RateCurve;
  readonly #shapes: Shapes;
  readonly #gaps: Prng | null;
  readonly #lengths: Prng;
  #count = 0;

  constructor(curve: RateCurve, isPoisson: boolean, shapes: Shapes, seed: number) {
    this.#curve = curve;
    this.#shapes = shapes;
    this.#gaps = isPoisson ? new Prng(seed) : null;
    // Lengths are drawn apart: another way of arriving asks for the same work.
    this.#lengths = new Prng(seed + 1);
  }

  next(): Planned | null {
    const at = this.#count;
    this.#count += this.#gaps === null ? 1 : this.#gaps.exponential(1);
    const dueMs = this.#curve.timeOf(this.#gaps === null ? at : this.#count);
    return Number.isFinite(dueMs) ? shaped(dueMs, this.#shapes, this.#lengths) : null;
  }
}

/** As many at once as are asked for. */
export class ClosedPlan implements Plan {
  readonly #shapes: Shapes;
  readonly #lengths: Prng;

  constructor(shapes: Shapes, seed: number) {
    this.#shapes = shapes;
    this.#lengths = new Prng(seed + 1);
  }

  next(): Planned {
    return shaped(Number.NaN, this.#shapes, this.#lengths);
  }
}

function shaped(dueMs: number, { prompt, output }: Shapes, prng: Prng): Planned {
  return { dueMs, promptTokens: drawLength(prompt, prng), outputTokens: drawLength(output, prng), hashes: ALONE };
}

/** Of a plan each `of`-th request, from `index` on: all shares together send what the plan has, at its times. */
export class SharedPlan implements Plan {
  readonly #plan: Plan;
  readonly #of: number;
  #skips: number;

  constructor(plan: Plan, { index, of }: { readonly index: number; readonly of: number }) {
    this.#plan = plan;
    this.#of = of;
    this.#skips = index;
  }

  next(): Planned | null {
    for (; this.#skips > 0; this.#skips -= 1) if (this.#plan.next() === null) return null;
    this.#skips = this.#of - 1;
    return this.#plan.next();
  }
}

export interface TraceChange {
  /** So many times as fast. */
  readonly speed: number;
  /** Longer ones are cut; 0: none is. */
  readonly promptTokensMax: number;
  readonly outputTokensMax: number;
}

/** What was recorded. */
export class TracePlan implements Plan {
  readonly #arrivals: readonly Arrival[];
  readonly #change: TraceChange;
  readonly #blockTokens: number;
  #at = 0;

  /** `blockTokens`: how many tokens of a prompt each of its hashes stands for. */
  constructor(arrivals: readonly Arrival[], change: TraceChange, blockTokens: number) {
    this.#arrivals = arrivals;
    this.#change = change;
    this.#blockTokens = blockTokens;
  }

  next(): Planned | null {
    const arrival = this.#arrivals[this.#at];
    if (arrival === undefined) return null;
    this.#at += 1;
    const { speed, promptTokensMax, outputTokensMax } = this.#change;
    const promptTokens = cut(arrival.promptTokens, promptTokensMax);
    return {
      dueMs: arrival.atMs / speed,
      promptTokens,
      outputTokens: cut(arrival.outputTokens, outputTokensMax),
      hashes: arrival.hashes.slice(0, Math.floor(promptTokens / this.#blockTokens)),
    };
  }
}

function cut(tokens: number, most: number): number {
  return most > 0 ? Math.min(tokens, most) : tokens;
}
