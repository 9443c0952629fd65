/**
 * Faults of simulated GPUs: those that last until they are ended, and those that happen once (an XID, memory errors). What
 * they come to is not decided here: they show in what is read of the GPU, and the rules of health look at that.
 */
import { RECOVERY_ACTIONS, THROTTLE_REASONS } from "../health/reading.ts";

/** What one GPU shows besides what its work does to it; what is left out is as it comes. */
export interface GpuFaults {
  readonly throttle?: readonly string[];
  /** Degrees Celsius. */
  readonly temperature?: number;
  readonly memoryTemperature?: number;
  /** Share of its memory. */
  readonly memoryUsed?: number;
  readonly linksDown?: number;
  readonly pcieGeneration?: number;
  readonly pcieWidth?: number;
  readonly remap?: "pending" | "failed";
  readonly recoveryAction?: (typeof RECOVERY_ACTIONS)[number];
  /** It is not there any more. */
  readonly lost?: true;
}

/** Something that happens to a GPU once. */
export interface GpuIncident {
  readonly gpu: number;
  readonly xid?: number;
  readonly ecc?: { readonly corrected?: number; readonly uncorrected?: number };
  readonly pcieReplays?: number;
  readonly linkErrors?: number;
  /** Its driver is loaded anew: counters begin at zero. */
  readonly reset?: true;
}

/** How one field of a request is read. */
export interface FaultField {
  /** What a right value is, as a noun. */
  readonly expected: string;
  /** Undefined for a wrong value. */
  read(value: unknown): unknown;
}

export function numberFrom(min: number, max: number): FaultField {
  return {
    expected: `a number from ${min} to ${max}`,
    read: (value) => (typeof value === "number" && value >= min && value <= max ? value : undefined),
  };
}

function wholeFrom(min: number, max: number): FaultField {
  return {
    expected: `a whole number from ${min} to ${max}`,
    read: (value) =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? value : undefined,
  };
}

export function oneOf(words: readonly string[]): FaultField {
  return {
    expected: `one of ${words.join(", ")}`,
    read: (value) => words.find((word) => word === value),
  };
}

const TRUE: FaultField = { expected: "true", read: (value) => (value === true ? true : undefined) };

const REASONS = oneOf(THROTTLE_REASONS);
const throttle: FaultField = {
  expected: `${REASONS.expected}, or a list of them`,
  read(value) {
    const given = Array.isArray(value) ? value : [value];
    const known = given.map((one) => REASONS.read(one));
    return given.length > 0 && given.length <= THROTTLE_REASONS.length && !known.includes(undefined)
      ? [...new Set(known)]
      : undefined;
  },
};

const COUNT_MAX = 1_000_000_000;

const ERRORS = wholeFrom(1, COUNT_MAX);
const ecc: FaultField = {
  expected: `an object such as {"corrected": 5, "uncorrected": 1}, each ${ERRORS.expected}`,
  read(value) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const entries = Object.entries(value);
    const isRight = entries.every(
      ([key, count]) => (key === "corrected" || key === "uncorrected") && ERRORS.read(count) !== undefined,
    );
    return isRight && entries.length > 0 ? value : undefined;
  },
};

/** Those that last; null ends one. */
export const LASTING: Readonly<Record<string, FaultField>> = {
  throttle,
  temperature: numberFrom(-40, 200),
  memoryTemperature: numberFrom(-40, 200),
  memoryUsed: numberFrom(0, 1),
  linksDown: wholeFrom(0, 64),
  pcieGeneration: wholeFrom(1, 15),
  pcieWidth: wholeFrom(1, 64),
  remap: oneOf(["pending", "failed"]),
  recoveryAction: oneOf(RECOVERY_ACTIONS),
  lost: TRUE,
};

/** Those that happen once. */
export const INCIDENTS: Readonly<Record<string, FaultField>> = {
  xid: wholeFrom(1, 65_535),
  ecc,
  pcieReplays: wholeFrom(1, COUNT_MAX),
  linkErrors: wholeFrom(1, COUNT_MAX),
  reset: TRUE,
};
