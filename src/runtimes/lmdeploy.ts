/**
 * LMDeploy's OpenAI server. What is special about it: it tells its version nowhere; requests that ended well and badly
 * are gauges that only grow; each rank of a data-parallel server is a server by itself. Before 0.12.3 no failed
 * requests are told. It has no API to load models.
 */
import type { Answer } from "./adapter.ts";
import { jsonOf } from "./json-answer.ts";
import { modelCards } from "./openai-models.ts";
import { type AdapterTable, get, type Refusal, type Told } from "./table.ts";

const RUNNING = "lmdeploy:num_requests_running";
const ITL = "lmdeploy:iter_token_latency";
const TPOT = "lmdeploy:time_per_output_token_seconds";

export const LMDEPLOY: AdapterTable = {
  kind: "lmdeploy",
  title: "LMDeploy",
  ports: { api: 23_333 },
  sources: [
    "InternLM/lmdeploy lmdeploy/metrics/loggers.py, lmdeploy/serve/openai/ (0.9.2 to 0.16), docs/en/advance/metrics.md",
  ],
  looks: [
    get("identity", "/v1/models", { name: "owner", read: readModels }),
    get("health", "/health"),
    // Mounted as an application of its own: without the slash it answers with a redirection.
    get("metrics", "/metrics/", { advice: { 404: "start LMDeploy 0.9.2 or newer without --disable-metrics" } }),
    get("models", "/v1/models", { read: readModels }),
  ],
  metrics: {
    figures: {
      runningRequests: { value: RUNNING },
      waitingRequests: {
        first: [
          { sum: [{ value: "lmdeploy:num_requests_waiting" }, { value: "lmdeploy:num_api_requests_waiting" }] },
          { value: "lmdeploy:num_requests_waiting" },
        ],
      },
      kvUsage: { value: { names: ["lmdeploy:gpu_cache_usage_perc"], across: "mean" } },
      cacheHitRate: {
        first: [
          { ratio: ["lmdeploy:cached_tokens_total", "lmdeploy:prompt_tokens_total"] },
          { value: { names: ["lmdeploy:prefix_cache_hit_rate"], across: "mean" } },
        ],
      },
      prefillTokensPerSecond: {
        held: { ratio: ["lmdeploy:prompt_tokens_total", "lmdeploy:request_prefill_time_seconds_sum"] },
      },
      decodeTokensPerSecond: {
        held: {
          first: [
            { quotient: [{ value: RUNNING }, { mean: ITL }] },
            { quotient: [{ value: RUNNING }, { mean: TPOT }] },
          ],
        },
      },
      requestsPerSecond: { rate: "lmdeploy:request_success_total" },
      failedResponses: { value: "lmdeploy:num_requests_failed" },
      timeToFirstToken: { quantiles: "lmdeploy:time_to_first_token_seconds" },
      interTokenLatency: { quantiles: [ITL, TPOT] },
      queueTime: { quantiles: "lmdeploy:request_queue_time_seconds" },
    },
  },
};

function readModels(answer: Answer): Told | Refusal {
  const models = modelCards(jsonOf(answer));
  if (models === undefined) return { kind: "unreadable", message: "it is no list of models" };
  const stranger = models.find(({ ownedBy }) => ownedBy !== "lmdeploy");
  if (stranger !== undefined) {
    const owner = stranger.ownedBy === "" ? "nobody" : stranger.ownedBy;
    return { kind: "foreign", message: `its models are owned by ${owner}, those of LMDeploy by lmdeploy` };
  }
  return {
    models: models.map(({ id, parent, contextTokensMax }) => ({
      model: id,
      parent,
      contextTokensMax,
      capabilities: ["chat", "completions"] as const,
    })),
  };
}
