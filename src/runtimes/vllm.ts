/**
 * vLLM: the names of its V1 engine, and where a figure had another one before, that of the older versions and of V0.
 *
 * Data-parallel engines behind one port are series with an `engine` label each. Its metrics name the model by the first of
 * its served names, whichever was asked for, and adapters share their base's engine, so all of them are the runtime's.
 *
 * A base model is let go by putting the engine to sleep (its weights go to the machine's memory) and comes back by waking
 * it; both need VLLM_SERVER_DEV_MODE=1. LoRA adapters need VLLM_ALLOW_RUNTIME_LORA_UPDATING=True. Its server counts what it
 * answers by path, which tells of adapters that somebody else has loaded or let go.
 */
import type { Answer, Ask, LoadOptions, ModelCall, Proof } from "./adapter.ts";
import { jsonOf, numberAt, textAt, memberAt, wordsAt } from "./json-answer.ts";
import { kvEventsIn } from "./kv-events.ts";
import type { MetricMap } from "./metric-map.ts";
import { isGood } from "./model-plans.ts";
import { readOpenAiModels } from "./openai-models.ts";
import { provesAll, provesGone, provesLoaded } from "./proofs.ts";
import type { RuntimeReading } from "./reading.ts";
import { type AdapterTable, get, type Known, type Refusal, type Told } from "./table.ts";

const INTER_TOKEN = ["vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"];
const CONFIG = "vllm:cache_config_info";
const PREFILL_SECONDS = "vllm:request_prefill_time_seconds_sum";
const IS_SLEEPING = "/is_sleeping";
const LOAD_LORA = "/v1/load_lora_adapter";
const UNLOAD_LORA = "/v1/unload_lora_adapter";
/** Which of them is asked, or counts, depends on the version. */
const SLEEP_TOLD_BY = ["/metrics", IS_SLEEPING];
const SERVER_INFO = "/server_info?config_format=json";
/** It collects the machine's environment when it is asked for the first time. */
const SERVER_INFO_EVERY_MS = 10 * 60_000;
/** Waking copies the weights back to the GPUs; an adapter is read from disk or fetched. */
const PATIENCE_MS = 5 * 60_000;

