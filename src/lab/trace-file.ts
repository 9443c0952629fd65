/** The traces that a scenario names: read once in each thread, however often they are played. */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { Fault } from "../base/field.ts";
import { shown } from "../base/shown.ts";
import type { Arrival } from "../sim/arrival.ts";
import type { Scenario } from "../sim/scenario.ts";
import { MOONCAKE_BLOCK_TOKENS, readTrace } from "../sim/traces.ts";

const FILE_BYTES_MAX = 2 ** 30;

type Opened = readonly Arrival[] | string;
const opened = new Map<string, Opened>();

export interface Traces {
  /** By the place of the kind of work. */
  readonly traces: ReadonlyMap<number, readonly Arrival[]>;
  readonly faults: readonly Fault[];
}

/** Paths of traces are seen from `folder`. */
export function openTraces({ workload, blockTokens }: Scenario, folder: string): Traces {
  const traces = new Map<number, readonly Arrival[]>();
  const faults: Fault[] = [];
  for (const [place, { trace }] of workload.entries()) {
    if (trace === "") continue;
    const path = resolve(folder, trace);
    if (!opened.has(path)) opened.set(path, open(path));
    const found = opened.get(path)!;
    const at = { path: `workload[${place}].trace`, source: "", found: shown(trace), hint: "" };
    if (typeof found === "string") faults.push({ ...at, expected: found });
    else if (blockTokens !== MOONCAKE_BLOCK_TOKENS && found.some(({ hashes }) => hashes.length > 0)) {
      const expected = `blockTokens: ${MOONCAKE_BLOCK_TOKENS}, what this trace names of prompts`;
      faults.push({ ...at, path: "blockTokens", found: String(blockTokens), expected });
    } else traces.set(place, found);
  }
  return { traces, faults };
}

function open(path: string): Opened {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) return "a trace of at most 1 GiB";
    const { arrivals, fault } = readTrace(readFileSync(path, "utf8"));
    return arrivals ?? `a trace in Mooncake's or Azure's format: ${fault}`;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return code === "ENOENT" ? `a file that exists (looked for at ${path})` : `a file that can be read (${message})`;
  }
}
