/** Why the router itself does not serve a request, in words for its client. */
import type { WorkerContext } from "./context.ts";
import { MeshError } from "../base/errors.ts";
import type { AttemptFailure } from "./attempt.ts";

export function noMemory(): MeshError {
  return new MeshError("over_capacity", "the router holds as many requests as its memory allows");
}

/** `why`: what is known of the reason, such as what a policy says of where the model may be served. */
export function noTarget(why: string | null): MeshError {
  const more = why === null ? "" : `: ${why}`;
  return new MeshError("no_healthy_target", `no healthy target serves this model at the moment${more}`, {
    param: "model",
  });
}

/** Of a model some of whose targets have roles. */
const NO_PAIR =
  "none that computes whole requests, nor a pair of one for prompts and one for what follows that can take this request";

/** Policies are in force, and a request names two models in two places. */
export function otherModel(place: string, other: string): MeshError {
  const text = `the ${place} names one model and the ${other} another: where policies are in force they must be one`;
  return new MeshError("bad_request", text, { param: "model" });
}

export function full(retryAfterSeconds: number, isPushedOut = false): MeshError {
  const why = isPushedOut ? ", and requests of higher priority came" : "";
  return new MeshError("over_capacity", `every target of this model is at its capacity${why}; try again shortly`, {
    param: "model",
    retryAfterSeconds,
  });
}

export function tooManyRequests(waitMs: number): MeshError {
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new MeshError(
    "over_capacity",
    `this client asks for more than its limit; try again in ${retryAfterSeconds} s`,
    {
      retryAfterSeconds,
    },
  );
}

export function stalled(what: string, limitMs: number): MeshError {
  return new MeshError("upstream_timeout", `the ${what} paused for more than ${limitMs} ms`);
}

/** What is said of a target that failed before anything of its answer had come. */
export function failureOf(kind: AttemptFailure, detail: string): MeshError {
  if (kind === "timeout") return new MeshError("upstream_timeout", detail);
  if (kind === "prefill") return new MeshError("upstream_failed", detail);
  if (kind === "exhausted") return new MeshError("over_capacity", `this router can open no connection: ${detail}`);
  return new MeshError("upstream_failed", `the target failed before it answered: ${detail}`);
}

/** Why there is no target of the model. */
export function noTargetOf(
  { enforcement, routes }: Pick<WorkerContext, "enforcement" | "routes">,
  model: number,
): MeshError {
  const pinned = enforcement?.pinned(routes.modelName(model)) ?? null;
  return noTarget(pinned ?? (routes.pairsOf(model) === undefined ? null : NO_PAIR));
}
