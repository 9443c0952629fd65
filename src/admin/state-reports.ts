/**
 * States that adapters outside of the mesh report: one report stream's word of one node, put together from what is full
 * and what is different. A stream that is silent for its time to live is forgotten.
 *
 * What comes is checked: numbers must be finite and fractions within 0 and 1; what is not is left out and said so. So is
 * a state of more than 16 KiB, and what is more than all streams together may keep.
 */
import type { Message, MessageType } from "../wire/proto-schema.ts";
import { encodeMessage } from "../wire/proto-writer.ts";

/** A report, of models or of GPUs. */
export interface Report {
  readonly node: string;
  readonly sequence: number;
  readonly full: boolean;
  readonly deltas: readonly Delta[];
  readonly observedAtMs: number;
  readonly ttlMs: number;
}

export interface Delta extends Message {
  readonly labels?: { readonly model: string; readonly gpuUuid: string } | undefined;
  readonly removed: boolean;
  readonly unknown: readonly string[];
}

export interface Ack {
  readonly sequence: number;
  readonly applied: boolean;
  readonly fullWanted: boolean;
  readonly faults: readonly string[];
}

/** Bytes that all streams of a port keep together. */
export interface Kept {
  bytes: number;
}

const KEPT_BYTES_MAX = 64 * 1024 * 1024;
const STATES_MAX = 256;
const STATE_BYTES_MAX = 16 * 1024;
const TTL_MS = 15_000;
const TTL_MS_MIN = 1000;
const TTL_MS_MAX = 600_000;
const FAULTS_MAX = 8;
const FRACTIONS = new Set(["kvUsage", "utilization", "cacheHitRate"]);
/** Fields of a delta that are none of a state. */
const OWN = new Set(["labels", "removed", "unknown"]);

export class ReportedStates {
  readonly node: string;
  observedAtMs = 0;
  /** When it is forgotten, on the clock that `take` is given. */
  untilMs = 0;
  readonly #type: MessageType;
  readonly #keyOf: (delta: Delta) => string;
  readonly #kept: Kept;
  readonly #states = new Map<string, { readonly state: Message; readonly bytes: number }>();
  /** Of the report that was taken last; 0: a full one is wanted. */
  #sequence = 0;

  /** `type`: of the states; `keyOf` a delta says which one it is of, "" where it does not. */
  constructor(node: string, type: MessageType, keyOf: (delta: Delta) => string, kept: Kept = { bytes: 0 }) {
    this.node = node;
    this.#kept = kept;
    this.#type = type;
    this.#keyOf = keyOf;
  }

  /** What is reported now. */
  states(nowMs: number): readonly Message[] {
    return nowMs < this.untilMs ? [...this.#states.values()].map(({ state }) => state) : [];
  }

  /** Lets go of all that was reported. */
  clear(): void {
    for (const key of this.#states.keys()) this.#delete(key);
  }

  #delete(key: string): void {
    this.#kept.bytes -= this.#states.get(key)?.bytes ?? 0;
    this.#states.delete(key);
  }

  take(report: Report, nowMs: number): Ack {
    const { sequence, full, deltas, observedAtMs, ttlMs } = report;
    const isNext = this.#sequence > 0 && sequence === this.#sequence + 1 && nowMs < this.untilMs;
    if (!full && !isNext) {
      this.#sequence = 0;
      return { sequence, applied: false, fullWanted: true, faults: [] };
    }
    if (full) this.clear();
    const faults: string[] = [];
    for (const [at, delta] of deltas.entries()) this.#apply(delta, `[${at}]`, faults);
    this.#sequence = sequence;
    this.observedAtMs = observedAtMs === 0 ? Date.now() : observedAtMs;
    this.untilMs = nowMs + (ttlMs === 0 ? TTL_MS : Math.min(TTL_MS_MAX, Math.max(TTL_MS_MIN, ttlMs)));
    return { sequence, applied: true, fullWanted: false, faults: faults.slice(0, FAULTS_MAX) };
  }

  #apply(delta: Delta, at: string, faults: string[]): void {
    const key = this.#keyOf(delta);
    if (key === "") {
      faults.push(`${at} does not say what it is of`);
      return;
    }
    if (delta.removed) {
      this.#delete(key);
      return;
    }
    const before = this.#states.get(key)?.state;
    if (before === undefined && this.#states.size >= STATES_MAX) {
      faults.push(`${at} is one more than the ${STATES_MAX} that are kept`);
      return;
    }
    const state: Message = { ...(before ?? this.#type.empty()), labels: { ...delta.labels, node: this.node } };
    for (const name of delta.unknown) {
      const field = this.#type.byName.get(name);
      if (field === undefined || !field.hasPresence)
        faults.push(`${at}.unknown: ${name.slice(0, 60)} can't be unknown`);
      else delete state[field.json];
    }
    for (const [name, value] of Object.entries(delta)) {
      if (OWN.has(name) || value === undefined || (Array.isArray(value) && value.length === 0)) continue;
      const fault = faultIn(name, value);
      if (fault === "") state[name] = value;
      else faults.push(`${at}.${name} is ${value as number}; ${fault}`);
    }
    const bytes = encodeMessage(this.#type, state).length;
    if (bytes > STATE_BYTES_MAX) {
      faults.push(`${at} is of ${bytes} bytes; expected at most ${STATE_BYTES_MAX}`);
    } else if (this.#kept.bytes + bytes > KEPT_BYTES_MAX) {
      faults.push(`${at} is more than is kept here of all adapters together`);
    } else {
      this.#delete(key);
      this.#states.set(key, { state, bytes });
      this.#kept.bytes += bytes;
    }
  }
}

function faultIn(name: string, value: unknown): string {
  if (typeof value !== "number") return "";
  if (!Number.isFinite(value)) return "expected a number";
  if (FRACTIONS.has(name)) return value >= 0 && value <= 1 ? "" : "expected a fraction from 0 to 1";
  return value >= 0 || name === "temperatureCelsius" ? "" : "expected no number below zero";
}
