/**
 * Why a request goes where it goes: every place of a model with each term of its cost, as the scorer would see it now.
 * The main thread's, which knows what the rows of the score table lead to.
 */
import { MeshError } from "../base/errors.ts";
import { didYouMean } from "../base/nearest.ts";
import { formatHostPort } from "../fleet/registration.ts";
import { isRoutable, type Target } from "../fleet/target.ts";
import type { ScoreTable } from "../score/table.ts";
import { costOf, figuresIn, figuresOf, type RowCost, type RowFigures, TERM_NAMES, termDetail } from "../score/terms.ts";
import { type Decision, PLACES_MAX } from "./decisions.ts";
import type { Placement } from "./placement.ts";

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
  readonly chosen: boolean;
  readonly row: number;
}

export interface Explanation {
  readonly requestId: string;
  readonly model: string;
  readonly promptTokens: number;
  readonly atMs: number;
  /** "": nobody. */
  readonly winner: string;
  readonly reason: string;
  /** The cheapest first, then those that can't be chosen. */
  readonly candidates: readonly Candidate[];
}

export interface ExplainerOptions {
  readonly table: ScoreTable;
  readonly placement: Placement;
  target(id: string): Target | undefined;
}

/** What a request is taken to be of whose prompt nothing is said. */
export const PROMPT_TOKENS = 512;
/** Why a row that is not the cheapest may be taken. */
const OTHERWISE =
  "a way to balance other than the score, a breaker, a busy connection, or what had been tried before decided, or the loads changed meanwhile";
/** Costs that differ by less are the same to the scorers, which count in float32. */
const TIE = 1e-6;

type Scored = Candidate & { readonly cost: RowCost };

export class Explainer {
  readonly #options: ExplainerOptions;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  /** Throws `model_not_found` with what was probably meant. */
  explain(model: string, promptTokens = PROMPT_TOKENS, excluded: readonly string[] = []): Explanation {
    const nowDeciseconds = this.#options.table.nowDeciseconds(Date.now());
    const scored = this.#places(model).map(({ target: id, row }): Scored => {
      const figures = figuresOf(this.#options.table, row);
      const cost = costOf(figures, promptTokens, nowDeciseconds);
      return this.#candidate(id, row, figures, cost, promptTokens, excluded.includes(id));
    });
    return { requestId: "", model, promptTokens, atMs: Date.now(), ...decided(scored) };
  }

  /** A choice that a worker remembers. */
  past(decision: Decision): Explanation {
    const { requestId, model, promptTokens, atMs, nowDeciseconds, row, node, isRetry, isCut } = decision;
    const scored = decision.places.map((place): Scored => {
      const kept = figuresIn(place.figures);
      // The claim of the request itself came first.
      const own = place.row === row ? 1 : 0;
      const figures = {
        ...kept,
        activeRequests: kept.activeRequests - own,
        queuedTokens: kept.queuedTokens - own * promptTokens,
      };
      const cost = costOf(figures, promptTokens, nowDeciseconds);
      return this.#candidate(place.node, place.row, figures, cost, promptTokens, false);
    });
    const { winner, reason, candidates } = decided(scored.filter((one) => one.row === row || one.capacity > 0));
    const notes = [
      ...(winner === node ? [reason] : [`${node} was taken: ${OTHERWISE}`]),
      ...(isRetry ? ["it was tried again here, after others had failed"] : []),
      ...(isCut ? [`of its many places only the first ${PLACES_MAX} were kept`] : []),
    ];
    const chosen = candidates.map((one) => ({ ...one, chosen: one.row === row }));
    return {
      requestId,
      model,
      promptTokens,
      atMs: Math.round(atMs),
      winner: node,
      reason: notes.join("; "),
      candidates: chosen,
    };
  }

  #places(model: string): readonly { readonly target: string; readonly row: number }[] {
    const { placement } = this.#options;
    const models = placement.models().filter(({ name }) => name === model);
    // One name may be served over both protocols, and each lane chooses among its own.
    const { id } = models.find(({ protocol }) => protocol === "http") ?? models[0] ?? { id: -1 };
    if (id >= 0) return [...placement.places()].filter(({ modelId }) => modelId === id);
    const names = [...new Set(placement.models().map(({ name }) => name))];
    const hint = didYouMean(model, names);
    const shown = JSON.stringify(model.slice(0, 128));
    throw new MeshError("model_not_found", `no node serves the model ${shown}${hint === "" ? "" : `; ${hint}`}`);
  }

  #candidate(
    id: string,
    row: number,
    figures: RowFigures,
    cost: RowCost,
    promptTokens: number,
    isExcluded: boolean,
  ): Scored {
    const target = this.#options.target(id);
    const reason = isExcluded ? "excluded by who asks" : obstacleIn(cost, figures, target);
    return {
      node: id,
      address: target === undefined ? "" : formatHostPort(target.host, target.port),
      eligible: reason === "",
      reason,
      seconds: cost.seconds,
      terms: TERM_NAMES.map((name) => ({
        name,
        seconds: cost.terms[name],
        detail: termDetail(name, figures, promptTokens),
      })),
      activeRequests: cost.activeRequests,
      queuedTokens: cost.queuedTokens,
      capacity: figures.capacity,
      chosen: false,
      row,
      cost,
    };
  }
}

