/**
 * The choice of a target for one attempt: asks the scorer for a row, claims a place in it by Atomics, and takes a
 * connection to where it leads. Both lanes, HTTP and gRPC, choose by it.
 *
 * A claim fails when another worker took the last place in between, or every connection that this worker may have to
 * the target is busy; then the next best is tried. When all that have room are ejected, or held back by breakers, one of
 * them is taken all the same: a target that may be ill is better than an error that is certain.
 *
 * Where a model is bound late, a first choice is made here only while nobody waits and its row is open; else the answer
 * is HELD, and the desk chooses (late-desk.ts). What it has claimed is taken as it is, and given back where this worker
 * has no way there; then the scorer chooses after all.
 */
import type { PickReason } from "../obs/worker-counters.ts";
import { PACE_BOUND } from "../flow/target-pace.ts";
import { EXCLUDED_MAX } from "../score/layout.ts";
import { ALL_EJECTED, ALL_FULL, NEVER_EJECTED, NO_TARGET } from "../score/pick.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { Waiter } from "../flow/fair-order.ts";
import type { ModelFlow, Waiting } from "./dispatch.ts";
import type { HeldFor, LateBound } from "./late-news.ts";
import type { Target } from "./routes.ts";
import type { Wishes } from "./wishes.ts";

