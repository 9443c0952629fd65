/**
 * Ollama. It has no metrics; /api/tags is what it could load, /api/ps what is in memory. What is special about it:
 *
 * - A model is loaded by a request without a prompt, and let go by one with keep_alive 0; keep_alive -1 keeps it until
 *   then, and later requests that say nothing of it leave it so. Models for embeddings refuse the empty prompt: they are
 *   loaded through /api/embed.
 * - What it does not have is pulled from a registry first, with progress in lines of JSON. Its status is 200 before
 *   anything is known, so an error is a line too.
 * - A request for a model that is not in memory has it loaded, and another one let go where there is no room for both.
 *   What is in memory may be on its way there still: it is listed as soon as that begins.
 * - A name without a tag means `:latest`: such models are found by both names.
 */
import type { Answer, Ask, LoadOptions, ModelCall, Progress, Proof } from "./adapter.ts";
import { complaint, countAt, itemsAt, jsonIn, jsonOf, nameAt, numberAt, words, wordsAt } from "./json-answer.ts";
import { callOf, isGood, LOAD_PATIENCE_MS, post } from "./model-plans.ts";
import { capabilitiesOf } from "./openai-models.ts";
import { provesLoaded } from "./proofs.ts";
import type { ModelReading, RuntimeReading } from "./reading.ts";
import type { Capability } from "../base/runtime-terms.ts";
import { type AdapterTable, get, type ModelTold, type Refusal, type Told } from "./table.ts";

const LATEST = ":latest";
/** Of several hundred gigabytes over a slow line. */
const PULL_PATIENCE_MS = 12 * 3600_000;
const LINE_CHARS_MAX = 4096;
/** Where the last line of a long answer begins, at the earliest. */
const TAIL_BYTES = 16_384;
const PULL = "/api/pull";
const RUNNING = "/api/ps";
/** What is pulled or removed changes seldom; what is in memory is looked at each interval. */
const TAGS_EVERY_MS = 20_000;

export const OLLAMA: AdapterTable = {
  kind: "ollama",
  title: "Ollama",
  ports: { api: 11_434 },
  sources: ["ollama/ollama api/types.go, server/routes.go, docs/api.md (0.1.38 to 0.33)"],
  looks: [
    get("identity", "/api/version", { read: readVersion }),
    get("health", "/"),
    get("models", "/api/tags", { read: readTags, everyMs: TAGS_EVERY_MS }),
    get("models", RUNNING, { read: readRunning }),
  ],
  finish: named,
  load,
  unload: (model) =>
    callOf({
      verb: "unload",
      model: tagged(model),
      asks: [post("/api/generate", { model: tagged(model), stream: false, keep_alive: 0 })],
      // What is not there is not in memory either.
      advice: (said, { status }) => (status === 404 ? "" : `Ollama did not unload ${model}: ${said}`),
    }),
};

function readVersion(answer: Answer): Told | Refusal {
  const version = nameAt(jsonOf(answer), "version");
  return version === undefined ? { kind: "foreign", message: "it tells no version, as Ollama does" } : { version };
}

function readTags(answer: Answer): Told | Refusal {
  return readList(answer, (item) => ({
    state: "available",
    loadsOnDemand: true,
    sizeBytes: countAt(item, "size"),
    capabilities: abilitiesOf(item),
    contextTokensMax: countAt(item, "details", "context_length"),
  }));
}

/** What is in memory: the context is the one that it has there. */
function readRunning(answer: Answer): Told | Refusal {
  return readList(answer, (item) => {
    const contextTokensMax = countAt(item, "context_length");
    return { state: "loaded", ...(contextTokensMax === undefined ? {} : { contextTokensMax }) };
  });
}

function readList(answer: Answer, told: (item: unknown) => Omit<ModelTold, "model">): Told | Refusal {
  const items = itemsAt(jsonOf(answer), "models");
  if (items === undefined) return { kind: "unreadable", message: "it is no list of models" };
  return {
    models: items.flatMap((item) => {
      const model = nameAt(item, "model") ?? nameAt(item, "name");
      return model === undefined ? [] : [{ model, ...told(item) }];
    }),
  };
}

