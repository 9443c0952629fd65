/**
 * The one place that knows where everything lies in the score table and in a pick request. scripts/build-native.ts
 * writes these numbers as a C header, and `layoutWord()` is compiled into the library and compared when it is opened,
 * so the two languages cannot drift apart.
 *
 * The table, one SharedArrayBuffer (all numbers in the machine's byte order, which is little-endian where we run):
 *
 *   offset 0       header, 64 words of 4 bytes      HEADER.*
 *          256     first block of each model, int32, block + 1 or 0; padded to a whole page
 *          blocks  one page of 4,096 bytes for each 64 rows: 16 columns of 64 values of 4 bytes
 *          slots   for each worker: in-flight requests of every row (int32), then in-flight tokens of every row (int32)
 *
 * A block holds, at byte 256 * column + 4 * lane, where row = 64 * block + lane:
 *
 *   byte 0     secondsPerPrefillToken    float32
 *        256   secondsPerActive          float32
 *        512   slots                     float32   requests
 *        768   secondsPerQueuedRequest   float32
 *        1024  kvOffset                  float32   square root of seconds; 0 at the knee
 *        1280  kvPerToken                float32   the same, for each token
 *        1536  penaltySeconds            float32
 *        1792  capacity                  float32   requests; 0: not routable
 *        2048  activeRequests            int32     in flight + activeOffset; Atomics, any thread
 *        2304  queuedTokens              int32     in flight + tokenOffset; Atomics, any thread
 *        2560  ejectedUntil              int32     Atomics, any thread; deciseconds
 *        2816  activeOffset              int32     what of activeRequests is not in flight; main thread
 *        3072  tokenOffset               int32     what of queuedTokens is not in flight; main thread
 *        3328  generation                int32     counts the targets that the row was given to and taken from
 *        3584  askedAt                   int32     when a request last asked it for a load report; Atomics; deciseconds
 *        3840  the block's own words     int32     BLOCK_WORD.*
 *
 * A scan reads the first eleven columns only: at 1,024 rows and more its speed is that of the second-level cache.
 * A page a block means that a scan touches nothing but rows in use, and that memory is spent only where rows are.
 *
 * A pick request, 96 bytes in an ArrayBuffer of its own:
 *
 *   byte 0   address of the table    u64       set by the C picker
 *        8   model                   int32
 *        12  promptTokens            float32
 *        16  nowDeciseconds          int32
 *        20  seed                    u32
 *        24  excludedCount           int32
 *        28  missWeight              float32   how much dearer a loaded row's own tokens are
 *        32  excluded[8]             int32     rows
 *        64  cost                    float32   answer: seconds
 *        68  ties                    int32     answer
 *        72  torn                    int32     answer: blocks that a writer kept changing
 *        76  cachedTokens            float32   answer: what the row picked has of the prompt already
 *        80  prefix                  u64       address of a question to the prefix index (prefix-layout.ts); 0: none
 */

import { LOOKUP, PREFIX_HEADER, PREFIX_ROW, SET, prefixConstants } from "./prefix-layout.ts";

/** Changes with the meaning of what lies here; mere moves are seen by `layoutWord`. */
const ABI_VERSION = 1;

export const BLOCK_ROWS = 64;
const BLOCK_ROWS_LOG2 = 6;
const COLUMNS = 16;
export const BLOCK_WORDS = BLOCK_ROWS * COLUMNS;
const PAGE_BYTES = 4096;
/** A pick keeps a few bytes on the C stack for each block that it may look at. */
export const BLOCKS_MAX = 1024;
export const ROWS_MAX = BLOCKS_MAX * BLOCK_ROWS;
export const EXCLUDED_MAX = 8;
/** Attempts to read a block that a writer is changing, before it is taken as it is. */
export const READ_ATTEMPTS = 16;

/** Words of the header. */
export const HEADER = {
  layout: 0,
  rowsMax: 1,
  modelsMax: 2,
  workersMax: 3,
  blocksWord: 4,
  slotsWord: 5,
  /** One more than the highest worker that ever began a request. */
  workersSeen: 6,
  /** Unix seconds at which deciseconds start; 0 until the first use. */
  epochSeconds: 7,
  writerTaken: 8,
} as const;
export const MODELS_WORD = 64;

/** First word of each column in a block. */
export const COLUMN = {
  secondsPerPrefillToken: 0,
  secondsPerActive: 64,
  slots: 128,
  secondsPerQueuedRequest: 192,
  kvOffset: 256,
  kvPerToken: 320,
  penaltySeconds: 384,
  capacity: 448,
  activeRequests: 512,
  queuedTokens: 576,
  ejectedUntil: 640,
  activeOffset: 704,
  tokenOffset: 768,
  generation: 832,
  askedAt: 896,
} as const;

