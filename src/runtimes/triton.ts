/**
 * Triton Inference Server. What is special about it:
 *
 * - /v2/health/ready fails as long as one of its models does (--strict-readiness), while the others serve: it is asked
 *   whether it lives, and its repository's index which models are ready.
 * - The index names what was never loaded without a state, and gives every version an item of its own.
 * - Models are loaded and unloaded only with --model-control-mode=explicit.
 * - Its general metrics are those of each model; nothing tells how many requests run. Backends for language models add
 *   their own: TensorRT-LLM's (nv_trt_llm_*) and vLLM's (vllm:*). Such a model is one step of an ensemble by whose name
 *   it is asked, so that where there are any, all models share them.
 */
import type { Answer } from "./adapter.ts";
import { jsonOf, nameAt } from "./json-answer.ts";
import type { FamilySource, MetricMap } from "./metric-map.ts";
import type { RuntimeReading } from "./reading.ts";
import { INDEX, repositoryCall } from "./repository-index.ts";
import { type AdapterTable, get, type Refusal, type Told } from "./table.ts";

function requests(request_type: string): FamilySource {
  return { names: ["nv_trt_llm_request_metrics"], where: { request_type } };
}

function blocks(kv_cache_block_type: string, across: "sum" | "mean" = "sum"): FamilySource {
  return { names: ["nv_trt_llm_kv_cache_block_metrics"], where: { kv_cache_block_type }, across };
}

const METRICS: MetricMap = {
  modelLabels: ["model"],
  figures: {
    runningRequests: { first: [{ value: requests("scheduled") }, { value: "vllm:num_requests_running" }] },
    waitingRequests: {
      first: [
        { value: requests("waiting") },
        // Before 0.18 the backend did not tell those that wait by themselves.
        { difference: [{ value: requests("active") }, { value: requests("scheduled") }] },
        { value: "vllm:num_requests_waiting" },
        { value: "nv_inference_pending_request_count" },
      ],
    },
    kvUsage: {
      first: [
        { value: blocks("fraction", "mean") },
        { quotient: [{ value: blocks("used") }, { value: blocks("max") }] },
        { value: { names: ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"], across: "mean" } },
      ],
    },
    kvCapacityTokens: { product: [{ value: blocks("max") }, { value: blocks("tokens_per", "mean") }] },
    slots: { value: requests("max") },
    requestsPerSecond: { rate: "nv_inference_request_success" },
    failedResponses: { value: "nv_inference_request_failure" },
    prefillTokensPerSecond: { best: { rate: "vllm:prompt_tokens_total" } },
    decodeTokensPerSecond: { best: { rate: "vllm:generation_tokens_total" } },
    timeToFirstToken: { quantiles: { names: ["nv_inference_first_response_histogram_ms"], scale: 1e-3 } },
    interTokenLatency: { quantiles: ["vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"] },
    queueTime: { quantiles: { names: ["nv_inference_queue_summary_us"], scale: 1e-6 } },
  },
};

export const TRITON: AdapterTable = {
  kind: "triton",
  title: "Triton",
  ports: { api: 8000, grpc: 8001, metrics: 8002 },
  sources: [
    "triton-inference-server/server docs/user_guide/metrics.md, docs/protocol/extension_model_repository.md (2.34 to 2.71)",
    "triton-inference-server/core src/metrics.cc, src/model_repository_manager/model_lifecycle.cc",
    "triton-inference-server/tensorrtllm_backend README.md (0.7 to 1.0), custom_metrics_reporter.cc (0.7 to 0.17)",
  ],
  looks: [
    get("identity", "/v2", { read: readServer }),
    get("health", "/v2/health/live", { statuses: { 400: "not_ready" } }),
    get("metrics", "/metrics", {
      ask: { method: "GET", port: "metrics", path: "/metrics" },
      advice: { 404: "start Triton without --allow-metrics=false, or say where its metrics are: metrics-url=" },
    }),
    INDEX,
  ],
  metrics: METRICS,
  finish: shared,
  load: (model) => repositoryCall("load", model, (said) => advice("load", model, said)),
  unload: (model) => repositoryCall("unload", model, (said) => advice("unload", model, said)),
};

function readServer(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  const name = nameAt(json, "name");
  if (name !== "triton") {
    return { kind: "foreign", message: `it calls itself ${name ?? "nothing"}, where Triton says triton` };
  }
  return { version: nameAt(json, "version") ?? "" };
}

/** A language model's figures are those of all steps before and behind it. */
function shared(reading: RuntimeReading): RuntimeReading {
  const { runningRequests, kvUsage } = reading.figures;
  if (runningRequests === undefined && kvUsage === undefined) return reading;
  return { ...reading, models: reading.models.map((model) => ({ ...model, figures: undefined })) };
}

function advice(verb: string, model: string, said: string): string {
  const told = `Triton did not ${verb} ${model}: ${said}`;
  if (/explicit model load/i.test(said)) return `${told}; start it with --model-control-mode=explicit`;
  if (/failed to poll from model repository|no version is available/i.test(said)) {
    return `${told}; see that its --model-repository has a folder of that name with a version in it`;
  }
  return told;
}