function obstacleIn({ obstacle, activeRequests }: RowCost, figures: RowFigures, target: Target | undefined): string {
  switch (obstacle) {
    case "":
      return "";
    case "full":
      return `full: ${activeRequests} requests there, and it takes ${figures.capacity}`;
    case "ejected":
      return "ejected for a moment, for failing";
    case "unroutable":
      if (target === undefined) return "it has left";
      if (target.state === "unhealthy") return `unhealthy: ${target.lastError || "it does not answer"}`;
      if (target.state === "draining") return "it drains, and takes nothing new";
      if (!isRoutable(target)) return "its runtime is not ready";
      return "policies keep requests from it (pin, cordon, drain), or not every worker knows of it yet";
  }
}

function decided(scored: readonly Scored[]): Pick<Explanation, "winner" | "reason" | "candidates"> {
  const ordered = scored.toSorted((a, b) => Number(b.eligible) - Number(a.eligible) || a.seconds - b.seconds);
  const eligible = ordered.filter((one) => one.eligible);
  // When all that have room are ejected, one of them is taken all the same.
  const among = eligible.length > 0 ? eligible : ordered.filter(({ cost }) => cost.obstacle === "ejected");
  const [winner, second] = among;
  const candidates = ordered.map((one) => ({ ...one, chosen: one.row === winner?.row }));
  if (winner === undefined) {
    const reason = scored.length === 0 ? "no node serves it now" : "none of its nodes can be chosen now";
    return { winner: "", reason, candidates };
  }
  return { winner: winner.node, reason: whyWon(winner, second, among, eligible.length === 0), candidates };
}

function whyWon(winner: Scored, second: Scored | undefined, among: readonly Scored[], isFallback: boolean): string {
  const rest = isFallback ? "; all that have room are ejected, and one of them is better than none" : "";
  const ms = (seconds: number): string => `${(seconds * 1000).toFixed(2)} ms`;
  if (second === undefined) return `${winner.node} is the only one that can be chosen${rest}`;
  const ties = among.filter(({ seconds }) => seconds - winner.seconds <= winner.seconds * TIE).length;
  if (ties > 1) return `${ties} nodes are expected to take ${ms(winner.seconds)}, and chance decides among them${rest}`;
  const [name, gain] = TERM_NAMES.map((term) => [term, second.cost.terms[term] - winner.cost.terms[term]] as const)
    .toSorted((a, b) => b[1] - a[1])
    .at(0) ?? ["prefill", 0];
  const most = `it is ahead by ${ms(gain)} in the term ${name}`;
  return `${winner.node} is expected to take ${ms(winner.seconds)}, ${ms(second.seconds - winner.seconds)} less than ${second.node}; ${most}${rest}`;
}
