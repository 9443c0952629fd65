/**
 * The model repository of the open inference protocol (KServe v2), as Triton and MLServer have it: the index of all
 * models, one item a version, and loading and unloading by name.
 */
import type { Answer, ModelCall } from "./adapter.ts";
import { itemsAt, jsonOf, nameAt, textAt, wordsAt } from "./json-answer.ts";
import { callOf, post } from "./model-plans.ts";
import { provesLoaded } from "./proofs.ts";
import type { ModelState } from "../base/runtime-terms.ts";
import type { ModelTold, Refusal, TableLook, Told } from "./table.ts";

/** A model of several versions is as its best one is. */
const BETTER: readonly ModelState[] = ["failed", "available", "unloading", "loading", "warming", "loaded"];

export const INDEX: TableLook = {
  name: "index",
  role: "models",
  ask: post("/v2/repository/index", {}),
  read: readIndex,
};

function readIndex(answer: Answer): Told | Refusal {
  const items = itemsAt(jsonOf(answer));
  if (items === undefined) return { kind: "unreadable", message: "it is no index of a model repository" };
  const models = new Map<string, ModelTold>();
  for (const item of items) {
    const model = nameAt(item, "name");
    if (model === undefined) continue;
    const told = indexed(model, item);
    const before = models.get(model)?.state;
    if (before === undefined || BETTER.indexOf(told.state) > BETTER.indexOf(before)) models.set(model, told);
  }
  return { models: [...models.values()], notes: { indexed: true } };
}

function indexed(model: string, item: unknown): ModelTold & { readonly state: ModelState } {
  const reason = wordsAt(item, "reason");
  const told = (state: ModelState, why = "") => ({ model, state, reason: why, capabilities: ["infer"] as const });
  switch (textAt(item, "state")) {
    case "READY":
      return told("loaded");
    case "LOADING":
      return told("loading");
    case "UNLOADING":
      return told("unloading");
    case "UNAVAILABLE":
      // A model that was let go, or never asked for, has nothing wrong with it.
      return reason === "" || reason === "unloaded" ? told("available") : told("failed", reason);
    default:
      // Triton names what it has never loaded, and says nothing of its state.
      return told("available");
  }
}

/**
 * Loads or unloads by the repository's API. Loading is answered when it is done; unloading may be before, while requests
 * end.
 */
export function repositoryCall(
  verb: "load" | "unload",
  model: string,
  advice: (said: string, answer: Answer) => string | undefined,
): ModelCall {
  const path = `/v2/repository/models/${encodeURIComponent(model)}/${verb}`;
  const proof = verb === "load" ? () => provesLoaded([model], { capabilities: ["infer"] }) : undefined;
  return callOf({ verb, model, asks: [post(path, {})], advice, ...(proof === undefined ? {} : { proof }) });
}
