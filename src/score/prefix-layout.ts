/**
 * Where everything lies in the prefix index and in a question to it; part of what `layoutWord()` covers, as layout.ts.
 *
 * The index, one SharedArrayBuffer of words of 4 bytes:
 *
 *   word 0    header, 64 words            PREFIX_HEADER.*
 *        64   rows, 4 words each          PREFIX_ROW.*
 *        ...  sets, 32 words each, at a multiple of 32: four entries side by side
 *
 *   word 0    hi[4]        upper half of a block's hash, its sign bit set; 0: empty; 1 and more: a worker is writing
 *        4    lo[4]        lower half
 *        8    stamp[4]     the note that last touched it
 *        12   holders[20]  five of each: row in 16 bits, its life in 4, its stamp in 12; 0: none
 *
 * What is known of a block beyond its first five holders lies in entries of their own, found by `lo + k * step`, where
 * `k` is 1 to 16 by the row.
 */

/** Bytes of a prompt that make a block, 256 tokens or so: a match is told in such. */
export const PREFIX_BLOCK_BYTES = 1024;
/** Blocks of one prompt; what is behind them is not looked at. */
export const PREFIX_BLOCKS_MAX = 512;
export const WAYS = 4;
export const HOLDERS = 5;
export const SET_WORDS = 32;
/** Further entries of a block that many rows hold: each row has its own of these. */
export const FURTHER_MAX = 16;
export const FURTHER_STEP = 0x1e3779b1;
/** So many blocks in a row that nobody is known to hold count as the end of what is known. */
export const HOLES_MAX = 4;
/** A row's capacity is counted in so many steps. */
export const CAPACITY_STEPS = 16;
export const LIFE_SHIFT = 12;
export const LIVES = 15;
export const STAMP_MASK = 4095;
export const ROW_SHIFT = 16;

export const PREFIX_HEADER = {
  layout: 0,
  sets: 1,
  rowsMax: 2,
  setsWord: 3,
  /** Counts notes. */
  tick: 4,
  entries: 5,
  evictions: 6,
  /** How many other routers want to hear of notes. */
  peers: 7,
} as const;
export const PREFIX_ROWS_WORD = 64;
export const PREFIX_ROW_WORDS = 4;
export const PREFIX_ROW = {
  /** 1 to 15, another one whenever what the row holds is forgotten; 0: it never held anything. */
  life: 0,
  /** Blocks that it had to compute so far. */
  volume: 1,
  /** Blocks of volume that make a step of its stamp: a sixteenth of what its cache holds. */
  unit: 2,
  /** Steps so far, of which holders keep the lower 12 bits. */
  stamp: 3,
} as const;
export const SET = { hi: 0, lo: 4, stamp: 8, holders: 12 } as const;

/** Bytes of a question: which rows hold how much of a prompt. */
export const LOOKUP = {
  index: 0,
  chain: 8,
  cached: 16,
  touched: 24,
  blocks: 32,
  tokensPerBlock: 36,
  tokensLess: 40,
  touchedCount: 44,
  size: 48,
} as const;

export function prefixConstants(): ReadonlyMap<string, number> {
  return new Map([
    ["PREFIX_BLOCK_BYTES", PREFIX_BLOCK_BYTES],
    ["PREFIX_BLOCKS_MAX", PREFIX_BLOCKS_MAX],
    ["WAYS", WAYS],
    ["HOLDERS", HOLDERS],
    ["SET_WORDS", SET_WORDS],
    ["FURTHER_MAX", FURTHER_MAX],
    ["FURTHER_STEP", FURTHER_STEP],
    ["HOLES_MAX", HOLES_MAX],
    ["CAPACITY_STEPS", CAPACITY_STEPS],
    ["LIFE_SHIFT", LIFE_SHIFT],
    ["LIVES", LIVES],
    ["STAMP_MASK", STAMP_MASK],
    ["ROW_SHIFT", ROW_SHIFT],
    ["PREFIX_ROWS_WORD", PREFIX_ROWS_WORD],
    ["PREFIX_ROW_WORDS", PREFIX_ROW_WORDS],
  ]);
}
