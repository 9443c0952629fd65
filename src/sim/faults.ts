/**
 * Faults that a mock node is told to show. Validation is pure and strict: an unknown key or a wrong value is answered
 * with what was expected, and nothing of a faulty request is applied.
 */

import { MeshError } from "../base/errors.ts";

export interface Faults {
  /** Every step takes this many times as long; 1 is normal. */
  readonly slow: number;
  /** Requests are taken and nothing more is answered; what runs, freezes. */
  readonly stall: boolean;
  /** Share of inference requests that are answered with status 500. */
  readonly errorRate: number;
  /** Air around the GPUs in degrees Celsius; 65 and more makes busy ones throttle. */
  readonly ambient: number;
}

export const NO_FAULTS: Faults = { slow: 1, stall: false, errorRate: 0, ambient: 30 };

export interface FaultChange {
  readonly faults: Faults;
  /** The node shall die at once. */
  readonly crash: boolean;
}

function bad(param: string, message: string): { error: MeshError } {
  return { error: new MeshError("bad_request", message, { param }) };
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 64 ? `${text.slice(0, 61)}...` : text;
}

const RANGES = {
  slow: [0.01, 10_000],
  errorRate: [0, 1],
  ambient: [-40, 120],
} as const;

/** What `current` becomes by the JSON value of an admin request; keys that are not named stay as they are. */
export function changeFaults(current: Faults, json: unknown): FaultChange | { error: MeshError } {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return bad("faults", `expected an object such as {"slow": 3}, got ${show(json)}`);
  }
  const next: { -readonly [K in keyof Faults]: Faults[K] } = { ...current };
  let crash = false;
  for (const [key, value] of Object.entries(json)) {
    switch (key) {
      case "slow":
      case "errorRate":
      case "ambient": {
        const [min, max] = RANGES[key];
        if (typeof value !== "number" || !(value >= min && value <= max)) {
          return bad(key, `${key}: expected a number from ${min} to ${max}, got ${show(value)}`);
        }
        next[key] = value;
        break;
      }
      case "stall":
      case "crash": {
        if (typeof value !== "boolean") return bad(key, `${key}: expected true or false, got ${show(value)}`);
        if (key === "stall") next.stall = value;
        else crash = value;
        break;
      }
      default:
        return bad(key, `unknown fault ${show(key)}: known are slow, stall, errorRate, ambient, crash`);
    }
  }
  return { faults: next, crash };
}
