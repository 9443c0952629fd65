/**
 * What an engine tells of its KV cache: blocks that it stored, blocks that it dropped, all cleared. Blocks are named by
 * the engine's own hashes, as keys for maps (msgpack.ts); what they hold is told once, when they are stored.
 */

/** Where a block lies; a block may lie at several places, so these are bits. */
export const MEDIUM = { gpu: 1, cpu: 2, disk: 4, remote: 8 } as const;
export const MEDIA_ALL = 15;

export interface StoredEvent {
  readonly kind: "stored";
  readonly hashes: readonly string[];
  /** undefined: nothing comes before the first block, or the engine does not tell. */
  readonly parent: string | undefined;
  /** "" for the base model. */
  readonly adapter: string;
  /** Of all the blocks, one after the other; empty where the engine only tells that blocks lie somewhere else too. */
  readonly tokens: Uint32Array;
  /** How many tokens a block has; the last one may have fewer. */
  readonly blockTokens: number;
  readonly medium: number;
  /** What else went into each block (images, a salt), hashed; 0 for nothing. Empty where nothing did anywhere. */
  readonly extras: readonly number[];
  /** Engines with several kinds of attention keep a cache for each, and tell of each. */
  readonly group: number | undefined;
  /** Whether that group's blocks hold whole prefixes. */
  readonly isWhole: boolean;
}

export interface RemovedEvent {
  readonly kind: "removed";
  readonly hashes: readonly string[];
  readonly medium: number;
  readonly group: number | undefined;
}

export interface ClearedEvent {
  readonly kind: "cleared";
}

export type KvEvent = StoredEvent | RemovedEvent | ClearedEvent;

export interface KvBatch {
  readonly events: readonly KvEvent[];
  /** The engine's data-parallel rank, where it tells. */
  readonly rank: number | undefined;
  /** Events of kinds that are not known here. */
  readonly unknown: number;
}

/** By the names that vLLM and SGLang use; nothing told is the GPU, as it was before there were others. */
export function mediumOf(name: string | undefined, isRemote: boolean): number {
  if (isRemote) return MEDIUM.remote;
  const upper = (name ?? "GPU").toUpperCase();
  if (upper === "GPU") return MEDIUM.gpu;
  if (upper.startsWith("CPU")) return MEDIUM.cpu;
  return /^(?:DISK|STORAGE|SSD|NVME|FS)/.test(upper) ? MEDIUM.disk : MEDIUM.remote;
}
