/**
 * The states of a model's versions as TensorFlow Serving tells them (GetModelStatusResponse), which OpenVINO Model Server
 * took over: a model can be asked as soon as one version is available.
 */
import { itemsAt, textAt, wordsAt } from "./json-answer.ts";
import type { Capability, ModelState } from "../base/runtime-terms.ts";
import type { ModelTold } from "./table.ts";

const STATES: Readonly<Record<string, ModelState>> = {
  START: "loading",
  LOADING: "loading",
  AVAILABLE: "loaded",
  UNLOADING: "unloading",
};
const BETTER: readonly ModelState[] = ["available", "failed", "unloading", "loading", "loaded"];

/** Undefined where it is no such status. */
export function versionedModel(
  model: string,
  json: unknown,
  capabilities: readonly Capability[],
): (ModelTold & { readonly state: ModelState }) | undefined {
  const versions = itemsAt(json, "model_version_status");
  if (versions === undefined) return undefined;
  let best: { state: ModelState; reason: string } = { state: "available", reason: "" };
  for (const version of versions) {
    const found = versionState(version);
    if (BETTER.indexOf(found.state) > BETTER.indexOf(best.state)) best = found;
  }
  return { model, ...best, capabilities };
}

/** At its end a version was let go, or it could not be loaded: the error code tells which. */
function versionState(version: unknown): { state: ModelState; reason: string } {
  const word = textAt(version, "state");
  const state = Object.hasOwn(STATES, word) ? STATES[word] : undefined;
  if (state !== undefined) return { state, reason: "" };
  const code = wordsAt(version, "status", "error_code");
  if (code === "OK" || code === "") return { state: "available", reason: "" };
  const said = wordsAt(version, "status", "error_message");
  return { state: "failed", reason: said === "" ? code : `${code}: ${said}` };
}