/** Beside NO_TARGET and ALL_FULL: there is room, and the desk is to say where and when. */
export const HELD = -10;

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
  /** Of which it is a row. */
  model = -1;
  row = NO_TARGET;
  target: Target | null = null;
  way: Way | null = null;
  /** The number by which the desk knows the request; 0: it was bound here. */
  lateId = 0;
  /** For how long the desk had held it, and why it was bound there; null: it was bound here. */
  held: HeldFor | null = null;
  /** Claimed tokens of the prompt: those that the target has not cached. */
  tokens = 0;
  /** Tokens of its context, where they are counted; else 0. */
  contextTokens = 0;
  readonly #open: Open<Way>;
  /** A breaker held some row back. */
  #isHeld = false;

  constructor(open: Open<Way>) {
    this.#open = open;
  }

  /**
   * Claims a row of `model` for a prompt of so many tokens, none of the `excluded`.
   * Answers its number, or NO_TARGET (none is routable), ALL_FULL (none has room) or HELD. A `place` is claimed already,
   * for as many tokens.
   */
  make(
    context: WorkerContext,
    model: number,
    tokens: number,
    excluded: readonly number[],
    isRetry: boolean,
    place: LateBound | null = null,
    isCopy = false,
  ): number {
    const timed = (decisions++ & (DECISION_SAMPLE - 1)) === 0;
    const before = timed ? performance.now() : 0;
    this.lateId = 0;
    this.model = model;
    this.held = null;
    let row = place === null ? NO_TARGET : this.#take(context, model, tokens, place);
    if (row < 0) {
      const mayHold = !isRetry && !isCopy && place === null && isBoundLate(context, model);
      const reason = isCopy ? "shadow" : isRetry ? "retry" : "best";
      row = this.#claim(context, model, tokens, excluded, reason, false, mayHold);
    }
    // A target that a breaker holds back is better than none.
    if (row < 0 && row !== HELD && this.#isHeld && !isCopy) {
      row = this.#claim(context, model, tokens, excluded, isRetry ? "retry" : "best", true);
    }
    if (timed) context.counters.decision((performance.now() - before) * 1000);
    return row;
  }

  /** Takes what the desk claimed; or gives it back. */
  #take(context: WorkerContext, model: number, promptTokens: number, { id, row, tokens, why }: LateBound): number {
    const { routes, dispatch, late, counters } = context;
    const target = routes.target(row);
    const isAllowed = target !== undefined && dispatch.allows(row);
    const way = isAllowed ? this.#open(target) : null;
    if (target !== undefined && way !== null) {
      counters.pick(row, "late");
      this.row = row;
      this.target = target;
      this.way = way;
      this.tokens = tokens;
      this.contextTokens = 0;
      this.lateId = id;
      this.held = why;
      // Of its prompt, what the desk took for cached.
      context.pick.cachedTokens = promptTokens - tokens;
      return row;
    }
    if (isAllowed) dispatch.observe(model, row, "unknown", nowMs());
    late?.giveBack(row, tokens);
    late?.unreached(id);
    counters.late("lateUnreached");
    return ALL_FULL;
  }

  #claim(
    context: WorkerContext,
    model: number,
    tokens: number,
    excluded: readonly number[],
    why: PickReason,
    force: boolean,
    mayHold = false,
  ): number {
    const { table, pick, index, counters, routes, dispatch, strategies } = context;
    const picker = strategies.pickerOf(model);
    pick.model = model;
    pick.promptTokens = tokens;
    pick.clearExcluded();
    for (const row of excluded) pick.exclude(row);
    let reason = why;
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
      if (reason === "best" && tries === 0) strategies.compare(pick, row);
      if (pick.session !== 0) row = strategies.rowOfSession(pick, row);
      if (mayHold && isHeldBack(context, model, row)) return HELD;
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
          if (mayHold) counters.late(context.late?.isSilent === true ? "lateAlone" : "lateAtOnce");
          this.row = row;
          this.target = target;
          this.way = way;
          this.tokens = fresh;
          this.contextTokens = strategies.came(model, row, tokens);
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

/** Others wait for the model, and are not the desk's to serve: whoever comes now is behind them. */
export function isBehind(context: WorkerContext, flow: ModelFlow): boolean {
  return flow.queue.requests > 0 && (context.late?.isSilent === true || !isBoundLate(context, flow.model));
}

/** Others wait for the model, here or in other workers, or the row that is best is at work. */
function isHeldBack({ late, dispatch }: WorkerContext, model: number, row: number): boolean {
  if (late === null) return false;
  if (late.isSilent) return !late.isOpen(row);
  if (late.isCrowded(model) || !late.isOpen(row)) return true;
  return dispatch.waiting > 0 && dispatch.flow(model).queue.requests > 0;
}

/** Lets it wait, whose choice has just been made in vain: for the desk where its model is bound late; or answers after how many seconds it may come again. */
export function waitIn(
  context: WorkerContext,
  flow: ModelFlow,
  waiter: Waiter<Waiting>,
  cameMs: number,
  { priority, firstTokenMs }: Wishes,
): number {
  waiter.priority = priority;
  waiter.cameMs = cameMs;
  waiter.wantedMs = cameMs + firstTokenMs;
  waiter.session = context.strategies.homeOfSession(context.pick);
  waiter.perSecondMin = heldPerSecond(context, flow.model);
  return context.dispatch.wait(flow, waiter, isBoundLate(context, flow.model));
}

/** Whether some target of the model could take a request now. */
function hasRoom({ table, pick, picker }: WorkerContext, model: number): boolean {
  pick.model = model;
  pick.promptTokens = 0;
  pick.clearExcluded();
  pick.nowDeciseconds = table.nowDeciseconds(unixMs());
  const row = picker.pick(pick);
  return row >= 0 || row === ALL_EJECTED;
}

/**
 * Tokens a second by which a wait is foreseen at least of who is held though targets have room, since how fast those are
 * emptied that wait says little of what targets can do: as much as the desk may come to believe of them. 0: it is for
 * places that it waits.
 */
function heldPerSecond(context: WorkerContext, model: number): number {
  if (context.late === null || !isBoundLate(context, model) || !hasRoom(context, model)) return 0;
  return context.late.tokensPerSecond(context.routes.rowsOf(model)) * PACE_BOUND;
}

/** Whether the desk has a say in where the model's requests go. It knows no pairs (pairing.ts), nor whom they serve better. */
export function isBoundLate({ late, strategies, routes }: WorkerContext, model: number): boolean {
  return late !== null && strategies.isBoundLate(model) && routes.pairsOf(model) === undefined;
}
