/**
 * Why a request goes where it goes: every place of a model with each term of its cost, as the scorer would see it now,
 * and by which way of balancing one of them is chosen. Nodes that can't be chosen are told with why, those that do not
 * serve the model among them. The main thread's, which knows what the rows of the score table lead to.
 */
import { MeshError } from "../base/errors.ts";
import { didYouMean } from "../base/nearest.ts";
import { formatHostPort } from "../fleet/registration.ts";
import type { Target } from "../fleet/target.ts";
import { PolicyViews } from "../policy/policy-views.ts";
import { RowSides } from "../score/row-sides.ts";
import type { ScoreTable } from "../score/table.ts";
import { costOf, figuresIn, figuresOf, type RowCost, type RowFigures, TERM_NAMES, termDetail } from "../score/terms.ts";
import type { Decision, SeenPlace } from "./decisions.ts";
import { type Contender, decided, type Way, type Within, wished } from "./explain-choice.ts";
import { balanceOf, denialOf, revisionNote } from "./explain-policies.ts";
import type { PlaceInUse } from "./places.ts";
import type { Placement } from "./placement.ts";
import { eitherOf, numbersOf, pairVerdict, type PairVerdict } from "./explain-pairs.ts";
import { moreOf, strangerOf, whyUnroutable } from "./explain-target.ts";
import { pastText } from "./explain-past.ts";
import type { LateState } from "./late-state.ts";
import { type ShownRates, shownRates } from "./explain-rates.ts";
import type { RowRate } from "./row-learning.ts";

export interface Candidate {
  readonly node: string;
  readonly address: string;
  readonly eligible: boolean;
  /** Why not, in words. */
  readonly reason: string;
  readonly seconds: number;
  readonly terms: readonly { readonly name: string; readonly seconds: number; readonly detail: string }[];
  readonly activeRequests: number;
  readonly queuedTokens: number;
  readonly capacity: number;
  readonly weight: number;
  readonly chosen: boolean;
  /** How much of many requests as this one would go there, 0 to 1. */
  readonly share: number;
  /** -1: it has none, since it does not serve the model. */
  readonly row: number;
  /** How fast it is taken to be; absent where nobody learns that. */
  readonly rates?: ShownRates | undefined;
}

export interface Explanation {
  readonly requestId: string;
  readonly model: string;
  readonly promptTokens: number;
  readonly atMs: number;
  readonly strategy: Way;
  /** "": nobody. */
  readonly winner: string;
  readonly reason: string;
  /** The likeliest and cheapest first, then those that can't be chosen. */
  readonly candidates: readonly Candidate[];
}

export interface ExplainerOptions {
  readonly table: ScoreTable;
  readonly placement: Pick<Placement, "places" | "models">;
  target(id: string): Target | undefined;
  /** Those that serve other models too; none where only places count. */
  targets?(): readonly Target[];
  /** The policies in force; none where there are none. */
  views?(): PolicyViews;
  /** What was learnt of a row's rates; nothing where nobody does. */
  rate?(row: number): RowRate | undefined;
  /** What is known of binding late; nothing where nobody does. */
  readonly late?: LateState;
  /** What a KV cache takes from one target to another; none: no time. */
  readonly kvTokensPerSecond?: () => number;
  /** By when first tokens are wanted, and how far apart others may be; none: nobody says. */
  within?(): Within;
  /** How models are balanced of which no policy says so; none: by expected time to first token. */
  byDefault?(): Way;
}

export interface Asked {
  readonly promptTokens?: number | undefined;
  readonly excluded?: readonly string[];
  /** Undefined: nobody in particular asks, and access is not looked at. */
  readonly tenant?: string | undefined;
}

/** What a request is taken to be of whose prompt nothing is said. */
export const PROMPT_TOKENS = 512;
/** Nodes that are told of because they don't serve the model. */
const OTHERS_MAX = 64;
const DECISECOND_SECONDS = 0.1;
const NO_POLICIES = new PolicyViews();

type Scored = Candidate & Contender;

