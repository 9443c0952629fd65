/**
 * Chooses, for one request, between a target that does all of it and a pair of targets, where a model's targets have roles
 * (../fleet/role.ts): whichever is expected to give the first token sooner. The cost of a pair is that of the prompt at the
 * best prefill target, of the KV cache's way, and of a place at the best decode target; since the way costs the same
 * between any two, the best of each pool make up the best pair, and each pool is scanned by itself.
 *
 * Costs are the scan's, whatever strategy chooses the row: others don't count in seconds. A pair that is sooner and can't
 * be claimed makes way for a whole target, and the other way round.
 */
import { ALL_EJECTED, ALL_FULL, NEVER_EJECTED, NO_TARGET } from "../score/pick.ts";
import { Choice } from "./choice.ts";
import { unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { LateBound } from "./late-news.ts";
import { isOnePrompt } from "./pair-bodies.ts";
import type { Pair, Pairs } from "./pairs.ts";
import type { PrefillPlace } from "./prefill.ts";
import type { Held } from "./reshape.ts";
import type { UpstreamConnection } from "./upstream.ts";

/** The prefill targets that are chosen. */
const prefills = new Choice<UpstreamConnection>((target) => target.pool?.take() ?? null);
/** What is left of a target that is ejected, beside one that is not. */
const EJECTED_SECONDS = 1e6;

export interface Wanted {
  readonly model: number;
  readonly tokens: number;
  readonly excluded: readonly number[];
  readonly isRetry: boolean;
  readonly place: LateBound | null;
}

/** As `choice.make`; with a pairing whose `prefill` is set, what is in `choice` is the decode target. */
export function choosePlace(
  context: WorkerContext,
  choice: Choice<UpstreamConnection>,
  pairing: Pairing | null,
  wanted: Wanted,
): number {
  const { model, tokens, excluded, isRetry, place } = wanted;
  return pairing === null
    ? choice.make(context, model, tokens, excluded, isRetry, place)
    : pairing.choose(choice, wanted);
}

/** Of the request's model as it is now; `known` stays while that is the same. Null: no target of it has a role. */
export function pairingOf(
  context: WorkerContext,
  known: Pairing | null,
  request: { readonly model: number; readonly source: Held },
): Pairing | null {
  const pairs = context.routes.pairsOf(request.model);
  if (pairs === undefined) return null;
  return known?.pairs === pairs ? known : new Pairing(context, pairs, request.source);
}

export class Pairing {
  readonly #context: WorkerContext;
  readonly pairs: Pairs;
  readonly #isPairable: boolean;
  /** The other half of what was chosen last; null: that does all. */
  prefill: PrefillPlace | null = null;

  /** `request`: as it would go to a target that does all of it. */
  constructor(context: WorkerContext, pairs: Pairs, request: Held) {
    this.#context = context;
    this.pairs = pairs;
    this.#isPairable = pairs.length > 0 && isOnePrompt(request);
  }

  choose(choice: Choice<UpstreamConnection>, wanted: Wanted): number {
    this.prefill = null;
    const { model, tokens, excluded, isRetry, place } = wanted;
    const make = (): number => choice.make(this.#context, model, tokens, excluded, isRetry, place);
    if (place !== null || !this.#isPairable) return make();
    const whole = this.#seconds(model, tokens, excluded);
    const costs = this.pairs
      .map((pair) => ({ pair, seconds: this.#pairSeconds(pair, tokens, excluded) }))
      .toSorted((a, b) => a.seconds - b.seconds);
    let isFull = false;
    const claimed = (isSooner: boolean): number => {
      for (const { pair, seconds } of costs) {
        if (seconds < 0) isFull ||= seconds === ALL_FULL;
        else if ((whole >= 0 && seconds > whole) !== isSooner) {
          const row = this.#claim(choice, pair, wanted);
          if (row >= 0) return row;
          isFull = true;
        }
      }
      return NO_TARGET;
    };
    const sooner = claimed(true);
    if (sooner >= 0) return sooner;
    const row = make();
    if (row !== NO_TARGET && row !== ALL_FULL) return row;
    const later = claimed(false);
    if (later >= 0) return later;
    // A place in a pair may come free as one elsewhere does.
    return isFull ? ALL_FULL : row;
  }

  /** The decode target's place first: what the scan tells last is of the prompt, and is remembered. */
  #claim(choice: Choice<UpstreamConnection>, { transfer, prefill, decode }: Pair, wanted: Wanted): number {
    const { tokens, excluded, isRetry } = wanted;
    const context = this.#context;
    const row = choice.make(context, decode, 1, excluded, isRetry);
    if (row < 0) return row;
    const own = prefills.make(context, prefill, tokens, excluded, isRetry);
    const { target, way, contextTokens } = prefills;
    if (own >= 0 && target !== null && way !== null) {
      this.prefill = { transfer, model: prefill, row: own, target, way, tokens: prefills.tokens, contextTokens };
      return row;
    }
    context.table.endPrefill(context.index, row, choice.tokens);
    context.table.end(context.index, row);
    context.strategies.left(row, choice.contextTokens);
    context.dispatch.observe(decode, row, "unknown", 0);
    choice.way?.release(true);
    return ALL_FULL;
  }

  /** In which the first token is expected; below 0: NO_TARGET or ALL_FULL, of either. */
  #pairSeconds({ prefill, decode }: Pair, tokens: number, excluded: readonly number[]): number {
    const first = this.#seconds(prefill, tokens, excluded);
    const second = this.#seconds(decode, 1, excluded);
    if (first < 0 || second < 0) return first === NO_TARGET || second === NO_TARGET ? NO_TARGET : ALL_FULL;
    return first + second + tokens / this.#context.config.kvTokensPerSecond;
  }

  #seconds(model: number, tokens: number, excluded: readonly number[]): number {
    const { pick, picker, table } = this.#context;
    pick.model = model;
    pick.promptTokens = tokens;
    pick.clearExcluded();
    for (const row of excluded) pick.exclude(row);
    pick.nowDeciseconds = table.nowDeciseconds(unixMs());
    let row = picker.pick(pick);
    if (row >= 0) return pick.cost;
    if (row !== ALL_EJECTED) return row;
    pick.nowDeciseconds = NEVER_EJECTED;
    row = picker.pick(pick);
    return row >= 0 ? EJECTED_SECONDS + pick.cost : row;
  }
}
