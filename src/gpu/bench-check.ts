/**
 * Small tasks of which the right result is known, so that a kernel that computes something else is noticed before its speed
 * is reported. Numbers are small whole ones, of which float16, float32 and their sums are exact: a result is right to
 * the bit or wrong. Only chains round, and may differ in the last places.
 */
import { Prng } from "../base/prng.ts";
import {
  BLOCK_BYTES,
  BLOCK_THREADS,
  CHAINS,
  CHAIN_FACTOR,
  CHAIN_STEPS,
  CHAIN_STRIDE,
  CHAIN_TERM,
  TRIAD_FACTOR,
} from "./bench-kernels.ts";
import { TILE } from "./bench-product.ts";

const SEED = 20_260_101;
/** Numbers of a product are whole and no larger, so that its sums stay below 2^24, up to which float32 is exact. */
const NUMBER_MAX = 8;
/** Relative: float32 has 2^-24, and a chain's steps forget what was before. */
const CHAIN_TOLERANCE = 1e-5;

/** Four tiles of C; five steps along K, so that each of the three buffers is filled again. */
export const PRODUCT_CHECK = { m: 2 * TILE, n: 2 * TILE, k: 160 } as const;
export const MEMORY_CHECK_BYTES = 4 * BLOCK_BYTES;
export const CHAIN_CHECK = { blocks: 2, loops: 3 } as const;

export interface ProductTask {
  /** Bits of float16: rows of A, and columns of B. */
  readonly a: Uint16Array<ArrayBuffer>;
  readonly b: Uint16Array<ArrayBuffer>;
  readonly expected: Float32Array<ArrayBuffer>;
}

export function productTask({ m, n, k }: { readonly m: number; readonly n: number; readonly k: number }): ProductTask {
  const prng = new Prng(SEED);
  const numbers = (count: number): Int8Array =>
    Int8Array.from({ length: count }, () => prng.int(2 * NUMBER_MAX + 1) - NUMBER_MAX);
  const [a, b] = [numbers(m * k), numbers(n * k)];
  const expected = new Float32Array(new ArrayBuffer(m * n * 4));
  for (let row = 0; row < m; row += 1) {
    for (let column = 0; column < n; column += 1) {
      let sum = 0;
      for (let at = 0; at < k; at += 1) sum += a[row * k + at]! * b[column * k + at]!;
      expected[row * n + column] = sum;
    }
  }
  return { a: halves(a), b: halves(b), expected };
}

function halves(numbers: Int8Array): Uint16Array<ArrayBuffer> {
  const bits = new DataView(new ArrayBuffer(numbers.length * 2));
  for (const [at, number] of numbers.entries()) bits.setFloat16(at * 2, number, true);
  return new Uint16Array(bits.buffer);
}

/** Whole numbers as float32, for copies and triads. */
export function memoryTask(): { readonly [name in "b" | "c" | "triad"]: Float32Array<ArrayBuffer> } {
  const prng = new Prng(SEED + 1);
  const numbers = (): Float32Array<ArrayBuffer> => {
    const all = new Float32Array(new ArrayBuffer(MEMORY_CHECK_BYTES));
    for (let at = 0; at < all.length; at += 1) all[at] = prng.int(1 << 20) - (1 << 19);
    return all;
  };
  const [b, c] = [numbers(), numbers()];
  const triad = new Float32Array(new ArrayBuffer(MEMORY_CHECK_BYTES));
  for (let at = 0; at < triad.length; at += 1) triad[at] = b[at]! + TRIAD_FACTOR * c[at]!;
  return { b, c, triad };
}

/** What each thread's chains sum up to. */
export function chainSums({ blocks, loops }: typeof CHAIN_CHECK): Float32Array<ArrayBuffer> {
  const sums = new Float32Array(new ArrayBuffer(blocks * BLOCK_THREADS * 4));
  for (let thread = 0; thread < sums.length; thread += 1) {
    let sum = 0;
    let start = Math.fround(thread * CHAIN_STRIDE);
    for (let chain = 0; chain < CHAINS; chain += 1) {
      let x = start;
      for (let step = 0; step < loops * CHAIN_STEPS; step += 1) x = Math.fround(x * CHAIN_FACTOR + CHAIN_TERM);
      sum = Math.fround(sum + x);
      start = Math.fround(start + 1);
    }
    sums[thread] = sum;
  }
  return sums;
}

/** What is wrong, in words; undefined where nothing is. */
export function differenceOf(
  found: Float32Array,
  expected: Float32Array,
  tolerance: "exact" | "chain" = "exact",
): string | undefined {
  const margin = tolerance === "exact" ? 0 : CHAIN_TOLERANCE;
  let wrong = 0;
  let first = -1;
  for (const [at, right] of expected.entries()) {
    // Also what is no number is wrong.
    if (Math.abs((found[at] ?? Number.NaN) - right) <= margin * Math.abs(right)) continue;
    wrong += 1;
    if (first < 0) first = at;
  }
  if (wrong === 0) return undefined;
  return `${wrong} of ${expected.length} numbers are wrong, the first at ${first}: ${found[first]} in place of ${expected[first]}`;
}
