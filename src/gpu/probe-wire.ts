/**
 * What the probe process tells the agent: one JSON object a line on its standard output.
 *
 *   {"type":"open", stack}                     a backend is open
 *   {"type":"trouble", trouble, message}       none is, or the one that was is gone; the probe tries again by itself
 *   {"type":"reading", isRoll, tookMs, gpus}   a look; `isRoll`: at all GPUs that there are; `note`: which can't be read
 *   {"type":"faults", faults}
 *   {"type":"alive"}                           nothing new, and no call hangs
 *
 * The agent takes nothing on trust: what a driver wrote goes through the shape of readings (health/shape.ts), and a line
 * that is none of these, or longer than a MiB, ends the probe.
 */
import type { GpuFault, GpuStack, GpuUpdate } from "../health/reading.ts";
import { GPUS_MAX, shownText, takeFault, takeStack, takeUpdate } from "../health/shape.ts";
import { BACKEND_TROUBLES, type BackendTrouble } from "./backend.ts";

export const LINE_BYTES_MAX = 2 ** 20;
const FAULTS_MAX = 1024;
const MESSAGE_CHARS_MAX = 512;

export type ProbeMessage =
  | { readonly type: "open"; readonly stack: GpuStack }
  | { readonly type: "trouble"; readonly trouble: BackendTrouble; readonly message: string }
  | {
      readonly type: "reading";
      readonly isRoll: boolean;
      /** How long the look took. */
      readonly tookMs: number;
      readonly gpus: readonly GpuUpdate[];
      /** Of a roll: which GPUs there are that can't be read, and why. */
      readonly note?: string;
    }
  | { readonly type: "faults"; readonly faults: readonly GpuFault[] }
  | { readonly type: "alive" };

export function encodeProbeMessage(message: ProbeMessage): string {
  return `${JSON.stringify(message)}\n`;
}

/** Undefined for a line that is no message of a probe. */
export function decodeProbeMessage(line: string): ProbeMessage | undefined {
  let value: Readonly<Record<string, unknown>>;
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== "object" || parsed === null) return undefined;
    value = parsed as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
  switch (value["type"]) {
    case "open": {
      const stack = takeStack(value["stack"]);
      return stack === undefined ? undefined : { type: "open", stack };
    }
    case "trouble": {
      const trouble = BACKEND_TROUBLES.find((known) => known === value["trouble"]);
      const message = value["message"];
      if (trouble === undefined || typeof message !== "string") return undefined;
      return { type: "trouble", trouble, message: shownText(message, MESSAGE_CHARS_MAX) };
    }
    case "reading": {
      const { isRoll, tookMs, gpus, note } = value;
      if (typeof isRoll !== "boolean" || typeof tookMs !== "number" || !(tookMs >= 0)) return undefined;
      if (!Array.isArray(gpus)) return undefined;
      const told = isRoll && typeof note === "string" ? shownText(note, MESSAGE_CHARS_MAX) : "";
      const read = { isRoll, tookMs, gpus: taken(gpus.slice(0, GPUS_MAX).map(takeUpdate)) };
      return { type: "reading", ...read, ...(told === "" ? {} : { note: told }) };
    }
    case "faults": {
      const { faults } = value;
      return Array.isArray(faults)
        ? { type: "faults", faults: taken(faults.slice(0, FAULTS_MAX).map(takeFault)) }
        : undefined;
    }
    case "alive":
      return { type: "alive" };
    default:
      return undefined;
  }
}

function taken<T>(items: readonly (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined);
}
