/**
 * A strategy that chooses among the rows of one model, in one worker. Who may be chosen is as with the scorers: rows that
 * are routable and have room, neither ejected nor excluded; the answers are theirs too. What is told as the cost is what
 * time to a first token is expected at the row, whatever the strategy went by.
 */
import { expectedSeconds } from "./expected-seconds.ts";
import { NO_TARGET, type PickRequest } from "./pick.ts";
import { RowView } from "./row-view.ts";
import type { ScoreTable } from "./table.ts";
import type { Strategy } from "./view.ts";

/** What a strategy is given to choose by, beside the table. */
export interface Choosing {
  /** The model's rows, the same list until they change. */
  readonly rows: readonly number[];
  /** More than 0. */
  readonly weightOf: (row: number) => number;
  /** Looks up what rows have cached of the request's prompt; its lookup tells. */
  readonly match: () => void;
  /** By then a first token is wanted, where nobody says; and so far apart the others at most. */
  readonly patienceMs: number;
  readonly gapMs: number;
}

export class ModelStrategy {
  readonly strategy: Strategy;
  readonly #rows: RowView;
  readonly #forget: (target: number) => void;

  constructor(strategy: Strategy, table: ScoreTable) {
    this.strategy = strategy;
    this.#rows = new RowView(table);
    this.#forget = (target) => strategy.forget?.(target);
  }

  /** As a Picker's. */
  pick(request: PickRequest, { rows, weightOf, match, patienceMs, gapMs }: Choosing, nowMs: number): number {
    const { strategy } = this;
    request.cachedTokens = 0;
    this.#rows.sync(rows, this.#forget);
    const nobody = this.#rows.fill(request, weightOf);
    if (nobody !== null) {
      request.answer(0, 0, 0);
      return nobody;
    }
    const { view } = this.#rows;
    if (strategy.needsPrefixes) this.#rows.fillPrefixes(request, match);
    const { promptTokens, missWeight, urgency } = request;
    const leftMs = urgency?.leftMs(patienceMs, nowMs) ?? patienceMs;
    const wanted = { promptTokens, missWeight, leftMs, gapMs, priority: urgency?.priority ?? 1 };
    const target = strategy.choose(view, wanted, nowMs);
    if (target < 0) {
      request.answer(0, 0, 0);
      return NO_TARGET;
    }
    if (strategy.needsPrefixes) request.cachedTokens = view.matchedTokens[target]!;
    request.answer(expectedSeconds(view, target, wanted), 1, 0);
    return this.#rows.rowAt(target);
  }

  /** A first token came from the row. */
  observe(row: number, ttftMs: number, nowMs: number): void {
    const target = this.#rows.targetOf(row);
    if (target >= 0) this.strategy.observe?.(target, ttftMs, nowMs);
  }
}