/** Columns of figures by which a row's cost follows from its load. */
export const COST_COLUMNS = [
  "secondsPerPrefillToken",
  "secondsPerActive",
  "slots",
  "secondsPerQueuedRequest",
  "kvOffset",
  "kvPerToken",
  "penaltySeconds",
] as const satisfies readonly (keyof typeof COLUMN)[];

/** Words of a block that describe the block itself, in place of a sixteenth column. */
export const BLOCK_WORD = {
  /** Odd while the main thread writes. */
  sequence: 960,
  /** The model's next block + 1, or 0. */
  next: 961,
  /** One more than the highest lane in use. */
  used: 962,
  /** The model + 1, or 0 while the block is in the pool. */
  model: 963,
  /** A bit for each lane, in two words: it tells how fast it computes prompts; and its KV cache is full. Main thread. */
  paced: 964,
  kvFull: 966,
} as const;

/** Bytes of a pick request. */
export const REQUEST = {
  table: 0,
  model: 8,
  promptTokens: 12,
  nowDeciseconds: 16,
  seed: 20,
  excludedCount: 24,
  missWeight: 28,
  excluded: 32,
  cost: 64,
  ties: 68,
  torn: 72,
  cachedTokens: 76,
  prefix: 80,
  size: 96,
} as const;

export const NO_TARGET = -1;
export const ALL_FULL = -2;
export const ALL_EJECTED = -3;

/** Every number of this file under the name that the C side uses. */
export function layoutConstants(): ReadonlyMap<string, number> {
  const constants = new Map<string, number>([
    ["ABI_VERSION", ABI_VERSION],
    ["BLOCK_ROWS", BLOCK_ROWS],
    ["BLOCK_WORDS", BLOCK_WORDS],
    ["BLOCKS_MAX", BLOCKS_MAX],
    ["EXCLUDED_MAX", EXCLUDED_MAX],
    ["READ_ATTEMPTS", READ_ATTEMPTS],
    ["MODELS_WORD", MODELS_WORD],
    ["NO_TARGET", NO_TARGET],
    ["ALL_FULL", ALL_FULL],
    ["ALL_EJECTED", ALL_EJECTED],
    ...prefixConstants(),
  ]);
  const groups = { HEADER, COLUMN, BLOCK: BLOCK_WORD, REQUEST, PREFIX_HEADER, PREFIX_ROW, SET, LOOKUP };
  for (const [group, words] of Object.entries(groups)) {
    for (const [name, value] of Object.entries(words)) constants.set(`${group}_${screaming(name)}`, value);
  }
  return constants;
}

/** One word over all names and numbers (FNV-1a): equal where both sides were made from the same layout. */
export function layoutWord(): number {
  let hash = 0x811c9dc5;
  for (const [name, value] of layoutConstants()) {
    for (const char of `${name}=${value};`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  }
  return hash | 0;
}

function screaming(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

export interface TableShape {
  readonly rowsMax: number;
  readonly modelsMax: number;
  readonly workersMax: number;
}

/** Words of a row beside its block, for strategies other than the scan (row-sides.ts). */
export const SIDE = {
  waiting: 0,
  kvUsage: 1,
  pricePerHour: 2,
  stepSeconds: 3,
  running: 4,
  atOnceSeconds: 5,
  contextTokens: 6,
  isAway: 7,
} as const;
export const SIDE_WORDS = 8;

/** Where the parts of a table of that size begin, in words, and how long it is. */
export function tableParts(shape: TableShape): {
  readonly blocksWord: number;
  readonly slotsWord: number;
  readonly sidesWord: number;
  readonly bytes: number;
} {
  const { rowsMax, modelsMax, workersMax } = shape;
  const blocksWord = Math.ceil(((MODELS_WORD + modelsMax) * 4) / PAGE_BYTES) * (PAGE_BYTES / 4);
  const slotsWord = blocksWord + (rowsMax / BLOCK_ROWS) * BLOCK_WORDS;
  const sidesWord = slotsWord + workersMax * rowsMax * 2;
  return { blocksWord, slotsWord, sidesWord, bytes: (sidesWord + rowsMax * (SIDE_WORDS + workersMax)) * 4 };
}

/** The word at which a row's value of a column lies, less the start of the blocks. */
export function rowWord(row: number): number {
  return (row >>> BLOCK_ROWS_LOG2) * BLOCK_WORDS + (row & (BLOCK_ROWS - 1));
}