const METRICS: MetricMap = {
  figures: {
    runningRequests: { value: "vllm:num_requests_running" },
    waitingRequests: { value: "vllm:num_requests_waiting" },
    kvUsage: { value: { names: ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"], across: "mean" } },
    kvCapacityTokens: {
      first: [
        // Of hybrid models, whose layers need blocks of different kinds, blocks times their size says too much.
        { label: "kv_cache_size_tokens", of: CONFIG },
        {
          product: [
            { label: "num_gpu_blocks", of: CONFIG },
            { label: "block_size", of: { names: [CONFIG], across: "max" } },
          ],
        },
      ],
    },
    cacheHitRate: {
      first: [
        { ratio: ["vllm:prefix_cache_hits", "vllm:prefix_cache_queries"] },
        { ratio: ["vllm:gpu_prefix_cache_hits", "vllm:gpu_prefix_cache_queries"] },
        { value: { names: ["vllm:gpu_prefix_cache_hit_rate"], across: "mean" } },
      ],
    },
    // Tokens and times of the requests that ended, both told at their end. An engine's prompts are computed one after
    // the other; engines work side by side.
    prefillTokensPerSecond: {
      product: [
        {
          best: {
            first: [
              { ratio: ["vllm:request_prefill_kv_computed_tokens_sum", PREFILL_SECONDS] },
              { ratio: ["vllm:request_prompt_tokens_sum", PREFILL_SECONDS] },
              { rate: "vllm:prompt_tokens" },
            ],
          },
        },
        { series: "vllm:num_requests_running" },
      ],
    },
    decodeTokensPerSecond: {
      held: { quotient: [{ value: "vllm:num_requests_running" }, { mean: { names: INTER_TOKEN } }] },
    },
    preemptionsPerSecond: { rate: "vllm:num_preemptions" },
    requestsPerSecond: { rate: "vllm:request_success" },
    failedResponses: { value: { names: ["vllm:request_success"], where: { finished_reason: "error" } } },
    timeToFirstToken: { quantiles: "vllm:time_to_first_token_seconds" },
    interTokenLatency: { quantiles: INTER_TOKEN },
    queueTime: { quantiles: "vllm:request_queue_time_seconds" },
  },
  // 1 on each engine that is awake; newer versions tell it without being in development mode.
  notes: { awake: { value: { names: ["vllm:engine_sleep_state"], where: { sleep_state: "awake" }, across: "min" } } },
  modelHints: [
    { label: "running_lora_adapters", of: "vllm:lora_requests_info" },
    ...[LOAD_LORA, UNLOAD_LORA].map((handler) => ({
      counted: { names: ["http_requests_total"], where: { handler } },
    })),
  ],
  hintsShownBy: { names: ["http_requests_total"], where: { handler: "/v1/models" } },
};

export const VLLM: AdapterTable = {
  kind: "vllm",
  title: "vLLM",
  ports: { api: 8000 },
  sources: [
    "https://docs.vllm.ai/en/latest/usage/metrics/",
    "https://docs.vllm.ai/en/v0.7.0/serving/metrics.html",
    "https://docs.vllm.ai/en/latest/features/lora/",
    "https://docs.vllm.ai/en/latest/features/sleep_mode/",
    "vllm-project/vllm vllm/v1/metrics/loggers.py, vllm/entrypoints/ (0.5 to 0.11 and later)",
  ],
  looks: [
    get("identity", "/version", { read: readVersion }),
    get("health", "/health"),
    get("metrics", "/metrics"),
    get("models", "/v1/models", { read: readOpenAiModels }),
    get("detail", IS_SLEEPING, { read: (answer) => ({ notes: { asleep: memberAt(jsonOf(answer), "is_sleeping") } }) }),
    get("detail", SERVER_INFO, { read: readServerInfo, everyMs: SERVER_INFO_EVERY_MS }),
  ],
  metrics: METRICS,
  finish,
  load,
  unload,
};

function readVersion(answer: Answer): Told | Refusal {
  const version = textAt(jsonOf(answer), "version");
  return version === "" ? { kind: "foreign", message: "no version of vLLM is told there" } : { version };
}

/** In development mode: its whole configuration. Each data-parallel engine batches so many. */
function readServerInfo(answer: Answer): Told {
  const config = memberAt(jsonOf(answer), "vllm_config");
  const sequences = numberAt(config, "scheduler_config", "max_num_seqs");
  const ranks = numberAt(config, "parallel_config", "data_parallel_size");
  const kvEvents = kvEventsIn(memberAt(config, "kv_events_config"), ranks);
  return { kvEvents, ...(sequences === undefined ? {} : { figures: { slots: sequences * (ranks ?? 1) } }) };
}

function isAsleep({ told, notes }: Known): boolean {
  // The metrics come each second, the other look seldom.
  return notes["awake"] === undefined ? told.get(IS_SLEEPING)?.notes?.["asleep"] === true : notes["awake"] === 0;
}

/** A model that sleeps is known, but not in the GPUs' memory. */
function finish(reading: RuntimeReading, known: Known): RuntimeReading {
  if (!isAsleep(known)) return reading;
  return { ...reading, models: reading.models.map((model) => ({ ...model, state: "available" as const })) };
}

function load(model: string, options: LoadOptions, reading: RuntimeReading): ModelCall | undefined {
  const known = reading.models.find((each) => each.model === model);
  if (known !== undefined && known.parent === undefined) {
    return known.state === "loaded" ? call([], () => true) : wake(model);
  }
  if (options.source === "") return undefined;
  const body = JSON.stringify({ lora_name: model, lora_path: options.source });
  // Its cards name the first of the base's names.
  const parent = reading.models.find((each) => each.parent === undefined)?.model ?? options.parent;
  const proof = provesLoaded([model], parent === "" ? {} : { parent });
  return call([post(LOAD_LORA, body)], (now) => stateOf(now, model) === "loaded", proof);
}

function unload(model: string, reading: RuntimeReading): ModelCall | undefined {
  const known = reading.models.find((each) => each.model === model);
  if (known === undefined) return undefined;
  if (known.parent === undefined) {
    const proof = { ...provesAll("available"), toldBy: SLEEP_TOLD_BY };
    return call([post("/sleep?level=1")], (now) => stateOf(now, model) === "available", proof);
  }
  const body = JSON.stringify({ lora_name: model });
  return call([post(UNLOAD_LORA, body)], (now) => stateOf(now, model) === undefined, provesGone([model]));
}

function wake(model: string): ModelCall {
  const proof = { ...provesAll("loaded"), toldBy: SLEEP_TOLD_BY };
  return call([post("/wake_up")], (now) => stateOf(now, model) === "loaded", proof);
}

function stateOf({ models }: RuntimeReading, model: string): string | undefined {
  return models.find((each) => each.model === model)?.state;
}

function post(path: string, body?: string): Ask {
  return { method: "POST", port: "api", path, ...(body === undefined ? {} : { body }) };
}

/** Its server answers each when the engine has done it. */
function call(asks: readonly Ask[], settled: ModelCall["settled"], proof?: Proof): ModelCall {
  return {
    asks,
    patienceMs: PATIENCE_MS,
    settled,
    fault: (answer, index) => faultOf(answer, asks[index]!.path),
    proves: (answer) => (isGood(answer) ? proof : undefined),
  };
}

/** A refusal in its own words; 404 of the path itself tells what the server was started without. */
function faultOf(answer: Answer, path: string): string {
  if (answer.status >= 200 && answer.status < 300) return "";
  const json = jsonOf(answer);
  const said = wordsAt(json, "error", "message") || wordsAt(json, "message");
  if (said !== "") return said;
  if (answer.status !== 404) return `vLLM answers ${answer.status} to ${path}`;
  const variable = path.includes("lora") ? "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" : "VLLM_SERVER_DEV_MODE=1";
  return `vLLM has no ${path}: start it with ${variable} in its environment`;
}
