/**
 * How often each GPU's driver reported each error since the process started, and the newest. A storm of them costs no
 * memory: 128 GPUs, of which the ones that were silent longest make room, and 64 codes of one.
 */
import type { GpuFault } from "../health/reading.ts";
import { xidOf } from "../health/xid.ts";

const GPUS_MAX = 128;
const CODES_MAX = 64;

export interface XidTally {
  readonly counts: ReadonlyMap<number, number>;
  readonly last: { readonly code: number; readonly meaning: string } | undefined;
}

const NONE: XidTally = { counts: new Map(), last: undefined };

export class XidCounts {
  readonly #byUuid = new Map<string, { readonly counts: Map<number, number>; last: number }>();

  add(faults: readonly GpuFault[]): void {
    for (const { uuid, xid } of faults) {
      const gpu = this.#byUuid.get(uuid) ?? { counts: new Map<number, number>(), last: 0 };
      // Set anew, it is the last in the order.
      this.#byUuid.delete(uuid);
      this.#byUuid.set(uuid, gpu);
      gpu.last = xid;
      if (gpu.counts.has(xid) || gpu.counts.size < CODES_MAX) gpu.counts.set(xid, (gpu.counts.get(xid) ?? 0) + 1);
      const [oldest] = this.#byUuid.keys();
      if (this.#byUuid.size > GPUS_MAX && oldest !== undefined) this.#byUuid.delete(oldest);
    }
  }

  of(uuid: string): XidTally {
    const gpu = this.#byUuid.get(uuid);
    if (gpu === undefined) return NONE;
    return { counts: gpu.counts, last: { code: gpu.last, meaning: xidOf(gpu.last).meaning } };
  }
}
