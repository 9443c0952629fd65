/**
 * Which server answers at a port, for `--runtime auto`. Probes are asked one after the other until one knows; each is a
 * GET of a path that costs the server nothing, and knows only what no other server says:
 *
 *     const search = new Identification();
 *     for (let ask = search.take(); ask !== undefined; ask = search.take()) search.answered(await tryTo(ask));
 *     search.found;      // Identity, or undefined: nobody that is known
 *
 * The owner of the models at /v1/models tells most servers apart, the name at /v2 those of KServe's protocol. What is
 * shared by several (/version, /health, /metrics, /api/tags) is never asked. A server that wants a key may not be known.
 * An infermesh among them is found too, so that nobody takes a router for a runtime.
 */
import type { Answer, Ask } from "./adapter.ts";
import { countAt, jsonOf, memberAt, nameAt, startOf, textAt, wordsAt } from "./json-answer.ts";
import { type ModelCard, modelCards } from "./openai-models.ts";
import type { RuntimeKind } from "./reading.ts";

export interface Identity {
  /** `generic` for a server that speaks OpenAI's API and is none of those that are known. */
  readonly kind: RuntimeKind;
  /** "" where the probe does not tell it: the adapter asks for it. */
  readonly version: string;
}

/** Where servers listen by default, and who does, the likelier ones first. Other ports of the same servers are not asked. */
export const USUAL_PORTS: readonly { readonly port: number; readonly kinds: readonly RuntimeKind[] }[] = [
  { port: 8000, kinds: ["vllm", "triton", "openvino"] },
  { port: 8080, kinds: ["llamacpp", "tgi", "kserve", "torchserve"] },
  { port: 11_434, kinds: ["ollama"] },
  { port: 30_000, kinds: ["sglang"] },
  { port: 23_333, kinds: ["lmdeploy"] },
  { port: 8501, kinds: ["tfserving"] },
  // llama.cpp says that it is to be its port from some version on.
  { port: 9931, kinds: ["llamacpp"] },
  { port: 3000, kinds: ["tgi"] },
];

const HELLO = "Ollama is running";

/** Owners of models that only one server names. */
const OWNERS: Readonly<Record<string, RuntimeKind>> = {
  vllm: "vllm",
  sglang: "sglang",
  llamacpp: "llamacpp",
  lmdeploy: "lmdeploy",
  OVMS: "openvino",
  infermesh: "mock",
};

/** Names at /v2; other names are those of some server of KServe's protocol. */
const SERVERS: Readonly<Record<string, RuntimeKind>> = {
  triton: "triton",
  "OpenVINO Model Server": "openvino",
  "text-generation-inference": "tgi",
};

interface Probe {
  readonly path: string;
  /** Undefined: somebody else. */
  readonly knows: (answer: Answer) => Identity | undefined;
}

const PROBES: readonly Probe[] = [
  { path: "/v1/models", knows: byModels },
  { path: "/v2", knows: byServerName },
  { path: "/", knows: byHello },
  { path: "/info", knows: byInfo },
  { path: "/props", knows: byProps },
  { path: "/get_model_info", knows: byModelInfo },
  { path: "/model_info", knows: byModelInfo },
  { path: "/api-description", knows: byDescription },
];

export class Identification {
  /** Set as soon as it is known; undefined while it is not, and at the end if nobody knows it. */
  found: Identity | undefined;
  /** It answered one of the questions with a demand for a key. */
  isDenied = false;
  #next = 0;
  #isOpenAi = false;

  /** What is to be asked next; undefined when there is nothing more to ask. */
  take(): Ask | undefined {
    const probe = this.found === undefined ? PROBES[this.#next] : undefined;
    return probe === undefined ? undefined : { method: "GET", port: "api", path: probe.path };
  }

  /** The answer to what was taken last; undefined where none came. */
  answered(answer: Answer | undefined): void {
    const probe = PROBES[this.#next++];
    if (probe === undefined || answer === undefined || this.found !== undefined) return;
    if (answer.status === 401 || answer.status === 403) this.isDenied = true;
    this.found = probe.knows(answer);
    if (probe.path === "/v1/models" && isGood(answer)) this.#isOpenAi = modelCards(jsonOf(answer)) !== undefined;
    if (this.#next === PROBES.length && this.#isOpenAi) this.found ??= { kind: "generic", version: "" };
  }
}

function isGood({ status }: Answer): boolean {
  return status >= 200 && status < 300;
}

function known(kind: RuntimeKind, version?: string): Identity {
  return { kind, version: version ?? "" };
}

/** TensorFlow Serving has no such path, and refuses it in words of its own. */
function byModels(answer: Answer): Identity | undefined {
  const json = jsonOf(answer);
  if (!isGood(answer)) {
    return wordsAt(json, "error").startsWith("Malformed request") ? known("tfserving") : undefined;
  }
  const cards = modelCards(json) ?? [];
  const kinds = new Set(cards.map(kindOf));
  const [kind] = kinds;
  return kinds.size === 1 && kind !== undefined ? known(kind) : undefined;
}

function kindOf({ ownedBy }: ModelCard): RuntimeKind | undefined {
  return Object.hasOwn(OWNERS, ownedBy) ? OWNERS[ownedBy] : undefined;
}

function byServerName(answer: Answer): Identity | undefined {
  if (!isGood(answer)) return undefined;
  const json = jsonOf(answer);
  const name = nameAt(json, "name");
  const version = nameAt(json, "version");
  if (name === undefined || version === undefined) return undefined;
  return known((Object.hasOwn(SERVERS, name) ? SERVERS[name] : undefined) ?? "kserve", version);
}

function byHello(answer: Answer): Identity | undefined {
  return isGood(answer) && startOf(answer, HELLO.length) === HELLO ? known("ollama") : undefined;
}

/** The server for embeddings of the same makers tells no limit of all tokens. */
function byInfo(answer: Answer): Identity | undefined {
  const json = isGood(answer) ? jsonOf(answer) : undefined;
  const isTgi = nameAt(json, "model_id") !== undefined && countAt(json, "max_total_tokens") !== undefined;
  return isTgi ? known("tgi", nameAt(json, "version")) : undefined;
}

function byProps(answer: Answer): Identity | undefined {
  const json = isGood(answer) ? jsonOf(answer) : undefined;
  const isRouter = textAt(json, "role") === "router" && nameAt(json, "build_info") !== undefined;
  const isServer =
    memberAt(json, "default_generation_settings") !== undefined && countAt(json, "total_slots") !== undefined;
  return isRouter || isServer ? known("llamacpp", nameAt(json, "build_info")) : undefined;
}

function byModelInfo(answer: Answer): Identity | undefined {
  const json = isGood(answer) ? jsonOf(answer) : undefined;
  const isSglang = nameAt(json, "model_path") !== undefined && memberAt(json, "is_generation") !== undefined;
  return isSglang ? known("sglang") : undefined;
}

function byDescription(answer: Answer): Identity | undefined {
  const json = isGood(answer) ? jsonOf(answer) : undefined;
  return wordsAt(json, "info", "title").startsWith("TorchServe")
    ? known("torchserve", nameAt(json, "info", "version"))
    : undefined;
}
