/** Whether a GPU is idle enough to be measured, and who uses it where it is not. Pure. */
import type { GpuProcess, GpuReading } from "../health/reading.ts";

const UTILIZATION_MAX = 0.05;
/** What a driver, a desktop or the service of MPS holds is less. */
const MEMORY_BYTES_MAX = 2 ** 30;
const PROCESS_BYTES_MAX = 256 * 2 ** 20;
const NAMED_MAX = 4;

/** In words: "12 % busy; python3 (pid 4242, 39.1 GiB)". "" for one that is idle. */
export function whyBusy({ load, traffic }: GpuReading): string {
  const users = (traffic?.processes ?? []).filter(isUser);
  const reasons: string[] = [];
  if ((load?.utilization ?? 0) > UTILIZATION_MAX) reasons.push(`${Math.round(load!.utilization! * 100)} % busy`);
  if ((load?.memoryUsedBytes ?? 0) > MEMORY_BYTES_MAX) reasons.push(`${gib(load!.memoryUsedBytes!)} in use`);
  if (users.length > 0) reasons.push(users.slice(0, NAMED_MAX).map(named).join(", "));
  if (users.length > NAMED_MAX) reasons.push(`${users.length - NAMED_MAX} more processes`);
  return reasons.join("; ");
}

/** One of which nothing is known may be anything. */
function isUser({ memoryBytes, utilization }: GpuProcess): boolean {
  return memoryBytes === undefined || memoryBytes > PROCESS_BYTES_MAX || (utilization ?? 0) > UTILIZATION_MAX;
}

function named({ pid, command, container, memoryBytes }: GpuProcess): string {
  const facts = [`pid ${pid}`];
  if (memoryBytes !== undefined) facts.push(gib(memoryBytes));
  if (container !== undefined) facts.push(`container ${container.slice(0, 12)}`);
  return `${command ?? "a process"} (${facts.join(", ")})`;
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
