/** What the router answers by itself, from what it knows of its models. */
import { MeshError } from "../base/errors.ts";
import { version } from "../base/version.ts";
import type { LocalAnswer } from "../wire/api-shapes.ts";
import type { Routes } from "./routes.ts";

type Answered = Exclude<LocalAnswer, "" | "register" | "deregister">;

/** The body of the answer, as JSON; `name` is the model that is asked for, where one is. */
export function localAnswer(local: Answered, routes: Routes, name: string): string | MeshError {
  switch (local) {
    case "models":
      return routes.listing;
    case "model":
      return routes.entry(name) ?? unknownModel(name);
    case "health":
    case "live":
      return '{"status":"ok"}';
    case "ready":
      if (routes.names.length > 0) return '{"status":"ok"}';
      return new MeshError("no_healthy_target", "this router has no target yet");
    case "version":
      return JSON.stringify({ version });
    case "ollama-tags":
      return JSON.stringify({ models: routes.names.map((model) => ({ name: model, model })) });
    case "kserve-server":
      return JSON.stringify({ name: "infermesh", version, extensions: [] });
    case "kserve-index":
      return JSON.stringify(routes.names.map((model) => ({ name: model, version: "", state: "READY", reason: "" })));
  }
}

export function unknownModel(name: string): MeshError {
  return new MeshError("model_not_found", `the model \`${name}\` does not exist`, { param: "model" });
}
