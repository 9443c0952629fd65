/**
 * Which GPU somebody means: by its index, its UUID or that of one of its MIG slices, or the beginning of one that no other
 * GPU has. `INDEX@NODE` says the node too. Cases don't differ, since people copy from tools that write them differently.
 */
import { nearest } from "../base/nearest.ts";

export interface NamedGpu {
  readonly index: number;
  readonly uuid: string;
  /** UUIDs of its MIG slices. */
  readonly slices: readonly string[];
}

/** What a word comes to among GPUs. */
export type GpuMatch<T> =
  | { readonly kind: "one"; readonly gpu: T }
  /** In their order. */
  | { readonly kind: "several"; readonly gpus: readonly T[] }
  /** `near`: the name that was probably meant. */
  | { readonly kind: "none"; readonly near: string | undefined };

/** Longer ones name nothing. */
export const GPU_NAME_LENGTH_MAX = 256;
const INDEX = /^\d{1,6}$/;
/** Of a UUID, for what stands for the whole. */
const PREFIX_LENGTH_MIN = 3;

/** `GPU@NODE` in its parts; "" for a node that is not said. */
export function gpuAndNode(word: string): { readonly gpu: string; readonly node: string } {
  const at = word.indexOf("@");
  return at < 0 ? { gpu: word, node: "" } : { gpu: word.slice(0, at), node: word.slice(at + 1) };
}

export function matchGpu<T extends NamedGpu>(word: string, gpus: readonly T[]): GpuMatch<T> {
  const wanted = word.length > GPU_NAME_LENGTH_MAX ? "" : word.toLowerCase();
  const found = INDEX.test(wanted) ? byIndex(Number(wanted), gpus) : byUuid(wanted, gpus);
  const [gpu, second] = found;
  if (gpu === undefined) return { kind: "none", near: nearest(word, gpus.flatMap(namesOf)) };
  return second === undefined ? { kind: "one", gpu } : { kind: "several", gpus: found };
}

function byIndex<T extends NamedGpu>(index: number, gpus: readonly T[]): readonly T[] {
  return gpus.filter((gpu) => gpu.index === index);
}

function byUuid<T extends NamedGpu>(wanted: string, gpus: readonly T[]): readonly T[] {
  if (wanted === "") return [];
  const whole = gpus.filter((gpu) => namesOf(gpu).some((name) => name.toLowerCase() === wanted));
  if (whole.length > 0 || wanted.length < PREFIX_LENGTH_MIN) return whole;
  return gpus.filter((gpu) => namesOf(gpu).some((name) => beginsWith(name.toLowerCase(), wanted)));
}

/** "3f2a" is as good as "GPU-3f2a": all UUIDs of a vendor begin alike. */
function beginsWith(name: string, wanted: string): boolean {
  return name.startsWith(wanted) || name.slice(name.indexOf("-") + 1).startsWith(wanted);
}

function namesOf({ uuid, slices }: NamedGpu): readonly string[] {
  return [uuid, ...slices];
}
