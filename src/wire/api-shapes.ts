/**
 * What each known path means: one row for each method and path of the inference APIs that runtimes serve. A row says
 * where the model's name stands, whether the request may run twice, how its answer streams, and whether the router
 * answers it by itself. api-path.ts finds the row of a request; paths with a name in them have their rows in the
 * second half, under the name by which api-path.ts asks for them.
 *
 * Facts: the OpenAI, Anthropic, Cohere and Ollama references; the open inference protocol v2 with Triton's generate
 * extension; the routes of vLLM, SGLang, TGI, TEI, llama.cpp, TensorFlow Serving and TorchServe. A path that several
 * runtimes have with different bodies (`/generate`, `/classify`) has one row, which holds for all of them.
 */
import { METHOD } from "./http1.ts";

export type ApiFamily =
  | "openai"
  | "anthropic"
  | "cohere"
  | "ollama"
  | "kserve"
  | "tgi"
  | "tei"
  | "vllm"
  | "sglang"
  | "llamacpp"
  | "tensorflow"
  | "torchserve"
  | "sagemaker"
  | "infermesh"
  | "unknown";

/**
 * inference: computes an answer and leaves nothing behind. stored: makes, reads or changes what one target keeps
 * (files, batches, stored responses). read: tells about a model or a server. management: changes what a runtime
 * serves. unlisted: under /v1/, but in no row. unknown: anywhere else. method: the path is known, its method is not.
 */
export type ApiWork = "inference" | "stored" | "read" | "management" | "unlisted" | "unknown" | "method";

/**
 * body: the JSON field `model`, which must be there. optional: the same, where a runtime that serves one model takes
 * requests without it, or without a body. form: a part `model` of multipart/form-data, or the JSON field where the content type says so.
 * path: between the path's fixed parts. query: the parameter `model`. none: nowhere. Where no name is found, the
 * header x-infermesh-model gives it, or the only model that is served is meant.
 */
export type ModelPlace = "body" | "optional" | "form" | "path" | "query" | "none";

/** When an answer comes as a stream; "unless-refused" is a stream unless the body has `"stream": false`. */
export type StreamWhen = "never" | "asked" | "unless-refused" | "always";

/** The framing of a stream; "bytes" is one that has none of its own, as speech. */
export type StreamFormat = "none" | "sse" | "ndjson" | "bytes";

/** What the router answers by itself; "" when the request goes to a target. */
export type LocalAnswer =
  | ""
  | "models"
  | "model"
  | "health"
  | "live"
  | "ready"
  | "register"
  | "deregister"
  | "version"
  | "ollama-tags"
  | "kserve-server"
  | "kserve-index";

/** Whether the answer to the same request is the same: always, or with temperature 0 ("greedy"). */
export type Sameness = "never" | "greedy" | "always";

export interface ApiShape {
  /** `openai.chat`: what metrics, logs and rules call it. */
  readonly name: string;
  readonly family: ApiFamily;
  readonly work: ApiWork;
  readonly model: ModelPlace;
  readonly streams: StreamWhen;
  readonly format: StreamFormat;
  readonly local: LocalAnswer;
  /** May be sent to a second target until the first byte of an answer; otherwise only when the first one refused it. */
  readonly repeatable: boolean;
  /** The header x-infermesh-model decides where both name a model. A name in the path reaches the target as it is. */
  readonly overridable: boolean;
  /** Whether an answer may be kept for the next request that is the same. */
  readonly cache: Sameness;
}

type Facts = Partial<Omit<ApiShape, "name" | "family" | "overridable">>;

export interface ApiRow {
  readonly method: number;
  readonly path: string;
  readonly shape: ApiShape;
}

const { GET, POST, PUT, DELETE, PATCH } = METHOD;

const made: ApiShape[] = [];
/** Every shape there is; those that share a name differ in what their methods allow. */
export const ALL_SHAPES: readonly ApiShape[] = made;

