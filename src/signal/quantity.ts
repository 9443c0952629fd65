/**
 * Figures as small whole numbers ("codes"), so that one takes a byte or two and that two of them can be told to be
 * alike. 0 always means "not known"; what is known begins at 1.
 *
 *     count    exact, up to 2^31
 *     size     exact below 256 units, then with 8 significant bits: wrong by 0.4 % at most
 *     share    a fraction of 0..1 in steps of 0.4 %
 *     degrees  whole degrees Celsius from -100 on
 */

/** Bytes of memory travel in these. */
export const MEBI = 2 ** 20;

export type Quantity = "count" | "size" | "share" | "degrees";

const COUNT_MAX = 2 ** 31;
const SIZE_EXACT = 256;
const SIZE_STEPS = SIZE_EXACT / 2;
const SIZE_EXPONENT_MAX = 40;
const SHARE_STEPS = 250;
const DEGREES_ZERO = 100;
const DEGREES_MAX = 1000;

/** The code of a figure, given in `unit`s of a size. */
export function encode(quantity: Quantity, value: number | undefined, unit = 1): number {
  if (value === undefined || Number.isNaN(value)) return 0;
  if (quantity === "count") return 1 + Math.min(COUNT_MAX, Math.max(0, Math.round(value)));
  if (quantity === "size") return 1 + sizeStep(value / unit);
  if (quantity === "share") return 1 + Math.round(Math.min(1, Math.max(0, value)) * SHARE_STEPS);
  return 1 + Math.round(Math.min(DEGREES_MAX, Math.max(0, value + DEGREES_ZERO)));
}

/** What a code stands for; undefined for 0, and for what no figure has. */
export function decode(quantity: Quantity, code: number, unit = 1): number | undefined {
  const step = code - 1;
  if (step < 0) return undefined;
  if (quantity === "count") return step <= COUNT_MAX ? step : undefined;
  if (quantity === "size") return sizeOf(step, unit);
  if (quantity === "share") return step <= SHARE_STEPS ? step / SHARE_STEPS : undefined;
  return step <= DEGREES_MAX ? step - DEGREES_ZERO : undefined;
}

function sizeStep(value: number): number {
  if (!(value >= SIZE_EXACT - 0.5)) return Math.max(0, Math.round(value));
  const exponent = Math.min(SIZE_EXPONENT_MAX, Math.floor(Math.log2(value)) - 7);
  // A mantissa that is rounded up to 256 is the first of the next exponent: the steps go on there.
  const mantissa = Math.min(SIZE_EXACT - 1 + Number(exponent < SIZE_EXPONENT_MAX), Math.round(value / 2 ** exponent));
  return exponent < 1 ? mantissa : SIZE_EXACT + (exponent - 1) * SIZE_STEPS + mantissa - SIZE_STEPS;
}

function sizeOf(step: number, unit: number): number | undefined {
  if (step < SIZE_EXACT) return step * unit;
  const exponent = Math.floor((step - SIZE_EXACT) / SIZE_STEPS) + 1;
  if (exponent > SIZE_EXPONENT_MAX) return undefined;
  return ((step % SIZE_STEPS) + SIZE_STEPS) * 2 ** exponent * unit;
}
