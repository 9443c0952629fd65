/**
 * Bringing a store to what a snapshot says, by writes: the revision goes on, so that whoever watches sees what changed, and
 * a store whose revision went back never is.
 */
import { COMMAND_BYTES_MAX, encodeCommand } from "./command.ts";
import { type Item, keyOf } from "./item.ts";
import { decodeState } from "./snapshot.ts";
import { KEY_CHARACTERS_MAX, WRITES_MAX, type Put, type Write } from "./write.ts";

/** What a command is besides its writes, at most. */
const REST_BYTES = 4 * KEY_CHARACTERS_MAX + 200;

/** The policies of a snapshot; throws a MeshError on bytes that are none. */
export function policiesOf(snapshot: Uint8Array): readonly Item[] {
  return decodeState(snapshot).items;
}

/**
 * Writes that make the items of `now` those of `wanted`, in batches that each fit a command. Deletions come first, so
 * that the store is never fuller than before or after; between the batches it is neither the one nor the other.
 */
export function restoringWrites(now: readonly Item[], wanted: readonly Item[]): readonly (readonly Write[])[] {
  const kept = new Set(wanted.map(keyOf));
  const specs = new Map(now.map((item) => [keyOf(item), JSON.stringify(item.spec)]));
  const writes: Write[] = [];
  for (const item of now) {
    if (!kept.has(keyOf(item))) writes.push({ delete: { kind: item.kind, name: item.name } });
  }
  for (const item of wanted) {
    if (specs.get(keyOf(item)) === JSON.stringify(item.spec)) continue;
    writes.push({ put: { kind: item.kind, name: item.name, spec: item.spec } as Put });
  }
  return inBatches(writes);
}

/** Writes in batches that each fit a command. */
export function inBatches(writes: readonly Write[]): readonly (readonly Write[])[] {
  const batches: Write[][] = [];
  let bytesLeft = 0;
  for (const write of writes) {
    const bytes = encodeCommand({ op: "write", key: "", atMs: 0, writes: [write] }).length;
    const last = batches.at(-1);
    if (last === undefined || last.length >= WRITES_MAX || bytes > bytesLeft) {
      batches.push([write]);
      bytesLeft = COMMAND_BYTES_MAX - REST_BYTES - bytes;
    } else {
      last.push(write);
      bytesLeft -= bytes;
    }
  }
  return batches;
}
