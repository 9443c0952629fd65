/**
 * TensorFlow Serving. What is special about it:
 *
 * - It has no list of models: one is asked about by name. Names stand in its metrics, which count requests by model and
 *   loads by folder (MODEL/VERSION, the usual layout); each is asked about before it is believed.
 * - Metrics need --monitoring_config_file; without them no figure is told, and no model found but those that are named to the agent. Their names are paths, with
 *   colons where slashes were. Times are microseconds.
 * - Models are loaded and let go as its configuration file says, which it polls or is sent over gRPC.
 */
import type { Answer, ModelCall } from "./adapter.ts";
import { PrometheusReader } from "../wire/prometheus.ts";
import { isName, jsonOf, listAt, wordsAt } from "./json-answer.ts";
import { refusedCall } from "./model-plans.ts";
import { type AdapterTable, get, type Known, type Refusal, type TableLook, type Told } from "./table.ts";
import { versionedModel } from "./version-states.ts";

/** Models that are asked about: each is a request of its own. */
const MODELS_MAX = 32;
const EVERY_MS = 12_000;
const LOADS = ":tensorflow:cc:saved_model:load_attempt_count";
/** Its words for a path that names no model. */
const MALFORMED = "Malformed request";

/** It knows no such path, and says so as nobody else does. */
const LIST = get("identity", "/v1/models", { read: readRefusal, statuses: { 400: "ok", 404: "ok" } });
const HEALTH = get("health", "/v1/models", { name: "health", statuses: { 400: "ok", 404: "ok" } });
const PAGE = get("metrics", "/monitoring/prometheus/metrics", {
  advice: {
    400: "start it with --monitoring_config_file, prometheus_config { enable: true }",
    404: "start it with --monitoring_config_file, prometheus_config { enable: true }",
  },
  statuses: { 400: "not_supported" },
});

const FOLDERS = get("detail", PAGE.ask.path, { name: "folders", everyMs: EVERY_MS, read: readFolders });
const LOOKS = [LIST, HEALTH, PAGE, FOLDERS];

/** `models` are asked about even where no metrics name them. */
export const tfserving = (models: readonly string[]): AdapterTable => ({
  kind: "tfserving",
  title: "TensorFlow Serving",
  ports: { api: 8501, grpc: 8500 },
  sources: [
    "tensorflow/serving tensorflow_serving/g3doc/api_rest.md, g3doc/serving_config.md, apis/get_model_status.proto (2.1 to 2.19)",
    "tensorflow/serving tensorflow_serving/servables/tensorflow/util.cc, util/prometheus_exporter.cc, batching/batching_session.cc",
  ],
  looks: [...LOOKS, ...models.map(statusOf)],
  looksNow: (_, known) => [...LOOKS, ...namesIn(known, models).map(statusOf)],
  metrics: {
    modelLabels: ["model_name"],
    figures: {
      requestsPerSecond: { rate: ":tensorflow:serving:request_count" },
      queueTime: { quantiles: { names: [":tensorflow:serving:batching_session:queuing_latency"], scale: 1e-6 } },
    },
  },
  load: (model) => refused("load", model),
  unload: (model) => refused("unload", model),
});

export const TFSERVING = tfserving([]);

function readRefusal(answer: Answer): Told | Refusal {
  const said = wordsAt(jsonOf(answer), "error");
  return said.startsWith(MALFORMED)
    ? {}
    : { kind: "foreign", message: `it does not refuse that path in the words of TensorFlow Serving ("${MALFORMED}")` };
}

/** Where models lie: by the usual layout a folder of the model's name, and one in it for each version. */
function readFolders(answer: Answer): Told | Refusal {
  const names = new Set<string>();
  const reader = new PrometheusReader({
    families: [LOADS],
    isOpenMetrics: false,
    sample({ labels }) {
      const name = /([^/]+)\/\d+\/?$/.exec(labels.get("model_path") ?? "")?.[1];
      if (name !== undefined && isName(name) && names.size < MODELS_MAX) names.add(name);
    },
  });
  reader.push(answer.body);
  const { bad } = reader.finish();
  return bad === "" ? { notes: { names: [...names] } } : { kind: "unreadable", message: bad };
}

/** Those that are said to be there, those that it was asked for, and those that lie where it loaded from: each is asked about. */
function namesIn({ named, told }: Known, models: readonly string[]): readonly string[] {
  const loaded = listAt(told.get(FOLDERS.name)?.notes, "names") as readonly string[];
  return [...new Set([...models, ...named, ...loaded])].slice(0, MODELS_MAX);
}

function statusOf(model: string): TableLook {
  return get("models", `/v1/models/${encodeURIComponent(model)}`, {
    name: `status of ${model}`,
    // It lies there, but is served under another name, or no more.
    statuses: { 404: "ok" },
    read(answer) {
      if (answer.status === 404) return { models: [] };
      const told = versionedModel(model, jsonOf(answer), ["predict"]);
      return told === undefined
        ? { kind: "unreadable", message: "it is no status of a model's versions" }
        : { models: [told] };
    },
  });
}

function refused(verb: string, model: string): ModelCall {
  return refusedCall(
    `TensorFlow Serving has no path to ${verb} ${model}: change its --model_config_file, which it reads anew every --model_config_file_poll_wait_seconds`,
  );
}
