/**
 * What hardly ever changes of a node: who it is, its models and GPUs in the order in which their figures come, sizes.
 * A figure's place in a state means something only together with the description that the state's layout number names.
 *
 *     id, incarnation (2 varints), version, uptime (s)
 *     columns of a node, of a model, of a GPU (1 byte each)
 *     words: names of GPUs, MIG profiles and reasons of their health, spelt out once; the node's runtimes
 *     (runtime-words.ts); models that others adapt, and why models failed; throttle reasons
 *     models: name, KV capacity, slots
 *     GPUs: index, uuid, words for name and MIG profile, memory (MiB), power limit (W)
 *
 * Texts have a length before them, lists a count; a number that may be unknown is 0 or 1 more than it is.
 * Limits: 256 models and GPUs, 64 words, 16 throttle reasons, texts of 256 bytes. What is beyond them is left out at the sender,
 * and makes a description malformed at the receiver.
 */
import type { ByteReader, ByteWriter } from "../base/bytes.ts";
import type { GpuSample, ModelSample, NodeRuntime, NodeSample } from "../score/sample.ts";
import { GPU_COLUMNS, NODE_COLUMNS } from "./columns.ts";
import { MODEL_COLUMNS } from "./model-columns.ts";
import { MEBI } from "./quantity.ts";
import { runtimesIn, runtimeWords } from "./runtime-words.ts";

export const MODELS_MAX = 256;
export const GPUS_MAX = 256;
export const REASONS_MAX = 16;
const TEXT_BYTES_MAX = 256;
const WORDS_MAX = 64;
const COLUMNS_MAX = 32;
const HIGH = 2 ** 32;
const encoder = new TextEncoder();

export type DescribedModel = Pick<ModelSample, "model" | "kvCapacityTokens" | "slots">;
export type DescribedGpu = Pick<
  GpuSample,
  "index" | "uuid" | "name" | "migProfile" | "memoryTotalBytes" | "powerLimitWatts"
>;

export interface Description {
  readonly id: string;
  /** Grows with each start of the node. */
  readonly incarnation: number;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly nodeColumns: number;
  readonly modelColumns: number;
  readonly gpuColumns: number;
  /** Of the GPUs: names, MIG profiles, reasons of their health; then of the runtimes, then of the models. */
  readonly words: readonly string[];
  /** As the words tell of them. */
  readonly runtimes: readonly NodeRuntime[];
  readonly reasons: readonly string[];
  readonly models: readonly DescribedModel[];
  readonly gpus: readonly DescribedGpu[];
}

/** Figures in one state. */
export function figureCount(of: Description): number {
  return of.nodeColumns + of.models.length * of.modelColumns + of.gpus.length * of.gpuColumns;
}

/** What is of the GPUs. */
export type OfGpus = Pick<Description, "words" | "reasons" | "gpus">;

/**
 * The description of a sample; `ofGpus` is the part that is of its GPUs: they are read once a second, and a node is looked
 * at more often. Runtimes that are as they were before `keep` the message of then.
 */
export function describe(
  self: { readonly id: string; readonly incarnation: number },
  sample: NodeSample,
  ofGpus: OfGpus,
  keep: readonly NodeRuntime[] = [],
): Description {
  const told = runtimeWords(sample.runtimes.map((runtime) => withMessageOf(runtime, keep)));
  const words = [...ofGpus.words.slice(0, WORDS_MAX - told.length), ...told, ...modelWords(sample.models)];
  return {
    ...self,
    version: sample.version,
    uptimeSeconds: Math.round(sample.uptimeSeconds),
    nodeColumns: NODE_COLUMNS.length,
    modelColumns: MODEL_COLUMNS.length,
    gpuColumns: GPU_COLUMNS.length,
    words: words.slice(0, WORDS_MAX),
    runtimes: runtimesIn(told),
    reasons: ofGpus.reasons,
    models: sample.models.slice(0, MODELS_MAX).map(({ model, kvCapacityTokens, slots }) => ({
      model,
      kvCapacityTokens: whole(kvCapacityTokens),
      slots: whole(slots),
    })),
    gpus: ofGpus.gpus,
  };
}

