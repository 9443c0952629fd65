/** Why the router itself does not serve a request, in words for its client. */
import { MeshError } from "../base/errors.ts";
import type { UpstreamErrorKind } from "../obs/worker-counters.ts";

export function noMemory(): MeshError {
  return new MeshError("over_capacity", "the router holds as many requests as its memory allows");
}

/** `pin`: what a policy says of where the model may be served, if one does. */
export function noTarget(pin: string | null): MeshError {
  const why = pin === null ? "" : `: ${pin}`;
  return new MeshError("no_healthy_target", `no healthy target serves this model at the moment${why}`, {
    param: "model",
  });
}

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
export function failureOf(kind: UpstreamErrorKind, detail: string): MeshError {
  if (kind === "timeout") return new MeshError("upstream_timeout", detail);
  if (kind === "exhausted") return new MeshError("over_capacity", `this router can open no connection: ${detail}`);
  return new MeshError("upstream_failed", `the target failed before it answered: ${detail}`);
}