function shape(name: string, facts: Facts): ApiShape {
  const { work = "inference", model = "none", streams = "never", local = "", cache = "never" } = facts;
  const one: ApiShape = Object.freeze({
    name,
    family: name.slice(0, name.indexOf(".")) as ApiFamily,
    work,
    model,
    streams,
    format: facts.format ?? (streams === "never" ? "none" : "sse"),
    local,
    repeatable: facts.repeatable ?? (work === "inference" || work === "read"),
    overridable: model !== "path" && local === "",
    cache,
  });
  made.push(one);
  return one;
}

function rows(name: string, method: number, paths: readonly string[], facts: Facts): ApiRow[] {
  const one = shape(name, facts);
  return paths.map((path) => ({ method, path, shape: one }));
}

const BODY: Facts = { model: "body" };
const CHAT: Facts = { model: "body", streams: "asked" };
const GREEDY: Facts = { ...CHAT, cache: "greedy" };
const EMBEDDING: Facts = { model: "body", cache: "always" };
const OPTIONAL: Facts = { model: "optional" };
const FORM: Facts = { model: "form", streams: "asked" };
const READ: Facts = { work: "read" };
/** Ollama streams unless it is told not to, one JSON object a line. */
const NDJSON: Facts = { model: "body", streams: "unless-refused", format: "ndjson" };
const MANAGEMENT: Facts = { work: "management", model: "optional" };

