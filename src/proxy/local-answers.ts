/** What the router answers by itself, from what it knows of its models. */
import { MeshError } from "../base/errors.ts";
import { version } from "../base/version.ts";
import type { LocalAnswer } from "../wire/api-shapes.ts";
import { type Caller, NOBODY } from "./caller.ts";
import type { Enforcement } from "./enforcement.ts";
import { noTarget } from "./refusals.ts";
import type { Routes } from "./routes.ts";

type Answered = Exclude<LocalAnswer, "" | "register" | "deregister">;

/**
 * The body of the answer, as JSON; `name` is the model that is asked for, where one is. It tells only of models that the
 * caller may use.
 */
export function localAnswer(
  local: Answered,
  routes: Routes,
  name: string,
  enforcement: Enforcement | null,
  callerOf: (enforcement: Enforcement) => Caller,
): string | MeshError {
  const caller = enforcement === null ? NOBODY : callerOf(enforcement);
  const denialOf = (model: string): MeshError | null => enforcement?.listingDenial(caller, model) ?? null;
  const { names, listing } = enforcement === null ? routes : routes.listedFor((model) => denialOf(model) === null);
  switch (local) {
    case "models":
      return listing;
    case "model": {
      const entry = routes.entry(name);
      return entry === undefined ? unknownModel(name, enforcement) : (denialOf(entry.model) ?? entry.text);
    }
    case "health":
    case "live":
      return '{"status":"ok"}';
    case "ready":
      if (routes.names.length > 0) return '{"status":"ok"}';
      return new MeshError("no_healthy_target", "this router has no target yet");
    case "version":
      return JSON.stringify({ version });
    case "ollama-tags":
      return JSON.stringify({ models: names.map((model) => ({ name: model, model })) });
    case "kserve-server":
      return JSON.stringify({ name: "infermesh", version, extensions: [] });
    case "kserve-index":
      return JSON.stringify(names.map((model) => ({ name: model, version: "", state: "READY", reason: "" })));
  }
}

/** The error for a name that nobody serves: another one for a model that a policy says should be served somewhere. */
export function unknownModel(name: string, enforcement: Enforcement | null): MeshError {
  const pin = enforcement?.pinned(name) ?? null;
  if (pin !== null) return noTarget(pin);
  return new MeshError("model_not_found", `the model \`${name}\` does not exist`, { param: "model" });
}
