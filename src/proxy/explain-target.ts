/** What explanations say of a target beyond the figures of its row: what it tells of a model, and how old that is. */
import { formatHostPort } from "../fleet/registration.ts";
import { isRoutable, type Target } from "../fleet/target.ts";
import type { PolicyViews } from "../policy/policy-views.ts";
import { whyNotReady } from "../score/sample.ts";
import { policyObstacle } from "./explain-policies.ts";
import { isServed } from "./row-sample.ts";
import type { TermName } from "../score/terms.ts";
import { ratesText, type ShownRates } from "./explain-rates.ts";
import { partText } from "./explain-pairs.ts";

const MODELS_SHOWN_MAX = 5;

/** One that does not serve the model, or only a part of its requests. */
export function strangerOf(target: Target, model: string) {
  const { id, host, port, models, weight } = target;
  const part = models.includes(model) ? partText(target) : "";
  const shown = models.slice(0, MODELS_SHOWN_MAX).join(", ");
  const more = models.length > MODELS_SHOWN_MAX ? ", ..." : "";
  return {
    node: id,
    address: formatHostPort(host, port),
    eligible: false,
    reason:
      part === "" ? `it does not serve the model: it serves ${models.length === 0 ? "none" : shown}${more}` : part,
    seconds: 0,
    terms: [],
    activeRequests: 0,
    queuedTokens: 0,
    capacity: 0,
    weight,
    chosen: false,
    share: 0,
    row: -1,
  };
}

/** Why it is sent nothing, of one that serves the model or did. */
export function whyUnroutable(model: string, target: Target, isRouted: boolean, views: PolicyViews): string {
  if (target.state === "unhealthy") return `unhealthy: ${target.lastError || "it does not answer"}`;
  if (target.state === "draining") return "it drains, and takes nothing new";
  if (!isRoutable(target)) return whyNotReady(target.lastSample ?? {}) || "its runtime is not ready";
  if (!isServed({ model }, target)) return notServed(model, target);
  if (!isRouted) return "it is new, and not every worker knows of it yet";
  const policy = policyObstacle(views, model, { ...target, id: target.node });
  return policy === "" ? "what is known of it is just changing; ask again" : policy;
}

function notServed(model: string, { lastSample }: Target): string {
  const told = lastSample?.models.find((one) => one.model === model);
  if (told === undefined) return "model not served: its newest sample does not tell of it";
  const { state, reason } = told;
  if (state === "failed") return `the model failed there${reason === "" ? "" : `: ${reason}`}`;
  return state === "available" ? "the model is there, and not loaded" : `the model is ${state} there`;
}

/** What is known now beyond a term's figures. */
export function moreOf(name: TermName, model: string, target: Target | undefined, rates?: ShownRates): string {
  if (name === "prefill") return ratesText(rates);
  if (name === "penalty") return ageOf(target);
  const told = target?.lastSample?.models.find((one) => one.model === model);
  if (name !== "load" || told?.loadSeconds === undefined || told.state === "loaded") return "";
  const isUnderWay = told.state === "loading" || told.state === "warming";
  return `; its node says that ${isUnderWay ? "loading it still takes" : "this takes"} ${told.loadSeconds.toFixed(1)} s`;
}

/** A stale sample may be chosen, and costs more. */
function ageOf(target: Target | undefined): string {
  if (target?.sampledAtMs === undefined) return "; it has told nothing of itself yet";
  const seconds = Math.max(0, performance.now() - target.sampledAtMs) / 1000;
  return `; its sample is ${seconds.toFixed(1)} s old`;
}
