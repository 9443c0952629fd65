/**
 * TorchServe. What is special about it:
 *
 * - Three ports: inference, management, metrics. Since 0.11 each wants a token of its own, unless that is switched off.
 * - Models are listed without their states: each is described by itself, its workers and its queue of jobs. That is also
 *   where its load stands: its metrics are for log files, unless metrics_mode says otherwise, and never tell a queue.
 * - A model is registered with workers; without any it is known and can't be asked. Registering and unregistering need
 *   --enable-model-api since 0.11; the number of workers may always be changed.
 */
import type { Answer, LoadOptions, ModelCall, Proof } from "./adapter.ts";
import { countAt, itemsAt, jsonOf, nameAt, numberAt, textAt, wordsAt } from "./json-answer.ts";
import { callOf } from "./model-plans.ts";
import { provesAvailable, provesLoaded } from "./proofs.ts";
import type { EngineFigures, RuntimeReading } from "./reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";
import { type AdapterTable, get, type Refusal, type TableLook, type Told } from "./table.ts";

/** Models that are described: each is a request of its own. */
const DESCRIBED_MAX = 32;
const LIST_PATH = "/models?limit=1000";

const DESCRIPTION = get("identity", "/api-description", { read: readDescription });
/** 500 where one model has fewer workers than it should: the others serve. */
const HEALTH = get("health", "/ping", { statuses: { 500: "ok" } });
const PAGE = get("metrics", "/metrics", {
  ask: { method: "GET", port: "metrics", path: "/metrics" },
});
const LIST = get("models", LIST_PATH, {
  name: "models",
  ask: { method: "GET", port: "management", path: LIST_PATH },
  read: readList,
});
const LOOKS = [DESCRIPTION, HEALTH, PAGE, LIST];

export const TORCHSERVE: AdapterTable = {
  kind: "torchserve",
  title: "TorchServe",
  ports: { api: 8080, management: 8081, metrics: 8082 },
  sources: [
    "pytorch/serve docs/management_api.md, docs/metrics.md, docs/metrics_api.md, docs/model_api_control.md, ts/configs/metrics.yaml (0.1 to 0.12)",
    "pytorch/serve frontend/server/src/main/java/org/pytorch/serve/http/messages/DescribeModelResponse.java",
  ],
  looks: LOOKS,
  looksNow: ({ models }) => [...LOOKS, ...models.slice(0, DESCRIBED_MAX).map(({ model }) => describedBy(model))],
  metrics: {
    modelLabels: ["model_name", "ModelName"],
    figures: {
      requestsPerSecond: { rate: "ts_inference_requests_total" },
      failedResponses: { value: "Requests5XX" },
    },
  },
  finish,
  load,
  unload: (model) => scaled("unload", model, 0),
};

function readDescription(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  const title = wordsAt(json, "info", "title");
  if (!title.startsWith("TorchServe")) {
    return { kind: "foreign", message: "it describes another API than TorchServe's" };
  }
  return { version: nameAt(json, "info", "version") ?? "" };
}

function readList(answer: Answer): Told | Refusal {
  const items = itemsAt(jsonOf(answer), "models");
  if (items === undefined) return { kind: "unreadable", message: "it is no list of models" };
  const names = items.flatMap((item) => nameAt(item, "modelName") ?? []);
  // Not known to be there before its description says so.
  return {
    models: [...new Set(names)].map((model) => ({ model, state: "available" as const, capabilities: ["predict"] })),
  };
}

function describedBy(model: string): TableLook {
  const path = `/models/${encodeURIComponent(model)}`;
  return {
    name: `description of ${model}`,
    role: "metrics",
    ask: { method: "GET", port: "management", path },
    read: (answer) => readModel(model, answer),
  };
}

/** The version that is the default comes alone, in a list. */
function readModel(model: string, answer: Answer): Told | Refusal {
  const described = itemsAt(jsonOf(answer))?.[0];
  const workers = itemsAt(described, "workers");
  if (workers === undefined) return { kind: "unreadable", message: "it describes no model" };
  const ready = workers.filter((worker) => textAt(worker, "status") === "READY").length;
  const wanted = countAt(described, "minWorkers") ?? 0;
  const slots = ready * (countAt(described, "batchSize") ?? 1);
  const state: ModelState = ready > 0 ? "loaded" : wanted > 0 ? "loading" : "available";
  const waitingRequests = numberAt(described, "jobQueueStatus", "pendingRequests");
  return {
    models: [
      {
        model,
        state,
        figures: {
          ...(slots > 0 ? { slots } : {}),
          ...(waitingRequests === undefined ? {} : { waitingRequests }),
        },
      },
    ],
  };
}

/** The queues of all models together. */
function finish(reading: RuntimeReading): RuntimeReading {
  const sum = (name: "waitingRequests" | "slots"): number | undefined => {
    const told = reading.models.flatMap(({ figures }) => figures?.[name] ?? []);
    return told.length === 0 ? reading.figures[name] : told.reduce((a, b) => a + b, 0);
  };
  const figures: EngineFigures = { ...reading.figures, waitingRequests: sum("waitingRequests"), slots: sum("slots") };
  return { ...reading, figures };
}

/** What is registered gets a worker; what is not is registered with one, from its archive. */
function load(model: string, { source }: LoadOptions, { models }: RuntimeReading): ModelCall {
  if (models.some((known) => known.model === model)) return scaled("load", model, 1);
  const archive = source === "" ? `${model}.mar` : source;
  const query = new URLSearchParams({ url: archive, model_name: model, initial_workers: "1", synchronous: "true" });
  return callOf({
    verb: "load",
    model,
    asks: [{ method: "POST", port: "management", path: `/models?${query.toString()}` }],
    advice: (said, answer) => advice("load", model, said, answer),
    proof: (answer) => whenDone(answer, model, provesLoaded([model], { capabilities: ["predict"] })),
  });
}

function scaled(verb: "load" | "unload", model: string, workers: number): ModelCall {
  const query = `min_worker=${workers}&max_worker=${workers}&synchronous=true`;
  return callOf({
    verb,
    model,
    asks: [{ method: "PUT", port: "management", path: `/models/${encodeURIComponent(model)}?${query}` }],
    advice: (said, answer) => (verb === "unload" && answer.status === 404 ? "" : advice(verb, model, said, answer)),
    proof: (answer) => whenDone(answer, model, workers > 0 ? provesLoaded([model]) : provesAvailable([model])),
  });
}

/** 202 where it goes on with that: then the workers are not there yet. */
function whenDone({ status }: Answer, model: string, proof: Proof): Proof | undefined {
  return status === 200 ? { ...proof, toldBy: [LIST.name, describedBy(model).name] } : undefined;
}

function advice(verb: string, model: string, said: string, answer: Answer): string {
  const { status } = answer;
  const told = `TorchServe did not ${verb} ${model}: ${said}`;
  if (status === 405) return `${told}; start it with --enable-model-api`;
  if (status === 401 || status === 403 || textAt(jsonOf(answer), "type") === "InvalidKeyException") {
    return `${told}; its management port wants the management key of its key_file.json`;
  }
  if (status === 409) return "";
  if (status === 404) return `${told}; the archive ${model}.mar must lie in its model store, or its source be named`;
  return told;
}