/** A place as it is explained: a row, by what is known of it now or was known when it was chosen. */
interface Seen {
  readonly id: string;
  readonly row: number;
  readonly model: string;
  readonly weight: number;
  /** Every worker routes by a snapshot that has it. */
  readonly isRouted: boolean;
  readonly figures: RowFigures;
  /** As it is now, rather than as it was. */
  readonly isNow: boolean;
  /** What of its penalty is loading the model; 0 where it is of the past, and not known. */
  readonly loadSeconds: number;
  /** What it was believed to have of the prompt; nobody tells a prompt who asks about now. */
  readonly cached?: SeenPlace;
}

export class Explainer {
  readonly #options: ExplainerOptions;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  /** Throws `model_not_found` with what was probably meant. */
  explain(model: string, { promptTokens = PROMPT_TOKENS, excluded = [], tenant }: Asked = {}): Explanation {
    const { table } = this.#options;
    const views = this.#views;
    const atMs = Date.now();
    const nowDeciseconds = table.nowDeciseconds(atMs);
    const denial = tenant === undefined ? "" : denialOf(views, tenant, model);
    const isExcluded = new Set(excluded);
    const scored = this.#places(model).map((place): Scored => {
      const { target: id, revision } = place;
      const node = this.#options.target(id)?.node ?? id;
      const asked = isExcluded.has(id) || isExcluded.has(node) ? "excluded by who asks" : denial;
      const why = asked || revisionNote(views.balanceFor(model), revision);
      return this.#candidate(this.#seen(place), promptTokens, nowDeciseconds, why);
    });
    const strategy = this.#wayOf(model);
    const { winner, reason, candidates } = decided(scored, strategy, wished(promptTokens, this.#options.within?.()));
    const pair = this.#pairOf(model, promptTokens, nowDeciseconds);
    const met = strategy === "late" && winner !== "" && pair === null ? this.#met(model, candidates) : "";
    const whole = { winner, reason: `${reason}${met}`, candidates };
    return {
      requestId: "",
      model,
      promptTokens,
      atMs,
      strategy,
      ...(denial === "" ? eitherOf(whole, pair) : { winner: "", reason: denial }),
      candidates: denial === "" ? candidates : candidates.map((one) => ({ ...one, chosen: false, share: 0 })),
    };
  }

  /** Null: no target of the model has a role. */
  #pairOf(model: string, promptTokens: number, nowDeciseconds: number): PairVerdict | null {
    const { placement, kvTokensPerSecond } = this.#options;
    const halves = (pool: number, tokens: number): readonly Candidate[] =>
      this.#placesOf(pool).map((place) => this.#candidate(this.#seen(place), tokens, nowDeciseconds, ""));
    return pairVerdict(placement.models(), model, halves, promptTokens, kvTokensPerSecond?.() ?? Infinity);
  }

  #seen({ target: id, ...place }: PlaceInUse): Seen {
    return { ...place, id, figures: figuresOf(this.#options.table, place.row), isNow: true };
  }

  /** Nodes that can't be chosen since they don't serve the model. */
  others(model: string): Candidate[] {
    const placed = new Set(this.#places(model).map(({ target }) => target));
    const others = (this.#options.targets?.() ?? []).filter(({ id }) => !placed.has(id));
    return others.slice(0, OTHERS_MAX).map((target) => strangerOf(target, model));
  }

  /** A choice that a worker remembers. */
  past(decision: Decision): Explanation {
    const { requestId, model, promptTokens, atMs, nowDeciseconds, row, node } = decision;
    const weights = new Map(this.#placesNamed(model).map((place) => [place.row, place.weight]));
    const scored = decision.places.map((place): Scored => {
      const kept = figuresIn(place.figures);
      // The claim of the request itself came first.
      const own = place.row === row ? 1 : 0;
      const figures = {
        ...kept,
        activeRequests: kept.activeRequests - own,
        queuedTokens: kept.queuedTokens - own * Math.max(1, promptTokens - Math.trunc(place.cachedTokens)),
      };
      const weight = weights.get(place.row) ?? 1;
      const seen = {
        id: place.node,
        row: place.row,
        model,
        weight,
        isRouted: true,
        figures,
        isNow: false,
        loadSeconds: 0,
        cached: place,
      };
      return this.#candidate(seen, promptTokens, nowDeciseconds, "");
    });
    // By which way it was chosen is not kept: the policies of now are those of then, but for a change in between.
    const strategy = this.#wayOf(model);
    const { winner, reason, candidates } = decided(
      scored.filter((one) => one.row === row || one.capacity > 0),
      strategy,
      wished(promptTokens, this.#options.within?.()),
    );
    const hasShare = candidates.some((one) => one.row === row && one.share > 0);
    return {
      requestId,
      model,
      promptTokens,
      atMs: Math.round(atMs),
      strategy,
      winner: node,
      reason: pastText(decision, winner === node || hasShare ? reason : ""),
      candidates: candidates.map((one) => ({ ...one, chosen: one.row === row })),
    };
  }

  #wayOf(model: string): Way {
    return balanceOf(this.#views, model, this.#options.byDefault?.() ?? "ttft");
  }

  get #views(): PolicyViews {
    return this.#options.views?.() ?? NO_POLICIES;
  }

  /** What the request would meet at who is chosen. */
  #met(model: string, [first]: readonly Candidate[]): string {
    const place = this.#placesNamed(model).find(({ row }) => row === first?.row);
    const text = place && this.#options.late?.meets(place.modelId, place.row, first?.node ?? "");
    return text === undefined ? "" : `; ${text}`;
  }

  #places(model: string) {
    const places = this.#placesNamed(model);
    const { placement } = this.#options;
    if (places.length > 0 || placement.models().some(({ name }) => name === model)) return places;
    const names = [...new Set(placement.models().map(({ name }) => name))];
    const hint = didYouMean(model, names);
    const shown = JSON.stringify(model.slice(0, 128));
    throw new MeshError("model_not_found", `no node serves the model ${shown}${hint === "" ? "" : `; ${hint}`}`);
  }

  #placesNamed(model: string) {
    return numbersOf(this.#options.placement.models(), model).flatMap((id) => this.#placesOf(id));
  }

  #placesOf(id: number): PlaceInUse[] {
    return id < 0 ? [] : [...this.#options.placement.places()].filter(({ modelId }) => modelId === id);
  }

  #candidate(seen: Seen, promptTokens: number, nowDeciseconds: number, refusal: string): Scored {
    const { id, row, model, figures, weight } = seen;
    const cost = costOf(figures, promptTokens, nowDeciseconds, seen.loadSeconds, seen.cached);
    const target = this.#options.target(id);
    const rates = shownRates(this.#options.rate?.(row));
    const reason = refusal === "" ? this.#obstacle(seen, cost, target, nowDeciseconds) : refusal;
    return {
      node: id,
      address: target === undefined ? "" : formatHostPort(target.host, target.port),
      eligible: reason === "",
      reason,
      seconds: cost.seconds,
      terms: TERM_NAMES.map((name) => ({
        name,
        seconds: cost.terms[name],
        detail: `${termDetail(name, figures, promptTokens, seen.cached)}${seen.isNow ? moreOf(name, model, target, rates) : ""}`,
      })),
      activeRequests: cost.activeRequests,
      queuedTokens: cost.queuedTokens,
      capacity: figures.capacity,
      weight,
      chosen: false,
      share: 0,
      row,
      ...(rates === undefined ? {} : { rates }),
      cost,
      figures,
      cached: seen.cached,
      sides: seen.isNow ? new RowSides(this.#options.table).of(row) : undefined,
    };
  }

  #obstacle(seen: Seen, cost: RowCost, target: Target | undefined, nowDeciseconds: number): string {
    const { figures, model } = seen;
    switch (cost.obstacle) {
      case "":
        return "";
      case "full":
        return `full: ${cost.activeRequests} requests there, and it takes ${figures.capacity}`;
      case "ejected": {
        const seconds = (figures.ejectedUntil - nowDeciseconds) * DECISECOND_SECONDS;
        return `ejected for ${seconds.toFixed(1)} s: requests failed there, and a breaker opened`;
      }
      case "unroutable":
        return target === undefined ? "it has left" : whyUnroutable(model, target, seen.isRouted, this.#views);
    }
  }
}
