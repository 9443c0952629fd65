/**
 * The choice of a target for one attempt: asks the scorer for a row, claims a place in it by Atomics, and takes a
 * connection to where it leads. Both lanes, HTTP and gRPC, choose by it.
 *
 * A claim fails when another worker took the last place in between, or every connection that this worker may have to
 * the target is busy; then the next best is tried. When all that have room are ejected, or held back by breakers, one of
 * them is taken all the same: a target that may be ill is better than an error that is certain.
 */
import type { PickReason } from "../obs/worker-counters.ts";
import { EXCLUDED_MAX } from "../score/layout.ts";
import { ALL_EJECTED, ALL_FULL, NEVER_EJECTED, NO_TARGET } from "../score/pick.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { Target } from "./routes.ts";

/** Every which-th decision is timed: two clock reads cost a tenth of a decision. */
const DECISION_SAMPLE = 8;

let seed = (Math.random() * 0xffff_fffe + 1) >>> 0;
let decisions = 0;

/** Marsaglia's xorshift32: ties are broken by remainders, so its low bits must be as random as its high ones. */
function nextSeed(): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  seed >>>= 0;
  return seed;
}

/** Opens a way to the target of a claimed row; null when it has none to give, and the next best shall be tried. */
export type Open<Way> = (target: Target) => Way | null;

/** What was chosen; one object for all choices of a worker, valid until the next one. */
export class Choice<Way> {
  row = NO_TARGET;
  target: Target | null = null;
  way: Way | null = null;
  /** Claimed tokens of the prompt: those that the target has not cached. */
  tokens = 0;
  readonly #open: Open<Way>;
  /** A breaker held some row back. */
  #isHeld = false;

  constructor(open: Open<Way>) {
    this.#open = open;
  }

  /**
   * Claims a row of `model` for a prompt of so many tokens, none of the `excluded`.
   * Answers its number, or NO_TARGET (none is routable) or ALL_FULL (none has room).
   */
  make(context: WorkerContext, model: number, tokens: number, excluded: readonly number[], isRetry: boolean): number {
    const timed = (decisions++ & (DECISION_SAMPLE - 1)) === 0;
    const before = timed ? performance.now() : 0;
    let row = this.#claim(context, model, tokens, excluded, isRetry, false);
    // A target that a breaker holds back is better than none.
    if (row < 0 && this.#isHeld) row = this.#claim(context, model, tokens, excluded, isRetry, true);
    if (timed) context.counters.decision((performance.now() - before) * 1000);
    return row;
  }

  #claim(
    context: WorkerContext,
    model: number,
    tokens: number,
    excluded: readonly number[],
    isRetry: boolean,
    force: boolean,
  ): number {
    const { table, pick, index, counters, routes, dispatch, enforcement } = context;
    const picker = enforcement === null ? context.picker : enforcement.pickerOf(model);
    pick.model = model;
    pick.promptTokens = tokens;
    pick.clearExcluded();
    for (const row of excluded) pick.exclude(row);
    let reason: PickReason = isRetry ? "retry" : "best";
    pick.nowDeciseconds = table.nowDeciseconds(unixMs());
    let full = false;
    this.#isHeld = false;
    for (let tries = 0; tries < EXCLUDED_MAX; tries++) {
      pick.seed = nextSeed();
      let row = picker.pick(pick);
      if (row === ALL_EJECTED) {
        pick.nowDeciseconds = NEVER_EJECTED;
        reason = "ejected-fallback";
        row = picker.pick(pick);
      }
      if (row < 0) return full ? ALL_FULL : row;
      if (!force && !dispatch.allows(row)) {
        this.#isHeld = true;
        if (!pick.exclude(row)) break;
        continue;
      }
      const fresh = Math.max(1, tokens - Math.trunc(pick.cachedTokens));
      if (table.tryBegin(index, row, fresh)) {
        // No target: it left while this was decided.
        const target = routes.target(row);
        const way = target === undefined ? null : this.#open(target);
        if (target !== undefined && way !== null) {
          counters.pick(row, reason === "best" && pick.ties > 1 ? "tie" : reason);
          this.row = row;
          this.target = target;
          this.way = way;
          this.tokens = fresh;
          return row;
        }
        table.endPrefill(index, row, fresh);
        table.end(index, row);
      }
      // The breaker may have let it through as a trial, which was none.
      if (!force) dispatch.observe(model, row, "unknown", nowMs());
      full = true;
      if (!pick.exclude(row)) break;
    }
    return ALL_FULL;
  }
}