function withMessageOf(runtime: NodeRuntime, before: readonly NodeRuntime[]): NodeRuntime {
  const { name, state, ready } = runtime;
  const former = before.find((one) => one.name === name);
  return former?.state === state && former.ready === ready ? { ...runtime, message: former.message } : runtime;
}

function modelWords(models: readonly ModelSample[]): Iterable<string> {
  const words = new Set<string>();
  for (const { parent, reason } of models) {
    if (parent !== undefined) words.add(parent);
    if (reason !== "") words.add(reason);
  }
  return words;
}

/** Throttle reasons that were known before keep their places. */
export function describeGpus(all: readonly GpuSample[], reasonsBefore: readonly string[]): OfGpus {
  const reasons = new Set([...reasonsBefore, ...all.flatMap(({ throttleReasons }) => throttleReasons)]);
  const gpus = all.slice(0, GPUS_MAX);
  return {
    words: wordsOf(gpus),
    reasons: [...reasons].slice(0, REASONS_MAX),
    gpus: gpus.map((gpu) => ({
      index: gpu.index,
      uuid: gpu.uuid,
      name: gpu.name,
      migProfile: gpu.migProfile,
      memoryTotalBytes: whole(gpu.memoryTotalBytes, MEBI),
      powerLimitWatts: whole(gpu.powerLimitWatts),
    })),
  };
}

/** Those without which the GPUs would be other ones come first. */
function wordsOf(gpus: readonly GpuSample[]): string[] {
  const named = gpus.flatMap(({ name, migProfile }) => [name, migProfile ?? ""]);
  const why = gpus.flatMap(({ healthReason }) => (healthReason === undefined ? [] : [healthReason]));
  return [...new Set([...named, ...why])].slice(0, WORDS_MAX);
}

/** As it travels, so that what is lost on the way makes no new description. */
function whole(value: number | undefined, unit = 1): number | undefined {
  return value === undefined || !(value >= 0) ? undefined : Math.min(HIGH - 2, Math.round(value / unit)) * unit;
}

/** Whether requests may go to the same runtimes of the node. */
export function isSameReach(a: Description, b: Description): boolean {
  return (
    a.runtimes.length === b.runtimes.length &&
    a.runtimes.every(({ name, ready, draining }, at) => {
      const other = b.runtimes[at];
      return name === other?.name && ready === other.ready && draining === other.draining;
    })
  );
}

/** Whether states of the one can be read with the other: all is the same but the time. */
export function isSameLayout(a: Description, b: Description): boolean {
  return (
    a.version === b.version &&
    sameItems(a.words, b.words) &&
    sameItems(a.reasons, b.reasons) &&
    a.models.length === b.models.length &&
    a.models.every((model, at) => sameFields(model, b.models[at])) &&
    (a.gpus === b.gpus || (a.gpus.length === b.gpus.length && a.gpus.every((gpu, at) => sameFields(gpu, b.gpus[at]))))
  );
}

