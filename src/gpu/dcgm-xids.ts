/**
 * Which errors happened since the last look, as far as an exporter's gauges tell. The last XID stays what it was until
 * another one comes, so the same one twice is seen once; the count of each code in a sliding window, where the exporter
 * gives it, tells of those too.
 *
 * What stands there when a GPU is seen first happened before and is no news: it may be weeks old.
 */
import type { GpuFault } from "../health/reading.ts";

/** What one scrape says of one GPU. */
export interface XidGauges {
  /** The last XID, 0 for none, by MIG instance ("" for the whole GPU). */
  readonly last: ReadonlyMap<string, number>;
  /** How many of each in the window, 0 of code 0 where there were none; empty where the exporter does not count. */
  readonly counts: ReadonlyMap<number, number>;
}

/** Of one code in one look. */
const REPEATS_MAX = 16;
const INSTANCES_MAX = 128;

export class DcgmXids {
  #known = new Map<string, XidGauges>();

  /** One look at all GPUs that there are. */
  look(gauges: ReadonlyMap<string, XidGauges>): GpuFault[] {
    const faults: GpuFault[] = [];
    for (const [uuid, now] of gauges) {
      const before = this.#known.get(uuid);
      if (before !== undefined) {
        for (const [xid, times] of newOnes(before, now)) {
          for (let i = 0; i < times; i++) faults.push({ uuid, xid });
        }
      }
      this.#known.set(uuid, before === undefined ? now : merged(before, now));
    }
    return faults;
  }

  /** Keeps only what is known of these. */
  keep(uuids: ReadonlySet<string>): void {
    for (const uuid of this.#known.keys()) if (!uuids.has(uuid)) this.#known.delete(uuid);
  }
}

/** What is not told of this once is as it was. */
function merged(before: XidGauges, now: XidGauges): XidGauges {
  return {
    last: new Map(
      [...now.last, ...[...before.last].filter(([instance]) => !now.last.has(instance))].slice(0, INSTANCES_MAX),
    ),
    counts: now.counts.size === 0 ? before.counts : now.counts,
  };
}

function newOnes(before: XidGauges, now: XidGauges): Map<number, number> {
  const times = new Map<number, number>();
  for (const [xid, count] of now.counts) {
    const grown = before.counts.size === 0 ? 0 : count - (before.counts.get(xid) ?? 0);
    if (xid !== 0 && grown > 0) times.set(xid, Math.min(grown, REPEATS_MAX));
  }
  const known = new Set(before.last.values());
  for (const [instance, xid] of now.last) {
    // An instance that was made just now tells what happened to the GPU before.
    const isNews = before.last.has(instance) ? before.last.get(instance) !== xid : !known.has(xid);
    if (xid !== 0 && isNews && !times.has(xid)) times.set(xid, 1);
  }
  return times;
}