/** Paths that stand as they are. */
export const FIXED_PATHS: readonly ApiRow[] = [
  // ---- OpenAI; the paths without /v1 are those of llama.cpp and Infinity
  ...rows("openai.chat", POST, ["/v1/chat/completions", "/chat/completions"], GREEDY),
  ...rows("openai.chat-batch", POST, ["/v1/chat/completions/batch"], BODY),
  ...rows("openai.completions", POST, ["/v1/completions", "/completions"], GREEDY),
  // A response is stored unless the body says otherwise, and may run in the background: it is not begun twice.
  ...rows("openai.responses", POST, ["/v1/responses"], { ...CHAT, repeatable: false }),
  ...rows("openai.responses-tokens", POST, ["/v1/responses/input_tokens"], BODY),
  ...rows("openai.responses-compact", POST, ["/v1/responses/compact"], BODY),
  ...rows("openai.embeddings", POST, ["/v1/embeddings", "/embeddings"], EMBEDDING),
  ...rows("openai.moderations", POST, ["/v1/moderations"], OPTIONAL),
  ...rows("openai.decisions", POST, ["/v1/decisions"], BODY),
  ...rows("openai.speech", POST, ["/v1/audio/speech"], { ...BODY, streams: "always", format: "bytes" }),
  ...rows("openai.transcriptions", POST, ["/v1/audio/transcriptions"], FORM),
  ...rows("openai.translations", POST, ["/v1/audio/translations"], FORM),
  ...rows("openai.images", POST, ["/v1/images/generations"], { model: "optional", streams: "asked" }),
  ...rows("openai.image-edits", POST, ["/v1/images/edits"], FORM),
  ...rows("openai.image-variations", POST, ["/v1/images/variations"], { model: "form" }),
  ...rows("openai.realtime", GET, ["/v1/realtime"], { model: "query", repeatable: false }),
  ...rows("openai.models", GET, ["/v1/models", "/models"], { ...READ, local: "models" }),
  ...rows("openai.stored-chats", GET, ["/v1/chat/completions"], { work: "stored", repeatable: true }),

  // ---- scoring and pooling: vLLM, SGLang, TEI, Infinity, llama.cpp; Cohere's and Jina's forms
  ...rows("cohere.rerank", POST, ["/v1/rerank", "/v2/rerank", "/rerank"], OPTIONAL),
  ...rows("cohere.embed", POST, ["/v2/embed"], EMBEDDING),
  ...rows("vllm.score", POST, ["/v1/score", "/score"], OPTIONAL),
  ...rows("vllm.classify", POST, ["/v1/classify", "/classify"], OPTIONAL),
  ...rows("vllm.pooling", POST, ["/v1/pooling", "/pooling"], OPTIONAL),
  ...rows("vllm.tokenize", POST, ["/v1/tokenize", "/tokenize"], OPTIONAL),
  ...rows("vllm.detokenize", POST, ["/v1/detokenize", "/detokenize"], OPTIONAL),
  ...rows("vllm.generate", POST, ["/inference/v1/generate"], { model: "optional", streams: "asked" }),
  ...rows("vllm.adapter", POST, ["/v1/load_lora_adapter", "/v1/unload_lora_adapter"], MANAGEMENT),
  ...rows("sglang.encode", POST, ["/encode"], OPTIONAL),
  ...rows("sglang.info", GET, ["/model_info", "/get_model_info"], READ),
  ...rows("tei.embed", POST, ["/embed", "/embed_all", "/embed_sparse"], { ...OPTIONAL, cache: "always" }),
  ...rows("tei.predict", POST, ["/predict", "/similarity", "/decode"], OPTIONAL),
  ...rows("llamacpp.completion", POST, ["/completion", "/infill"], { model: "optional", streams: "asked" }),
  ...rows("llamacpp.embedding", POST, ["/embedding", "/reranking", "/apply-template"], OPTIONAL),
  ...rows("llamacpp.info", GET, ["/props"], READ),

  // ---- Anthropic
  ...rows("anthropic.messages", POST, ["/v1/messages"], CHAT),
  ...rows("anthropic.count-tokens", POST, ["/v1/messages/count_tokens"], BODY),

  // ---- Ollama
  ...rows("ollama.chat", POST, ["/api/chat"], NDJSON),
  ...rows("ollama.generate", POST, ["/api/generate"], NDJSON),
  ...rows("ollama.embed", POST, ["/api/embed", "/api/embeddings"], EMBEDDING),
  ...rows("ollama.show", POST, ["/api/show"], { ...READ, model: "body" }),
  ...rows("ollama.tags", GET, ["/api/tags"], { ...READ, local: "ollama-tags" }),
  ...rows("ollama.version", GET, ["/api/version"], { ...READ, local: "version" }),
  ...rows("ollama.running", GET, ["/api/ps"], READ),
  ...rows("ollama.manage", POST, ["/api/pull", "/api/push", "/api/create", "/api/copy"], MANAGEMENT),
  ...rows("ollama.manage", DELETE, ["/api/delete"], MANAGEMENT),

  // ---- the open inference protocol v2
  ...rows("kserve.server", GET, ["/v2", "/v2/"], { ...READ, local: "kserve-server" }),
  ...rows("kserve.live", GET, ["/v2/health/live"], { ...READ, local: "live" }),
  ...rows("kserve.ready", GET, ["/v2/health/ready"], { ...READ, local: "ready" }),
  ...rows("kserve.index", POST, ["/v2/repository/index"], { ...READ, local: "kserve-index" }),
  ...rows("kserve.stats", GET, ["/v2/models/stats"], READ),

  // ---- TGI; /generate is also SGLang's, which streams there when asked to
  ...rows("tgi.generate", POST, ["/generate", "/"], { model: "optional", streams: "asked" }),
  ...rows("tgi.generate-stream", POST, ["/generate_stream"], { model: "optional", streams: "always" }),
  ...rows("tgi.info", GET, ["/info"], READ),
  ...rows("tgi.chat-tokenize", POST, ["/chat_tokenize"], OPTIONAL),
  ...rows("sagemaker.invocations", POST, ["/invocations"], { model: "optional", streams: "asked" }),

  // ---- the router's own; `GET /` is how Ollama's client looks for a server
  ...rows("infermesh.health", GET, ["/health", "/ping", "/"], { ...READ, local: "health" }),
  ...rows("infermesh.inference", POST, ["/v1/inference"], CHAT),
  ...rows("infermesh.register", POST, ["/register"], { work: "management", local: "register" }),
  ...rows("infermesh.deregister", POST, ["/deregister"], { work: "management", local: "deregister" }),
];

/** What one target keeps: at `/v1/files` and everything below it, and so on. */
export const STORED_PATHS: readonly string[] = [
  "/v1/files",
  "/v1/uploads",
  "/v1/batches",
  "/v1/responses",
  "/v1/chat/completions",
  "/v1/conversations",
  "/v1/vector_stores",
  "/v1/videos",
  "/v1/containers",
  "/v1/assistants",
  "/v1/threads",
  "/v1/evals",
  "/v1/fine_tuning",
  "/v1/messages/batches",
];

