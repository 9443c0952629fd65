/**
 * OpenVINO Model Server. What is special about it:
 *
 * - GET /v1/config is the status of every model's versions, as TensorFlow Serving has it of one. KServe v2, TensorFlow
 *   Serving's API and OpenAI's (under /v3) are at the same port.
 * - Metrics need --metrics_enable. Times are microseconds. Language models are graphs: what they run is counted, what
 *   their KV cache holds is not told.
 * - What is loaded stands in its configuration file; a request makes it read that anew.
 */
import type { Answer, ModelCall } from "./adapter.ts";
import { jsonOf, membersAt, nameAt, isName } from "./json-answer.ts";
import { callOf, post, refusedCall } from "./model-plans.ts";
import { provesLoaded } from "./proofs.ts";
import { type AdapterTable, get, isRefusal, type ModelTold, type Refusal, type Told } from "./table.ts";
import { versionedModel } from "./version-states.ts";

export const OPENVINO: AdapterTable = {
  kind: "openvino",
  title: "OpenVINO Model Server",
  ports: { api: 8000, grpc: 9000 },
  sources: [
    "openvinotoolkit/model_server docs/metrics.md, docs/metrics_output.out (2022.2 to 2026.3)",
    "openvinotoolkit/model_server docs/model_server_rest_api_tfs.md (2024.5), docs/model_server_rest_api_kfs.md, src/http_rest_api_handler.cpp",
  ],
  looks: [
    get("identity", "/v2", { read: readServer }),
    get("health", "/v2/health/live"),
    get("metrics", "/metrics", { advice: { 404: "start it with --metrics_enable and --rest_port" } }),
    get("models", "/v1/config", { read: readConfig }),
  ],
  metrics: {
    modelLabels: ["name"],
    figures: {
      runningRequests: {
        first: [
          { sum: [{ value: "ovms_current_requests" }, { value: "ovms_current_graphs" }] },
          { value: "ovms_current_graphs" },
          { value: "ovms_current_requests" },
        ],
      },
      slots: { first: [{ value: "ovms_infer_req_queue_size" }, { value: "ovms_streams" }] },
      requestsPerSecond: {
        first: [
          { sum: [{ rate: inference("ovms_requests_success") }, { rate: "ovms_responses" }] },
          { rate: inference("ovms_requests_success") },
          { rate: "ovms_responses" },
        ],
      },
      failedResponses: { first: [{ value: "ovms_requests_fail" }, { value: "ovms_requests_rejected" }] },
      queueTime: { quantiles: { names: ["ovms_wait_for_infer_req_time_us"], scale: 1e-6 } },
    },
  },
  load: (model) => call("load", model),
  unload: (model) =>
    refusedCall(
      `OpenVINO Model Server lets models go as its configuration file says: take ${model} out of it, it is read anew`,
    ),
};

/** Questions about models are counted too: those to models are not all of them. */
function inference(name: string): { names: readonly string[]; where: Readonly<Record<string, string>> } {
  return { names: [name], where: { method: "ModelInfer" } };
}

function readServer(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  const name = nameAt(json, "name") ?? "nothing";
  if (!name.startsWith("OpenVINO")) {
    return { kind: "foreign", message: `it calls itself ${name}, where this server says OpenVINO Model Server` };
  }
  return { version: nameAt(json, "version") ?? "" };
}

function readConfig(answer: Answer): Told | Refusal {
  const members = membersAt(jsonOf(answer));
  if (members === undefined) return { kind: "unreadable", message: "it is no status of models" };
  const models: ModelTold[] = [];
  for (const [model, status] of members) {
    const told = isName(model) ? versionedModel(model, status, []) : undefined;
    if (told !== undefined) models.push(told);
  }
  return { models };
}

function call(verb: "load", model: string): ModelCall {
  return callOf({
    verb,
    model,
    asks: [post("/v1/config/reload", {})],
    advice: (said) =>
      `OpenVINO Model Server did not read its configuration anew: ${said}; name ${model} and its base_path there (--config_path)`,
    // The answer is the status of all that it has then.
    proof(answer) {
      const told = readConfig(answer);
      const isThere = !isRefusal(told) && told.models?.some((each) => each.model === model && each.state === "loaded");
      return isThere === true ? provesLoaded([model]) : undefined;
    },
  });
}