/** Older ones list no capabilities; families with "bert" in their names are for embeddings alone. */
function abilitiesOf(item: unknown): readonly Capability[] {
  const listed = itemsAt(item, "capabilities");
  if (listed !== undefined) return capabilitiesOf(listed);
  return nameAt(item, "details", "family")?.includes("bert") === true ? ["embeddings"] : [];
}

/** By their short names too. */
function named(reading: RuntimeReading): RuntimeReading {
  const both = (model: ModelReading): readonly ModelReading[] =>
    namesOf(model.model).map((name) => (name === model.model ? model : { ...model, model: name }));
  return { ...reading, models: reading.models.flatMap(both) };
}

function namesOf(model: string): readonly string[] {
  return model.endsWith(LATEST) ? [model, model.slice(0, -LATEST.length)] : [model];
}

/** The tag stands behind the last slash: a registry's port has a colon too. */
function tagged(model: string): string {
  return model.slice(model.lastIndexOf("/") + 1).includes(":") ? model : model + LATEST;
}

function load(model: string, { source }: LoadOptions, { models }: RuntimeReading): ModelCall {
  const name = tagged(source === "" ? model : source);
  const here = models.find((reading) => reading.model === name);
  const abilities = here?.capabilities ?? [];
  const isForEmbeddings = abilities.length > 0 && abilities.every((ability) => ability === "embeddings");
  const asks: readonly Ask[] = [
    ...(here === undefined ? [post(PULL, { model: name, stream: true })] : []),
    isForEmbeddings
      ? post("/api/embed", { model: name, input: [], keep_alive: -1 })
      : post("/api/generate", { model: name, stream: false, keep_alive: -1 }),
  ];
  const patienceMs = here === undefined ? PULL_PATIENCE_MS : LOAD_PATIENCE_MS;
  // What was pulled just now is in no list yet, nor is what is known of it.
  const proof = (): Proof | undefined =>
    here === undefined ? undefined : { ...provesLoaded(namesOf(name)), toldBy: [RUNNING] };
  const call = callOf({ verb: "load", model: name, asks, patienceMs, progress: pullProgress, advice, proof });
  return {
    ...call,
    fault: (answer, index) => (asks[index]?.path === PULL ? pullFault(answer, name) : call.fault(answer, index)),
  };

  function advice(said: string): string {
    const told = `Ollama did not load ${name}: ${said}`;
    return said.includes("does not support generate")
      ? `${told}; it is for embeddings: now that it is pulled, ask for it again`
      : told;
  }
}

/** Of a layer, or of what comes before and after them. */
function pullProgress(line: string): Progress | undefined {
  if (line.length > LINE_CHARS_MAX) return undefined;
  const json = jsonIn(line);
  const text = wordsAt(json, "status");
  if (text === "") return undefined;
  const total = countAt(json, "total");
  const done = numberAt(json, "completed") ?? 0;
  return total === undefined ? { text } : { text, fraction: Math.min(1, done / total) };
}

function pullFault(answer: Answer, name: string): string {
  const advice = "; see that this machine reaches the registry and that the name is right (ollama pull does the same)";
  if (!isGood(answer)) return `Ollama can't pull ${name}: ${complaint(answer)}${advice}`;
  const last = lastLine(answer.body);
  const json = jsonIn(last);
  const error = wordsAt(json, "error");
  if (error !== "") return `Ollama can't pull ${name}: ${error}${advice}`;
  if (wordsAt(json, "status") === "success") return "";
  return `Ollama stopped pulling ${name} at "${words(last)}"; ask for it again: it goes on where it stopped`;
}

function lastLine(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(Math.max(0, body.length - TAIL_BYTES)));
  return text.trimEnd().split("\n").at(-1) ?? "";
}