const PATH: Facts = { model: "path" };
const PATH_READ: Facts = { model: "path", work: "read" };
const PATH_MANAGEMENT: Facts = { model: "path", work: "management" };

const verbs = (...all: readonly (readonly [verb: string, shape: ApiShape])[]): ReadonlyMap<string, ApiShape> =>
  new Map(all);

/** Behind `/v2/models/{m}` or `/v2/models/{m}/versions/{v}`, by the method and the last segment; "" is the metadata. */
export const KSERVE_VERBS = {
  [POST]: verbs(
    ["infer", shape("kserve.infer", PATH)],
    ["infer_stream", shape("kserve.infer-stream", { ...PATH, streams: "always" })],
    ["generate", shape("kserve.generate", PATH)],
    ["generate_stream", shape("kserve.generate-stream", { ...PATH, streams: "always" })],
    ["explain", shape("kserve.explain", PATH)],
  ),
  [GET]: verbs(
    ["ready", shape("kserve.model-ready", PATH_READ)],
    ["config", shape("kserve.config", PATH_READ)],
    ["stats", shape("kserve.stats", PATH_READ)],
    ["", shape("kserve.metadata", PATH_READ)],
  ),
} as const;

/** Behind `/v2/repository/models/{m}`. */
export const REPOSITORY_VERBS = {
  [POST]: verbs(["load", shape("kserve.load", PATH_MANAGEMENT)], ["unload", shape("kserve.unload", PATH_MANAGEMENT)]),
} as const;

/** Behind the colon of `/v1/models/{m}:predict`. */
export const TENSORFLOW_VERBS = {
  [POST]: verbs(
    ["predict", shape("tensorflow.predict", PATH)],
    ["classify", shape("tensorflow.classify", PATH)],
    ["regress", shape("tensorflow.regress", PATH)],
  ),
} as const;

/** `/v1/models/{m}/metadata` and `/v1/models/{m}/versions/{v}[/metadata]`. */
export const TENSORFLOW_STATUS = shape("tensorflow.status", PATH_READ);
/**
 * `GET /v1/models/{m}` is OpenAI's entry of the listing and TensorFlow Serving's status. The router answers it as
 * OpenAI does, since it knows the model; the status of one version is asked with the version in the path.
 */
export const OPENAI_MODEL = shape("openai.model", { ...PATH_READ, local: "model" });
/** `DELETE /v1/models/{m}` of a fine-tuned model. */
export const OPENAI_MODEL_DELETE = shape("openai.model-delete", PATH_MANAGEMENT);
/** `/predictions/{m}[/{version}]`, whatever the method: TorchServe takes them all. */
export const TORCHSERVE_PREDICT = shape("torchserve.predict", PATH);
export const TORCHSERVE_EXPLAIN = shape("torchserve.explain", PATH);
export const OLLAMA_BLOB = shape("ollama.blob", { work: "management" });

export const STORED = shape("openai.stored", { work: "stored", streams: "asked" });
/** Reading what is stored changes nothing; it may be asked for twice. */
export const STORED_READ = shape("openai.stored", { work: "stored", streams: "asked", repeatable: true });
/** What is made may name a model in its body: a video, a fine-tuned model. */
export const STORED_NEW = shape("openai.stored", { work: "stored", model: "optional" });

export const UNLISTED = shape("unknown.v1", { work: "unlisted", model: "optional", streams: "asked" });
export const UNLISTED_READ = shape("unknown.v1", { work: "unlisted", streams: "asked", repeatable: true });
export const UNKNOWN = shape("unknown.path", { work: "unknown", model: "optional", streams: "asked" });
export const UNKNOWN_READ = shape("unknown.path", { work: "unknown", streams: "asked", repeatable: true });
export const WRONG_METHOD = shape("unknown.method", { work: "method" });

/** Methods that have rows of their own, as an Allow field writes them. */
export const METHOD_NAMES: readonly (readonly [number, string])[] = [
  [GET, "GET, HEAD"],
  [POST, "POST"],
  [PUT, "PUT"],
  [PATCH, "PATCH"],
  [DELETE, "DELETE"],
];
