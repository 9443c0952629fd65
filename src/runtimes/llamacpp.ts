/**
 * llama.cpp's server, with one model or in router mode. What is special about it:
 *
 * - Its gauges of speed are means since the last scrape, whoever made it, so that a second scraper spoils them; the
 *   counters of tokens and seconds do not have that fault. Seconds of decoding are those of every slot by itself: the
 *   speed of the whole batch is the quotient times the slots that are busy. Both grow only as requests end.
 * - The KV cache's use is no metric since 2025: it is in /slots. Asking for that resets the timer by which an idle server
 *   goes to sleep, so it is asked only while requests run, and seldom, as each such ask is one for the metrics less; where
 *   there are no metrics it takes their place.
 * - In router mode it starts a process for each model. /metrics wants the model's name then, and would load a model that
 *   is not loaded: only those that are get asked, and with autoload=false.
 * - A router tells on /models/sse what happens to its models, as it happens, to whoever holds that open: since 2026.
 * - A router loads what it is asked for, unless it is started with --no-models-autoload, which it tells in /props.
 * - A model that sleeps wakes up by the next request: it counts as loaded.
 */
import type { Answer, Feed, FeedNews, ModelCall } from "./adapter.ts";
import { countAt, flagAt, itemsAt, jsonIn, jsonOf, listAt, memberAt, nameAt, numberAt, textAt } from "./json-answer.ts";
import type { Figure, MetricMap } from "./metric-map.ts";
import { capabilitiesOf, type ModelCard, modelCards } from "./openai-models.ts";
import { callOf, post } from "./model-plans.ts";
import { provesState } from "./proofs.ts";
import type { EngineFigures, RuntimeReading } from "./reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";
import {
  type AdapterTable,
  get,
  type Known,
  type ModelTold,
  type Refusal,
  type TableLook,
  type Told,
} from "./table.ts";

/** A router starts in a moment what it takes minutes to load. */
const START_PATIENCE_MS = 60_000;
/** Processes of a router whose metrics are looked at. */
const METRIC_MODELS_MAX = 8;

const SLOT_SPEED: Figure = { ratio: ["llamacpp:tokens_predicted_total", "llamacpp:tokens_predicted_seconds_total"] };

const METRICS: MetricMap = {
  figures: {
    runningRequests: { value: "llamacpp:requests_processing" },
    waitingRequests: { value: "llamacpp:requests_deferred" },
    kvUsage: { value: "llamacpp:kv_cache_usage_ratio" },
    cacheHitRate: {
      quotient: [
        { rate: "llamacpp:prompt_tokens_cached_total" },
        { sum: [{ rate: "llamacpp:prompt_tokens_cached_total" }, { rate: "llamacpp:prompt_tokens_total" }] },
      ],
    },
    prefillTokensPerSecond: { held: { ratio: ["llamacpp:prompt_tokens_total", "llamacpp:prompt_seconds_total"] } },
    decodeTokensPerSecond: {
      held: { first: [{ product: [SLOT_SPEED, { value: "llamacpp:n_busy_slots_per_decode" }] }, SLOT_SPEED] },
    },
  },
};

const PROPS = get("identity", "/props", { read: readProps });
const HEALTH = get("health", "/health");
const PAGE = get("metrics", "/metrics", {
  advice: { 404: "start llama-server with --metrics", 501: "start llama-server with --metrics" },
});
const MODELS = get("models", "/v1/models", { read: readModels });
const SLOTS = get("metrics", "/slots", { name: "slots", read: readSlots });
const SLOTS_IN_USE = get("detail", "/slots", { name: "slots in use", read: readSlots, everyMs: 10_000 });

const STATES: Readonly<Record<string, ModelState>> = {
  loaded: "loaded",
  sleeping: "loaded",
  loading: "loading",
  downloading: "loading",
  unloading: "unloading",
};

export const LLAMACPP: AdapterTable = {
  kind: "llamacpp",
  title: "llama.cpp",
  ports: { api: 8080 },
  sources: [
    "ggml-org/llama.cpp tools/server/README.md, tools/server/server-context.cpp, tools/server/server-models.cpp (b2000 to b11549)",
  ],
  looks: [PROPS, HEALTH, PAGE, MODELS],
  looksNow,
  metrics: METRICS,
  finish,
  feed: (known) => (isRouter(known) ? FEED : undefined),
  load: (model, _, __, known) => call("load", model, isRouter(known)),
  unload: (model, _, known) => call("unload", model, isRouter(known)),
};

