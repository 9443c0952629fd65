/**
 * Text Generation Inference. What is special about it:
 *
 * - /info is model, limits and version in one; before 3.0 it also has the batch's budget of tokens, which is a metric
 *   since 2.3.1. It has one model, given when it starts.
 * - There is no gauge of the KV cache. It reserves room for all tokens that a request may come to before it admits it,
 *   so what its batch may come to, of its budget, is the share that is taken.
 * - Time between tokens is told as the mean of each request. Time to the first token is not told at all: time in the
 *   queue is.
 */
import type { Answer } from "./adapter.ts";
import { countAt, jsonOf, nameAt } from "./json-answer.ts";
import type { FamilySource } from "./metric-map.ts";
import { capabilitiesOf } from "./openai-models.ts";
import { type AdapterTable, get, type Refusal, type Told } from "./table.ts";

/** Seconds that batches of one sort took: their histogram's sum. */
function secondsOf(method: "prefill" | "decode"): FamilySource {
  return { names: ["tgi_batch_inference_duration_sum"], where: { method } };
}

export const TGI: AdapterTable = {
  kind: "tgi",
  title: "TGI",
  ports: { api: 8080 },
  sources: [
    "huggingface/text-generation-inference router/src/lib.rs, router/src/server.rs, docs/source/reference/metrics.md (0.9 to 3.3.7)",
  ],
  looks: [
    get("identity", "/info", { name: "info", read: readInfo }),
    get("health", "/health"),
    get("metrics", "/metrics"),
    get("models", "/info", { name: "model", read: readInfo }),
  ],
  metrics: {
    figures: {
      runningRequests: { value: "tgi_batch_current_size" },
      waitingRequests: { value: "tgi_queue_size" },
      kvUsage: { quotient: [{ value: "tgi_batch_current_max_tokens" }, { value: "tgi_batch_max_total_tokens" }] },
      kvCapacityTokens: { value: "tgi_batch_max_total_tokens" },
      prefillTokensPerSecond: { held: { ratio: ["tgi_request_input_length_sum", secondsOf("prefill")] } },
      decodeTokensPerSecond: { held: { ratio: ["tgi_request_generated_tokens_sum", secondsOf("decode")] } },
      requestsPerSecond: { rate: "tgi_request_success" },
      failedResponses: { value: "tgi_request_failure" },
      interTokenLatency: { quantiles: "tgi_request_mean_time_per_token_duration" },
      queueTime: { quantiles: "tgi_request_queue_duration" },
    },
  },
};

function readInfo(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  const model = nameAt(json, "model_id");
  const contextTokensMax = countAt(json, "max_total_tokens");
  // The server for embeddings of the same makers has an /info too, without a limit of all tokens.
  if (model === undefined || contextTokensMax === undefined) {
    return { kind: "foreign", message: "it is not what TGI tells of itself" };
  }
  const slots = countAt(json, "max_batch_size");
  const kvCapacityTokens = countAt(json, "max_batch_total_tokens");
  const capabilities = capabilitiesOf([nameAt(json, "model_pipeline_tag")]);
  return {
    version: nameAt(json, "version") ?? "",
    models: [{ model, contextTokensMax, capabilities }],
    figures: {
      ...(slots === undefined ? {} : { slots }),
      ...(kvCapacityTokens === undefined ? {} : { kvCapacityTokens }),
    },
  };
}
