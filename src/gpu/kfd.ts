/**
 * What AMD's compute driver shows of its GPUs and of the processes on them, in /sys/class/kfd: readable by everybody, and of
 * all processes, with the memory that each has on each GPU. rocm-smi-lib reads the same files; asked which GPUs a process is
 * on, it crashes where one of them is not among its own.
 */
import type { GpuProcess } from "../health/reading.ts";
import { addressOf, gfxNameOf, propertiesOf } from "./kernel-text.ts";
import { KernelFolder } from "./sysfs-folder.ts";

export interface KfdNode {
  readonly gpuIds: readonly number[];
  readonly gfxName: string | undefined;
  /** Of the XGMI hive. */
  readonly hive: string | undefined;
}

const PROCESSES_MAX = 1024;

/** By place on the bus, of function 0: the partitions of one card are its functions. */
export function kfdNodes(sys: string): Map<string, KfdNode> {
  const nodes = new Map<string, KfdNode>();
  const topology = new KernelFolder(`${sys}/class/kfd/kfd/topology/nodes`);
  for (const name of topology.names(/^\d{1,4}$/)) {
    const folder = topology.in(name);
    const gpuId = folder.amount("gpu_id");
    // 0 is a processor.
    if (gpuId === undefined || gpuId === 0) continue;
    const properties = propertiesOf(folder.text("properties"));
    const number = (key: string): number => Number(properties.get(key) ?? Number.NaN);
    const address = addressOf(number("domain"), number("location_id") & ~7);
    if (address === undefined || Number.isNaN(number("location_id"))) continue;
    const before = nodes.get(address);
    const hive = properties.get("hive_id") ?? "0";
    nodes.set(address, {
      gpuIds: [...(before?.gpuIds ?? []), gpuId],
      gfxName: before?.gfxName ?? gfxNameOf(number("gfx_target_version")),
      hive: before?.hive ?? (BigInt(hive) === 0n ? undefined : BigInt(hive).toString(16)),
    });
  }
  return nodes;
}

/** By the GPUs' ids, of one look at all processes; undefined where there is no such driver. */
export function kfdProcesses(sys: string): Map<number, Pick<GpuProcess, "pid" | "memoryBytes">[]> | undefined {
  const kfd = new KernelFolder(`${sys}/class/kfd/kfd`);
  if (kfd.names(/^proc$/).length === 0) return undefined;
  const byGpu = new Map<number, Pick<GpuProcess, "pid" | "memoryBytes">[]>();
  const processes = kfd.in("proc");
  for (const pid of processes.names(/^\d{1,10}$/).slice(0, PROCESSES_MAX)) {
    const folder = processes.in(pid);
    for (const name of folder.names(/^vram_\d{1,10}$/)) {
      const gpuId = Number(name.slice("vram_".length));
      const list = byGpu.get(gpuId) ?? [];
      list.push({ pid: Number(pid), memoryBytes: folder.amount(name) });
      byGpu.set(gpuId, list);
    }
  }
  return byGpu;
}

/** Of one card, whose partitions may each have the same process. */
export function processesOn(
  gpuIds: readonly number[],
  byGpu: ReadonlyMap<number, readonly Pick<GpuProcess, "pid" | "memoryBytes">[]>,
): Map<number, number | undefined> {
  const found = new Map<number, number | undefined>();
  for (const gpuId of gpuIds) {
    for (const { pid, memoryBytes } of byGpu.get(gpuId) ?? []) {
      const before = found.get(pid);
      found.set(pid, before === undefined ? memoryBytes : before + (memoryBytes ?? 0));
    }
  }
  return found;
}
