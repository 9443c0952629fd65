/**
 * Asking for a share of a quota, and getting it. All amounts are in the quota's own measure: `requests` in its period
 * (`measureOf` in quota.ts; a second, or several where that makes whole numbers), `tokens` in a minute, `concurrency`
 * at once. All are whole numbers.
 */
import { refuse } from "../base/field.ts";
import { readName } from "./name.ts";
import { type Reader, inside, name, objectOf, whole } from "./spec-reading.ts";
import { NAME_CHARACTERS_MAX } from "./spec.ts";

export interface Amounts {
  readonly requests: number;
  readonly tokens: number;
  readonly concurrency: number;
}

export interface Want extends Amounts {
  /**
   * Who asks: one life of one worker, as `ROUTER/LIFE/WORKER`. A worker that starts again takes another name, since it no
   * longer knows what it spent.
   */
  readonly holder: string;
  /** The quota's name. */
  readonly quota: string;
  /** What was spent within the last period, up to now; `concurrency` is what is under way now. */
  readonly used: Amounts;
  /** The `serial` of the newest grant that arrived; 0 for none. What was granted before that is over. */
  readonly holding: number;
}

/** A share of a quota, for `windowMs` from when it was asked for. */
export interface Grant {
  readonly holder: string;
  readonly quota: string;
  /** Null where the quota sets no limit. */
  readonly requests: number | null;
  readonly tokens: number | null;
  readonly concurrency: number | null;
  readonly windowMs: number;
  /** Of this holder and quota; later grants have higher ones. */
  readonly serial: number;
  /** How many holders have or want a share now. */
  readonly holders: number;
}

/** Of serial numbers, which go on from what a holder tells: there is room beyond. */
const SERIAL_MAX = 2 ** 52;
/** Wants in a command. */
export const WANTS_MAX = 2_000;

const amount = whole(0, Number.MAX_SAFE_INTEGER);
const AMOUNTS = { requests: amount, tokens: amount, concurrency: amount };

export const readAmounts = objectOf<Amounts>(AMOUNTS, ["requests", "tokens", "concurrency"]);
export const readHolder = name(NAME_CHARACTERS_MAX, "a holder");

const readWant = objectOf<Want>(
  {
    holder: readHolder,
    quota: (raw, at) => readName("quota", raw, at),
    ...AMOUNTS,
    used: readAmounts,
    holding: whole(0, SERIAL_MAX),
  },
  ["holder", "quota", "requests", "tokens", "concurrency", "used", "holding"],
);

/** A list of wants, each holder once a quota. */
export const readWants: Reader<readonly Want[]> = (raw, at) => {
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > WANTS_MAX) {
    return refuse(Array.isArray(raw) ? raw.length : raw, at, `a list of 1 to ${WANTS_MAX} wants`);
  }
  const before = at.faults.length;
  const seen = new Set<string>();
  const wants: Want[] = [];
  for (const [index, each] of raw.entries()) {
    const here = inside(at, `[${index}]`);
    const want = readWant(each, here);
    if (want === undefined) continue;
    const key = `${want.holder} ${want.quota}`;
    if (seen.has(key)) refuse(key, here, "each holder once a quota");
    seen.add(key);
    wants.push(want);
  }
  return at.faults.length === before ? wants : undefined;
};
