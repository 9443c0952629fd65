/**
 * Anything that speaks the open inference protocol (KServe v2), and MLServer, whose metrics are known. What is special:
 *
 * - The repository is an extension that not every server has. Without its index there may be a list at /v2/models, as
 *   KServe's own Python server has it; a server with neither serves models that can't be known.
 * - Readiness of the server wants every model ready, so it is asked whether it lives; the index tells of models.
 * - MLServer counts requests that are in progress over all models, and knows no queue: those that wait are among them.
 */
import type { Answer, ModelCall } from "./adapter.ts";
import { itemsAt, jsonOf, nameAt } from "./json-answer.ts";
import { INDEX, repositoryCall } from "./repository-index.ts";
import { type AdapterTable, get, type Refusal, type Told } from "./table.ts";

const LIST = get("models", "/v2/models", { read: readList });
const LOOKS = [
  get("identity", "/v2", { read: readServer }),
  get("health", "/v2/health/live", { statuses: { 400: "not_ready" } }),
  get("metrics", "/metrics", { ask: { method: "GET", port: "metrics", path: "/metrics" } }),
  INDEX,
];

export const KSERVE: AdapterTable = {
  kind: "kserve",
  title: "a KServe v2 server",
  ports: { api: 8080, grpc: 8081, metrics: 8082 },
  sources: [
    "kserve/open-inference-protocol specification/protocol/inference_rest.md",
    "SeldonIO/MLServer mlserver/handlers/dataplane.py, mlserver/rest/app.py, docs/user-guide/metrics.md (1.2 to 1.7)",
  ],
  looks: [...LOOKS, LIST],
  // Where there is an index, the list has nothing to add.
  looksNow: (_, { told }) => (told.get(INDEX.name) === undefined ? [...LOOKS, LIST] : LOOKS),
  metrics: {
    modelLabels: ["model"],
    modelHints: ["load", "unload"].map((verb) => ({
      counted: { names: ["rest_server_requests_total"], where: { path: `/v2/repository/models/{model_name}/${verb}` } },
    })),
    hintsShownBy: { names: ["rest_server_requests_total"], where: { path: "/v2/repository/index" } },
    figures: {
      runningRequests: { value: { names: ["rest_server_requests_in_progress"], where: { method: "POST" } } },
      requestsPerSecond: { rate: "model_infer_request_success_total" },
      failedResponses: { value: "model_infer_request_failure_total" },
    },
  },
  load: (model) => call("load", model),
  unload: (model) => call("unload", model),
};

function readServer(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  if (nameAt(json, "name") === undefined)
    return { kind: "foreign", message: "it names no server, as KServe v2 wants it" };
  return { version: nameAt(json, "version") ?? "" };
}

/** A list of names: what it names is there. */
function readList(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  const items = itemsAt(json, "models") ?? itemsAt(json);
  if (items === undefined) return { kind: "unreadable", message: "it is no list of models" };
  const names = items.flatMap((item) => nameAt(item) ?? nameAt(item, "name") ?? []);
  return { models: [...new Set(names)].map((model) => ({ model, capabilities: ["infer"] as const })) };
}

function call(verb: "load" | "unload", model: string): ModelCall {
  return repositoryCall(verb, model, (said, { status }) => {
    if (status === 405 || status === 501) return `this server can't ${verb} models: it has no repository API`;
    const told = `the server did not ${verb} ${model}: ${said}`;
    return status === 404 ? `${told}; see that its model repository has it` : told;
  });
}
