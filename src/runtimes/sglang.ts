/**
 * SGLang. What is special about it:
 *
 * - GET /health makes a token and answers after a second at the earliest, so it is never asked: the list of models is,
 *   which its front process tells at once. It listens only when its model is loaded.
 * - Paths were renamed: /model_info and /server_info are /get_model_info and /get_server_info in older versions. Both are
 *   asked, and the one that is missing is left alone.
 * - Without --enable-metrics there are none. Gauges come at each log of the scheduler: every 40 steps of decoding, and
 *   up to 30 s after the last request.
 * - Every rank of a data-parallel server tells its own figures; of one that is tensor-parallel the first rank does. With
 *   pipelines each stage tells the same requests: those of the first count.
 * - LoRA adapters are loaded and unloaded by name, and asked as MODEL:ADAPTER or ADAPTER.
 */
import type { Answer, LoadOptions, ModelCall, Proof } from "./adapter.ts";
import { complaint, countAt, flagAt, itemsAt, jsonOf, memberAt, nameAt, numberAt } from "./json-answer.ts";
import { kvEventsIn } from "./kv-events.ts";
import type { FamilySource, Figure, MetricMap } from "./metric-map.ts";
import { callOf, isGood, post, refusedCall } from "./model-plans.ts";
import { modelCards, readOpenAiModels } from "./openai-models.ts";
import { provesGone, provesLoaded } from "./proofs.ts";
import type { RuntimeReading } from "./reading.ts";
import type { Capability } from "../base/runtime-terms.ts";
import { type AdapterTable, get, type Known, type Refusal, type Told } from "./table.ts";

/** Of the first stage of a pipeline; older versions have no such label. */
function firstStage(name: string, across?: "mean" | "max"): Figure {
  const more = across === undefined ? {} : { across };
  return {
    first: [{ value: { names: [name], where: { pp_rank: "0" }, ...more } }, { value: { names: [name], ...more } }],
  };
}

function tokensIn(mode: string): FamilySource {
  return { names: ["sglang:realtime_tokens_total"], where: { mode } };
}

function secondsIn(category: string): FamilySource {
  const names = ["sglang:forward_execution_seconds_total", "sglang:gpu_execution_seconds_total"];
  return { names, where: { category } };
}

const METRICS: MetricMap = {
  figures: {
    runningRequests: firstStage("sglang:num_running_reqs"),
    waitingRequests: firstStage("sglang:num_queue_reqs"),
    kvUsage: firstStage("sglang:token_usage", "mean"),
    kvCapacityTokens: firstStage("sglang:max_total_num_tokens"),
    cacheHitRate: {
      first: [
        { ratio: ["sglang:cached_tokens_total", "sglang:prompt_tokens_total"] },
        firstStage("sglang:cache_hit_rate", "mean"),
      ],
    },
    prefillTokensPerSecond: {
      first: [
        { held: { ratio: [tokensIn("prefill_compute"), secondsIn("extend")] } },
        { best: { rate: tokensIn("prefill_compute") } },
        { best: { difference: [{ rate: "sglang:prompt_tokens_total" }, { rate: "sglang:cached_tokens_total" }] } },
        { best: { rate: "sglang:prompt_tokens_total" } },
      ],
    },
    decodeTokensPerSecond: { held: firstStage("sglang:gen_throughput") },
    preemptionsPerSecond: { rate: "sglang:num_retracted_requests_total" },
    requestsPerSecond: { rate: "sglang:num_requests_total" },
    failedResponses: { value: "sglang:num_aborted_requests_total" },
    timeToFirstToken: { quantiles: "sglang:time_to_first_token_seconds" },
    interTokenLatency: {
      quantiles: ["sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"],
    },
    queueTime: { quantiles: "sglang:queue_time_seconds" },
  },
  // Of 2025 on.
  modelHints: ["load", "unload"].map((verb) => ({
    counted: { names: ["sglang:http_responses_total"], where: { endpoint: `/${verb}_lora_adapter` } },
  })),
  hintsShownBy: { names: ["sglang:http_responses_total"], where: { endpoint: "/v1/models" } },
};

const INFO_PATHS = ["/model_info", "/get_model_info"];

export const SGLANG: AdapterTable = {
  kind: "sglang",
  title: "SGLang",
  ports: { api: 30_000 },
  sources: [
    "sgl-project/sglang python/sglang/srt/metrics/collector.py (0.4 and 0.5), python/sglang/srt/observability/metrics_collector.py (2026)",
    "sgl-project/sglang python/sglang/srt/entrypoints/http_server.py, docs/references/production_metrics.md",
  ],
  looks: [
    ...INFO_PATHS.map((path) => get("identity", path, { read: readModelInfo, statuses: { 404: "not_supported" } })),
    get("health", "/v1/models", { name: "health" }),
    get("metrics", "/metrics", { advice: { 404: "start SGLang with --enable-metrics" } }),
    get("models", "/v1/models", { read: readModels }),
    get("detail", "/server_info", { read: readServerInfo }),
    get("detail", "/get_server_info", { read: readServerInfo }),
  ],
  metrics: METRICS,
  finish,
  load,
  unload: (model) => loraCall("unload", model, { lora_name: model }, provesGone([model])),
};