const FEED: Feed = {
  ask: { method: "GET", port: "api", path: "/models/sse", accept: "text/event-stream" },
  read: readNews,
};

/** A model's events have its status as the list has it, or are of something else, such as a download. */
function readNews(data: string): FeedNews | undefined {
  const json = jsonIn(data);
  const event = textAt(json, "event");
  if (event === "models_reload") return "other";
  const model = nameAt(json, "model");
  const word = textAt(json, "data", "status");
  if (model === undefined || (event !== "status_change" && event !== "model_status") || word === "") return undefined;
  const { state, reason } = stateIn(memberAt(json, "data"), word);
  const aliases = listAt(json, "data", "info", "aliases").flatMap((alias) => nameAt(alias) ?? []);
  return { model, proof: provesState([model, ...aliases], state, reason) };
}

function isRouter({ told }: Known): boolean {
  return told.get(PROPS.name)?.notes?.["isRouter"] === true || told.get(MODELS.name)?.notes?.["isRouter"] === true;
}

function looksNow({ models, figures, figuresAtMs }: RuntimeReading, known: Known): readonly TableLook[] {
  if (!isRouter(known)) {
    if (figuresAtMs === undefined) return [PROPS, HEALTH, PAGE, MODELS, SLOTS];
    const isAtWork = figures.runningRequests !== undefined && figures.runningRequests > 0;
    return isAtWork ? [PROPS, HEALTH, PAGE, MODELS, SLOTS_IN_USE] : [PROPS, HEALTH, PAGE, MODELS];
  }
  const own = new Set(models.filter(({ state }) => state === "loaded").map(({ model }) => originalOf(model, known)));
  return [PROPS, HEALTH, MODELS, ...[...own].slice(0, METRIC_MODELS_MAX).map(pageOf)];
}

/** The metrics of one of a router's models. */
function pageOf(model: string): TableLook {
  const path = `/metrics?model=${encodeURIComponent(model)}&autoload=false`;
  return get("metrics", path, { name: `metrics of ${model}`, model });
}

function readProps(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  const isRouterMode = textAt(json, "role") === "router";
  const build = nameAt(json, "build_info");
  if (!isRouterMode && build === undefined && memberAt(json, "default_generation_settings") === undefined) {
    return { kind: "foreign", message: "it is not what a llama.cpp server tells of itself" };
  }
  const slots = countAt(json, "total_slots");
  return {
    version: build ?? "",
    figures: slots === undefined ? {} : { slots },
    notes: {
      isRouter: isRouterMode,
      // Those that do not tell it yet do.
      loadsOnDemand: isRouterMode && flagAt(json, "models_autoload") !== false,
      contextTokens: countAt(json, "default_generation_settings", "n_ctx"),
    },
  };
}

function readModels(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  const cards = modelCards(json);
  if (cards === undefined) return { kind: "unreadable", message: "it is no list of models" };
  // Of one model the abilities stand in a second list, made for Ollama's clients.
  const abilities = cards.length === 1 ? capabilitiesOf(listAt(json, "models", 0, "capabilities")) : [];
  const originals: Record<string, string> = {};
  const models = cards.flatMap((card) => {
    const told = { ...toldOf(card), ...(abilities.length > 0 ? { capabilities: abilities } : {}) };
    const aliases = listAt(card.card, "aliases").flatMap((alias) => nameAt(alias) ?? []);
    const others = [...new Set(aliases)].filter((alias) => alias !== card.id);
    for (const alias of others) originals[alias] = card.id;
    return [told, ...others.map((alias) => ({ ...told, model: alias }))];
  });
  // A router's models have a state each.
  return { models, notes: { originals, isRouter: cards.some(({ card }) => memberAt(card, "status") !== undefined) } };
}

