/** Every metric of an agent alone but for those of GPUs: of itself, of its runtimes, of the models on its node. docs/metrics.md lists the same. */
import { defineMetric as metric } from "./exposition.ts";

/** Of an agent. */
export const AGENT_METRICS = {
  info: metric("gauge", "infermesh_agent_info", ["node"], "", "Always 1; tells the node's id."),
  ready: metric("gauge", "infermesh_agent_ready", [], "", "1 when requests may be sent, else 0."),
  draining: metric("gauge", "infermesh_agent_draining", [], "", "1 while the node finishes what it has, else 0."),
  inProgress: metric(
    "gauge",
    "infermesh_agent_requests_in_progress",
    [],
    "",
    "Requests in the runtime, running and waiting.",
  ),
  failed: metric(
    "counter",
    "infermesh_agent_failed_responses_total",
    [],
    "",
    "Responses of the runtime with a status from 500.",
  ),
  backoff: metric("gauge", "infermesh_agent_backoff_requests", [], "", "Requests that were told to come back later."),
  peers: metric(
    "gauge",
    "infermesh_agent_connected_peers",
    [],
    "",
    "Other members of the mesh that are alive or suspect.",
  ),
  cpu: metric("gauge", "infermesh_agent_cpu_usage_ratio", [], "ratio", "Used fraction of the machine's CPU, 0 to 1."),
  memory: metric(
    "gauge",
    "infermesh_agent_memory_usage_ratio",
    [],
    "ratio",
    "Used fraction of the machine's memory, 0 to 1.",
  ),
  gpu: metric("gauge", "infermesh_agent_gpu_usage_ratio", [], "ratio", "Mean utilisation of the node's GPUs, 0 to 1."),
  uptime: metric("gauge", "infermesh_agent_uptime_seconds", [], "seconds", "Time since the agent started."),
} as const;

const OF_RUNTIME = ["runtime"] as const;
const QUANTILE = ["runtime", "quantile"] as const;

/** Of each runtime that an agent looks after, by what the runtime tells. */
export const RUNTIME_METRICS = {
  info: metric("gauge", "infermesh_runtime_info", ["runtime", "kind", "version"], "", "Always 1; tells what it is."),
  up: metric("gauge", "infermesh_runtime_up", OF_RUNTIME, "", "1 when it serves requests, else 0."),
  state: metric("gauge", "infermesh_runtime_state", ["runtime", "state"], "", "1 for the state that it is in."),
  models: metric(
    "gauge",
    "infermesh_runtime_models",
    ["runtime", "state"],
    "",
    "Models that it knows, by their state.",
  ),
  running: metric("gauge", "infermesh_runtime_requests_running", OF_RUNTIME, "", "Requests in the running batch."),
  waiting: metric(
    "gauge",
    "infermesh_runtime_requests_waiting",
    OF_RUNTIME,
    "",
    "Requests that wait for a place in it.",
  ),
  kvUsage: metric(
    "gauge",
    "infermesh_runtime_kv_usage_ratio",
    OF_RUNTIME,
    "ratio",
    "Used fraction of the KV cache, 0 to 1.",
  ),
  cacheHits: metric(
    "gauge",
    "infermesh_runtime_cache_hit_ratio",
    OF_RUNTIME,
    "ratio",
    "Share of prompt tokens that the prefix cache had lately, 0 to 1.",
  ),
  requests: metric(
    "gauge",
    "infermesh_runtime_requests_per_second",
    OF_RUNTIME,
    "requests per second",
    "Requests that ended lately.",
  ),
  preemptions: metric(
    "gauge",
    "infermesh_runtime_preemptions_per_second",
    OF_RUNTIME,
    "per second",
    "Requests that lost their place in the batch lately.",
  ),
  firstToken: metric(
    "gauge",
    "infermesh_runtime_time_to_first_token_seconds",
    QUANTILE,
    "seconds",
    "Time to first token of late, as the runtime measures it.",
  ),
  interToken: metric(
    "gauge",
    "infermesh_runtime_inter_token_latency_seconds",
    QUANTILE,
    "seconds",
    "Time between two tokens of late, as the runtime measures it.",
  ),
  queueTime: metric(
    "gauge",
    "infermesh_runtime_queue_time_seconds",
    QUANTILE,
    "seconds",
    "Time of late that requests waited for a place in the batch.",
  ),
  scrapeSeconds: metric(
    "gauge",
    "infermesh_runtime_scrape_seconds",
    OF_RUNTIME,
    "seconds",
    "What the last answer with its metrics took.",
  ),
  scrapeBytes: metric("gauge", "infermesh_runtime_scrape_bytes", OF_RUNTIME, "bytes", "Size of that answer."),
  failures: metric(
    "counter",
    "infermesh_runtime_ask_failures_total",
    ["runtime", "reason"],
    "",
    "What it was asked and did not answer well, by the reason.",
  ),
} as const;

/** Of the process that an agent runs by `--exec`. */
export const EXEC_METRICS = {
  state: metric(
    "gauge",
    "infermesh_exec_state",
    ["state"],
    "",
    "1 for the state that the runtime's process is in, 0 for the others.",
  ),
  restarts: metric("counter", "infermesh_exec_restarts_total", [], "", "Times that it was started after the first."),
  exits: metric("counter", "infermesh_exec_exits_total", ["reason"], "", "Times that it ended, by why."),
  ready: metric(
    "gauge",
    "infermesh_exec_ready_seconds",
    [],
    "seconds",
    "From its last start that led to it until it was ready.",
  ),
} as const;

/** Of each model on an agent's node. */
export const MODEL_METRICS = {
  running: metric("gauge", "infermesh_model_requests_running", ["model"], "", "Requests in the running batch."),
  waiting: metric(
    "gauge",
    "infermesh_model_requests_waiting",
    ["model"],
    "",
    "Requests that wait for a place in the batch.",
  ),
  queuedTokens: metric(
    "gauge",
    "infermesh_model_queued_prefill_tokens",
    ["model"],
    "tokens",
    "Prompt tokens accepted and not yet computed.",
  ),
  kvUsage: metric(
    "gauge",
    "infermesh_model_kv_usage_ratio",
    ["model"],
    "ratio",
    "Used fraction of the KV cache, 0 to 1.",
  ),
  kvCapacity: metric("gauge", "infermesh_model_kv_capacity_tokens", ["model"], "tokens", "Size of the KV cache."),
  prefillRate: metric(
    "gauge",
    "infermesh_model_prefill_tokens_per_second",
    ["model"],
    "tokens per second",
    "Prefill rate.",
  ),
  decodeRate: metric(
    "gauge",
    "infermesh_model_decode_tokens_per_second",
    ["model"],
    "tokens per second",
    "Decode rate.",
  ),
  slots: metric("gauge", "infermesh_model_slots", ["model"], "", "Requests that the runtime batches at most."),
} as const;