export function writeDescription(writer: ByteWriter, of: Description): void {
  const word = (text: string): void => writer.varint(1 + of.words.indexOf(text));
  const text = (value: string): void => writer.text(cut(value));
  text(of.id);
  writer.reserve(64);
  writer.varint(Math.floor(of.incarnation / HIGH));
  writer.varint(of.incarnation % HIGH);
  text(of.version);
  writer.reserve(64);
  writer.varint(Math.min(HIGH - 1, of.uptimeSeconds));
  for (const count of [of.nodeColumns, of.modelColumns, of.gpuColumns]) writer.byte(count);
  for (const items of [of.words, of.reasons]) {
    writer.reserve(8);
    writer.varint(items.length);
    for (const item of items) text(item);
  }
  writer.reserve(8);
  writer.varint(of.models.length);
  for (const { model, kvCapacityTokens, slots } of of.models) {
    text(model);
    writer.reserve(32);
    writer.varint(perhaps(kvCapacityTokens));
    writer.varint(perhaps(slots));
  }
  writer.varint(of.gpus.length);
  for (const gpu of of.gpus) {
    writer.reserve(64);
    writer.varint(perhaps(gpu.index));
    text(gpu.uuid);
    writer.reserve(64);
    word(gpu.name);
    word(gpu.migProfile ?? "");
    writer.varint(perhaps(gpu.memoryTotalBytes === undefined ? undefined : gpu.memoryTotalBytes / MEBI));
    writer.varint(perhaps(gpu.powerLimitWatts));
  }
}

/** Undefined for what is none; the reader stands behind it otherwise. */
export function readDescription(reader: ByteReader): Description | undefined {
  const id = reader.text(TEXT_BYTES_MAX);
  const incarnation = reader.varint() * HIGH + reader.varint();
  const version = reader.text(TEXT_BYTES_MAX);
  const uptimeSeconds = reader.varint();
  const [nodeColumns, modelColumns, gpuColumns] = [reader.byte(), reader.byte(), reader.byte()];
  if (Math.max(nodeColumns, modelColumns, gpuColumns) > COLUMNS_MAX) return undefined;
  const words = list(reader, WORDS_MAX, () => reader.text(TEXT_BYTES_MAX));
  const reasons = list(reader, REASONS_MAX, () => reader.text(TEXT_BYTES_MAX));
  const models = list(reader, MODELS_MAX, (): DescribedModel => {
    const model = reader.text(TEXT_BYTES_MAX);
    return { model, kvCapacityTokens: known(reader), slots: known(reader) };
  });
  const word = (): string => words[reader.varint() - 1] ?? "";
  const gpus = list(reader, GPUS_MAX, (): DescribedGpu => {
    const index = known(reader) ?? 0;
    const uuid = reader.text(TEXT_BYTES_MAX);
    const name = word();
    const migProfile = word();
    const memoryMebi = known(reader);
    return {
      index,
      uuid,
      name,
      migProfile: migProfile === "" ? undefined : migProfile,
      memoryTotalBytes: memoryMebi === undefined ? undefined : memoryMebi * MEBI,
      powerLimitWatts: known(reader),
    };
  });
  if (reader.bad || id === "" || !Number.isSafeInteger(incarnation)) return undefined;
  return {
    id,
    incarnation,
    version,
    uptimeSeconds,
    nodeColumns,
    modelColumns,
    gpuColumns,
    words,
    runtimes: runtimesIn(words),
    reasons,
    models,
    gpus,
  };
}

function list<Item>(reader: ByteReader, max: number, item: () => Item): Item[] {
  const count = reader.varint();
  if (count > max) reader.fail();
  const items: Item[] = [];
  for (let left = count; left > 0 && !reader.bad; left -= 1) items.push(item());
  return items;
}

function perhaps(value: number | undefined): number {
  return value === undefined || !(value >= 0) ? 0 : 1 + Math.min(HIGH - 2, Math.round(value));
}

function known(reader: ByteReader): number | undefined {
  const value = reader.varint();
  return value === 0 ? undefined : value - 1;
}

/** At most so many bytes of UTF-8, whole characters. */
function cut(text: string): string {
  if (text.length * 3 <= TEXT_BYTES_MAX) return text;
  const { read } = encoder.encodeInto(text, new Uint8Array(TEXT_BYTES_MAX));
  return text.slice(0, read);
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((item, at) => item === b[at]));
}

function sameFields<T extends object>(a: T, b: T | undefined): boolean {
  return b !== undefined && (Object.keys(a) as (keyof T)[]).every((key) => a[key] === b[key]);
}
