/**
 * Writes of policies in requests that the control plane takes: 1,000 writes and 1 MiB each. A request is all or nothing;
 * several of them aren't, so that whoever has more than one to send is asked first.
 */
import { WRITES_MAX } from "../policy/write.ts";
import type { JsonRecord } from "./client.ts";

/** A request has at most 1 MiB, of which something is left for what is beside the writes. */
const BYTES_MAX = 2 ** 20 - 2 ** 14;

/** A write with the policy that it is about. */
export interface KeyedWrite {
  /** KIND/NAME. */
  readonly key: string;
  readonly write: JsonRecord;
}

/** The writes in their order, in as few requests as they fit in. */
export function batchesOf(writes: readonly KeyedWrite[]): (readonly KeyedWrite[])[] {
  const batches: KeyedWrite[][] = [];
  let bytes = 0;
  for (const keyed of writes) {
    const own = Buffer.byteLength(JSON.stringify(keyed.write)) + 1;
    const last = batches.at(-1);
    if (last === undefined || last.length === WRITES_MAX || bytes + own > BYTES_MAX) {
      batches.push([keyed]);
      bytes = own;
    } else {
      last.push(keyed);
      bytes += own;
    }
  }
  return batches;
}