function readModelInfo(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  if (nameAt(json, "model_path") === undefined)
    return { kind: "foreign", message: "it is not what SGLang tells of its model" };
  const isGeneration = flagAt(json, "is_generation");
  return { notes: isGeneration === undefined ? {} : { isGeneration } };
}

/** Other servers have such a list too, with other owners; by its other answers alone it might be one of them. */
function readModels(answer: Answer): Told | Refusal {
  const stranger = modelCards(jsonOf(answer))?.find(({ ownedBy }) => ownedBy !== "sglang");
  if (stranger === undefined) return readOpenAiModels(answer);
  const owner = stranger.ownedBy === "" ? "nobody" : stranger.ownedBy;
  return { kind: "foreign", message: `its models are owned by ${owner}, those of SGLang by sglang` };
}

/** The notes of the model's facts say what it is for. */
function finish(reading: RuntimeReading, { told }: Known): RuntimeReading {
  const isGeneration = INFO_PATHS.map((path) => told.get(path)?.notes?.["isGeneration"]).find((is) => is !== undefined);
  if (isGeneration === undefined) return reading;
  const capabilities: readonly Capability[] = isGeneration === true ? ["chat", "completions"] : ["embeddings"];
  return { ...reading, models: reading.models.map((model) => ({ ...model, capabilities })) };
}

function readServerInfo(answer: Answer): Told {
  const json = jsonOf(answer);
  const ranks = itemsAt(json, "internal_states") ?? [];
  const ranksCount = Math.max(1, ranks.length);
  const slots = slotsOf(json, ranks);
  const capacity = countAt(json, "max_total_num_tokens");
  return {
    version: nameAt(json, "version") ?? "",
    kvEvents: kvEventsIn(memberAt(json, "kv_events_config"), numberAt(json, "dp_size")),
    figures: {
      ...(slots === undefined ? {} : { slots }),
      ...(capacity === undefined ? {} : { kvCapacityTokens: capacity * ranksCount }),
    },
  };
}

/** What each rank may run at most, all ranks together. */
function slotsOf(json: unknown, ranks: readonly unknown[]): number | undefined {
  let sum = 0;
  for (const rank of ranks) sum += countAt(rank, "effective_max_running_requests_per_dp") ?? Number.NaN;
  if (ranks.length > 0 && !Number.isNaN(sum)) return sum;
  const each = countAt(json, "max_running_requests");
  return each === undefined ? undefined : each * Math.max(1, ranks.length);
}

function load(model: string, { source, parent }: LoadOptions, { models }: RuntimeReading): ModelCall {
  if (parent === "" && source === "") {
    return refusedCall(
      `SGLang serves the model that it was started with; where it was started with --enable-lora, ${model} can be loaded as a LoRA adapter, with the path to it`,
    );
  }
  const base = parent === "" ? models.find((each) => each.parent === undefined)?.model : parent;
  const proof = provesLoaded([model], base === undefined ? {} : { parent: base });
  return loraCall("load", model, { lora_name: model, lora_path: source === "" ? model : source }, proof);
}

/** It answers when all ranks have done it, and says so. */
function loraCall(
  verb: "load" | "unload",
  model: string,
  body: Readonly<Record<string, string>>,
  proof: Proof,
): ModelCall {
  const proves = (answer: Answer) => (flagAt(jsonOf(answer), "success") === true ? proof : undefined);
  const call = callOf({ verb, model, asks: [post(`/${verb}_lora_adapter`, body)], advice, proof: proves });
  return {
    ...call,
    fault: (answer) => (isGood(answer) && refuses(answer) ? advice(complaint(answer), answer) : call.fault(answer, 0)),
  };

  function advice(said: string, { status }: Answer): string {
    const isSo =
      verb === "load"
        ? /already (?:loaded|exist|registered)/i
        : /not (?:loaded|found|registered|exist)|does not exist/i;
    if (status !== 404 && isSo.test(said)) return "";
    if (status === 404)
      return `this SGLang can't ${verb} adapters: it takes a newer one (0.5 on), started with --enable-lora`;
    const told = `SGLang did not ${verb} ${model}: ${said}`;
    return /not enabled|enable.lora/i.test(said) ? `${told}; start it with --enable-lora` : told;
  }
}

/** Older versions answer 200 in any case. */
function refuses(answer: Answer): boolean {
  return flagAt(jsonOf(answer), "success") === false;
}
