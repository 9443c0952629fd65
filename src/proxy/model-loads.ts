/** What the replicas of each model are at, from what their nodes tell and what this router knows: for scaling. */
import { isRoutable, type Target } from "../fleet/target.ts";
import type { ModelLoad } from "../policy/scaling-advice.ts";
import type { CostConfig } from "../score/cost.ts";
import type { ModelSample } from "../score/sample.ts";

type Rates = Pick<CostConfig, "prefillTokensPerSecond" | "promptTokensMean">;

/**
 * Of the model, over all targets that serve it; `config` stands in for what a runtime does not tell. Endpoints of one
 * runtime are one replica with one load.
 */
export function modelLoad(model: string, targets: readonly Target[], config: Rates): ModelLoad {
  const serving = targets.filter((target) => target.models.includes(model) && isRoutable(target));
  const samples = [...new Map(serving.map((target) => [engineOf(target), target])).values()].map(
    (target) => target.lastSample?.models.find((sample) => sample.model === model) ?? null,
  );
  const told = samples.filter((sample) => sample !== null);
  return {
    replicas: samples.length,
    queueSeconds: mean(told.map((sample) => queueSeconds(sample, config))),
    kvUsage: mean(told.map(({ kvUsage }) => kvUsage ?? 0)),
    runningRequests: told.reduce((sum, sample) => sum + sample.runningRequests + sample.waitingRequests, 0),
  };
}

function engineOf({ id, node, lastSample }: Target): string {
  const [runtime] = lastSample?.runtimes ?? [];
  return runtime === undefined ? id : `${node}/${runtime.name}`;
}

/** How long a new request would wait for the prompts before it. */
function queueSeconds(sample: ModelSample, { prefillTokensPerSecond, promptTokensMean }: Rates): number {
  const tokens = sample.queuedPrefillTokens ?? sample.waitingRequests * promptTokensMean;
  const rate = sample.prefillTokensPerSecond ?? 0;
  return tokens / (rate > 0 ? rate : prefillTokensPerSecond);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