function toldOf({ id, contextTokensMax, card }: ModelCard): ModelTold {
  const status = memberAt(card, "status");
  if (status === undefined) return { model: id, contextTokensMax, state: "loaded", reason: "" };
  return { model: id, contextTokensMax, ...stateIn(status, textAt(status, "value")) };
}

function stateIn(status: unknown, word: string): { state: ModelState; reason: string } {
  const known = Object.hasOwn(STATES, word) ? STATES[word] : undefined;
  if (known !== undefined) return { state: known, reason: "" };
  const exitCode = numberAt(status, "exit_code");
  // Lists say that it failed, events only how it ended.
  const hasFailed = flagAt(status, "failed") ?? (exitCode !== undefined && exitCode !== 0);
  if (!hasFailed) return { state: "available", reason: "" };
  return { state: "failed", reason: `its process ended with exit code ${exitCode ?? "?"}` };
}

function originalOf(model: string, { told }: Known): string {
  const originals = told.get(MODELS.name)?.notes?.["originals"];
  return nameAt(originals, model) ?? model;
}

/** What stands in the caches of slots that work, and how many do. */
function readSlots(answer: Answer): Told | Refusal {
  const slots = itemsAt(jsonOf(answer));
  if (slots === undefined) return { kind: "unreadable", message: "it is no list of slots" };
  let used = 0;
  let room = 0;
  let runningRequests = 0;
  for (const slot of slots) {
    const context = countAt(slot, "n_ctx") ?? 0;
    room += context;
    // Before the end of 2024 the state was a number, 1 for a slot that works.
    if (!(flagAt(slot, "is_processing") ?? memberAt(slot, "state") === 1)) continue;
    runningRequests++;
    used += Math.min(context, tokensIn(slot));
  }
  return { figures: { runningRequests, slots: slots.length, ...(room > 0 ? { kvUsage: used / room } : {}) } };
}

/** Prompt and output together; older versions tell the output alone. */
function tokensIn(slot: unknown): number {
  return (
    numberAt(slot, "n_prompt_tokens") ??
    numberAt(slot, "n_past") ??
    numberAt(slot, "next_token", 0, "n_decoded") ??
    numberAt(slot, "next_token", "n_decoded") ??
    numberAt(slot, "n_decoded") ??
    0
  );
}

function finish(reading: RuntimeReading, known: Known): RuntimeReading {
  const { told } = known;
  if (isRouter(known)) {
    const loadsOnDemand = told.get(PROPS.name)?.notes?.["loadsOnDemand"] === true;
    const models = withOriginals(reading, known).map((model) => ({ ...model, loadsOnDemand }));
    return { ...reading, models };
  }
  const contextTokensMax = told.get(PROPS.name)?.notes?.["contextTokens"] as number | undefined;
  const models = reading.models.map((model) => ({
    ...model,
    contextTokensMax: contextTokensMax ?? model.contextTokensMax,
  }));
  return { ...reading, models, figures: idleFigures(reading.figures) };
}

/** The cache of idle slots is there for whoever comes next; what the slots told while they worked is over. */
function idleFigures(figures: EngineFigures): EngineFigures {
  return figures.runningRequests === 0 && figures.kvUsage !== undefined ? { ...figures, kvUsage: 0 } : figures;
}

/** Names for the same model have the same process. */
function withOriginals({ models }: RuntimeReading, known: Known): RuntimeReading["models"] {
  const figures = new Map(models.map((model) => [model.model, model.figures]));
  return models.map((model) => ({ ...model, figures: model.figures ?? figures.get(originalOf(model.model, known)) }));
}

function call(verb: "load" | "unload", model: string, isRouterMode: boolean): ModelCall {
  const done = verb === "load" ? /already (?:running|loaded)/ : /not (?:running|loaded)/;
  const plan = { verb, model, asks: [post(`/models/${verb}`, { model })], patienceMs: START_PATIENCE_MS };
  return callOf({
    ...plan,
    advice(said, { status }) {
      if (status === 400 && done.test(said)) return "";
      if (!isRouterMode) {
        return `this llama-server has the one model that it was started with: to ${verb} models by name, start it without -m, with --models-dir or --models-preset`;
      }
      return `llama-server did not ${verb} ${model}: ${said}${status === 404 ? "; GET /models lists those that it knows" : ""}`;
    },
  });
}
