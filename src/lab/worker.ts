/** A thread that plays cells of scenarios, one after another. */
import { playCell } from "../sim/scenario-world.ts";
import type { Answer, Task } from "./crew.ts";
import { openTraces } from "./trace-file.ts";

declare const self: Worker;

/** Progress is told in parts of this. */
const PART = 0.02;

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

self.onmessage = ({ data }: MessageEvent<Task>): void => {
  const { scenario, strategy, cell, folder } = data;
  const { traces, faults } = openTraces(scenario, folder);
  if (faults.length > 0) throw new Error(faults[0]!.expected);
  const began = cpuMs();
  let told = 0;
  const played = playCell(scenario, strategy, cell, traces, (part) => {
    if (part < told + PART) return;
    told = part;
    self.postMessage({ part } satisfies Answer);
  });
  // Of a large cell these are megabytes: they are given, not copied.
  const columns = Object.values(played).filter((value) => value instanceof Float64Array);
  const buffers = new Set(columns.map(({ buffer }) => buffer as ArrayBuffer));
  self.postMessage({ played, cpuMs: cpuMs() - began } satisfies Answer, [...buffers]);
};
