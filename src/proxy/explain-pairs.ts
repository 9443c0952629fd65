/** What explanations say of targets that compute a part of requests: which pair would be taken, and how soon that is. */
import { roleOf } from "../fleet/role.ts";
import type { Target } from "../fleet/target.ts";
import { revisionsOf } from "./splits.ts";
import { pairsOf, poolOf } from "./pairs.ts";
import type { RouteModel } from "./protocol.ts";

interface Half {
  readonly node: string;
  readonly eligible: boolean;
  readonly seconds: number;
}

export interface PairVerdict {
  /** Until the first token is expected; Infinity: none can be taken. */
  readonly seconds: number;
  /** Whose answer the client would get; "": none can be taken. */
  readonly node: string;
  readonly text: string;
}

const ms = (seconds: number): string => `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;

/** The number of the model's targets that do all of each request; -1: there is no such model. */
function numberOf(all: readonly RouteModel[], model: string): number {
  const models = all.filter(({ name, pool }) => name === model && pool === undefined);
  // One name may be served over both protocols, and each lane chooses among its own.
  return (models.find(({ protocol }) => protocol === "http") ?? models[0])?.id ?? -1;
}

/** Of these the whole model's, and those of its revisions, each of which has whole targets of its own. */
export function numbersOf(all: readonly RouteModel[], model: string): number[] {
  const whole = numberOf(all, model);
  return [whole, ...(revisionsOf({ models: all }).get(whole)?.values() ?? [])];
}

/** `halves`: the places of a pool, for a prompt of so many tokens. Null: no target of the model has a role. */
export function pairVerdict(
  models: readonly RouteModel[],
  model: string,
  halves: (pool: number, promptTokens: number) => readonly Half[],
  promptTokens: number,
  kvTokensPerSecond: number,
): PairVerdict | null {
  const pairs = pairsOf({ models }).get(numberOf(models, model));
  if (pairs === undefined) return null;
  const way = promptTokens / kvTokensPerSecond;
  const found = pairs
    .flatMap(({ prefill, decode }) => {
      const [first, second] = [soonest(halves(prefill, promptTokens)), soonest(halves(decode, 1))];
      return first === undefined || second === undefined ? [] : [{ first, second }];
    })
    .toSorted((a, b) => a.first.seconds + a.second.seconds - b.first.seconds - b.second.seconds)[0];
  if (found === undefined) {
    return {
      seconds: Infinity,
      node: "",
      text: "no pair of its targets can be taken: one for prompts or one for what follows is missing",
    };
  }
  const { first, second } = found;
  const seconds = first.seconds + second.seconds + way;
  const parts = `${first.node} for the prompt (${ms(first.seconds)}), ${second.node} for what follows (${ms(second.seconds)}), ${ms(way)} for the KV cache's way`;
  return { seconds, node: second.node, text: `a pair takes chats and completions in ${ms(seconds)}: ${parts}` };
}

function soonest(halves: readonly Half[]): Half | undefined {
  return halves.filter(({ eligible }) => eligible).toSorted((a, b) => a.seconds - b.seconds)[0];
}

/** Both verdicts as one: of whole targets, and of pairs. */
export function eitherOf(
  whole: { readonly winner: string; readonly reason: string; readonly candidates: readonly Half[] },
  pair: PairVerdict | null,
): { readonly winner: string; readonly reason: string } {
  const { winner, reason, candidates } = whole;
  if (pair === null) return { winner, reason };
  const seconds = candidates.find(({ node }) => node === winner)?.seconds ?? Infinity;
  const isPair = pair.node !== "" && (winner === "" || pair.seconds <= seconds);
  return isPair
    ? { winner: pair.node, reason: `${pair.text}; otherwise: ${reason}` }
    : { winner, reason: `${reason}; ${pair.text}` };
}

/** Why a target of the model can't take whole requests; "": it has no role. */
export function partText(target: Target): string {
  const role = roleOf(target);
  if (role === null) return "";
  const what = role.part === "prefill" ? "prompts alone" : "what follows a prompt alone";
  return `it computes ${what} (${poolOf(role)}), in a pair with another`;
}
