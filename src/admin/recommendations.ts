/** GetRecommendations: what a router's policies ask of whoever starts and stops nodes. */
import { MeshError } from "../base/errors.ts";
import type { GetRecommendationsResponse, Init, Recommendation } from "../gen/services.js";
import { unknown } from "./node-service.ts";

interface Wanted {
  readonly model: string;
  readonly replicas: number;
  readonly wanted: number;
}

/** As a router knows it (policies.ts). */
export interface Advice {
  /** By scaling policies, also where nothing is to be changed. */
  readonly recommendations: readonly (Wanted & { readonly why: string })[];
  /** Pins that lack replicas. */
  readonly short: readonly Wanted[];
  /** Undefined before any policies were heard. */
  readonly revision: number | undefined;
}

/** Of one model, or of all for "". Throws `not_found` for a model that nobody knows. */
export function recommendationsIn(
  { recommendations, short, revision }: Advice,
  model: string,
  knownModels: () => readonly string[],
): Init<GetRecommendationsResponse> {
  if (revision === undefined) {
    throw new MeshError(
      "starting",
      "this router has heard of no policies: it is starting, or has found no control node yet",
    );
  }
  const all: Init<Recommendation>[] = [
    ...recommendations.map((one) => ({ ...one, policy: `scaling/${one.model}` })),
    ...short.map((one) => ({ ...one, policy: `pin/${one.model}`, why: `its pin asks for at least ${one.wanted}` })),
  ];
  const asked = all.filter((one) => model === "" || one.model === model);
  if (model !== "" && asked.length === 0) {
    const models = [...new Set([...knownModels(), ...all.map((one) => one.model ?? "")])];
    if (!models.includes(model)) throw unknown("model", model, models);
  }
  // Of one model the policies in the order of their kinds.
  const byModel = asked.toSorted(
    (a, b) => compare(a.model ?? "", b.model ?? "") || compare(a.policy ?? "", b.policy ?? ""),
  );
  return { recommendations: byModel, revision };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
