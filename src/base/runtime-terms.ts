/** Words for inference servers and their models, which adapters find, nodes tell and routers go by. */

/**
 * What a runtime has of a model. One that is loaded is given requests, and one that a request has loaded (`loadSeconds`);
 * `available` is known to the runtime and not in memory, `warming` is loaded and answers its first requests, which are not
 * of clients. New ones go to the end, since their places travel.
 */
export const MODEL_STATES = ["available", "loading", "warming", "loaded", "failed", "unloading"] as const;
export type ModelState = (typeof MODEL_STATES)[number];

/** What a model may be asked for. New ones go to the end, since their places travel. */
export const CAPABILITIES = [
  "chat",
  "completions",
  "embeddings",
  "rerank",
  "infer",
  "score",
  "classify",
  "tokenize",
  "transcriptions",
  "translations",
  "images",
  "speech",
  "responses",
  "messages",
  "vision",
  "audio",
  "tools",
  "predict",
] as const;
export type Capability = (typeof CAPABILITIES)[number];

/** In seconds, of what happened in the last window. */
export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/**
 * How a runtime is: `slow` serves, though its metrics come late; `unresponsive` answers nothing; `down` refuses
 * connections; `foreign` is something else than was said; `denied` wants a key that it was not shown. New ones go to the
 * end, since their places travel.
 */
export const RUNTIME_STATES = [
  "connecting",
  "starting",
  "ready",
  "slow",
  "unresponsive",
  "down",
  "foreign",
  "denied",
] as const;
export type RuntimeState = (typeof RUNTIME_STATES)[number];
