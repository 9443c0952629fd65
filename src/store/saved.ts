/**
 * All policies as one text: what `ctl snapshot save` writes and `restore` takes. A line of JSON that tells the format,
 * how many items follow and their checksum, then a line of JSON for each item. It holds what people set, not the
 * consensus' own books, so it can be restored into any engine; revisions are given anew there.
 */
import { createHash } from "node:crypto";
import { MeshError } from "../base/errors.ts";
import type { Outcome } from "../policy/outcome.ts";
import { COMMAND_BYTES_MAX } from "../policy/command.ts";
import { type Write, WRITES_MAX } from "../policy/write.ts";
import type { Item } from "../policy/item.ts";
import { KINDS, type Kind } from "../policy/spec.ts";
import type { Listing, PolicyStore } from "./policy-store.ts";

const FORMAT = "infermesh policies";
const VERSION = 1;
/** Of the writes in one command; the rest is for what is around them. */
const PORTION_BYTES = COMMAND_BYTES_MAX - 4096;

interface SavedHead {
  readonly format: string;
  readonly version: number;
  readonly revision: number;
  readonly savedAtMs: number;
  readonly items: number;
  readonly sha256: string;
}

export interface Saved {
  readonly revision: number;
  readonly savedAtMs: number;
  readonly items: readonly Pick<Item, "kind" | "name" | "spec">[];
}

export function encodeSaved({ items, revision }: Listing, nowMs: number): Uint8Array {
  const lines = items.map((item) => `${JSON.stringify(item)}\n`).join("");
  const head: SavedHead = {
    format: FORMAT,
    version: VERSION,
    revision,
    savedAtMs: nowMs,
    items: items.length,
    sha256: sha256(lines),
  };
  return new TextEncoder().encode(`${JSON.stringify(head)}\n${lines}`);
}

/** Throws a MeshError (bad_request) that says what is wrong with it. */
export function decodeSaved(bytes: Uint8Array): Saved {
  const text = new TextDecoder().decode(bytes);
  const end = text.indexOf("\n");
  const head = parsed(text.slice(0, end === -1 ? text.length : end), 1) as Partial<SavedHead> | null;
  if (head?.format !== FORMAT) throw bad("it is no snapshot of policies (`infermesh ctl snapshot save` makes one)");
  if (head.version !== VERSION) throw bad(`it is of format ${String(head.version)}; this version reads ${VERSION}`);
  const rest = text.slice(end + 1);
  if (sha256(rest) !== head.sha256) throw bad("its checksum is wrong: it was cut or changed after it was saved");
  const items = rest
    .split("\n")
    .filter((line) => line !== "")
    .map((line, at) => itemOf(parsed(line, at + 2), at + 2));
  if (items.length !== head.items) throw bad(`it holds ${items.length} items, and says that it has ${head.items}`);
  return { revision: head.revision ?? 0, savedAtMs: head.savedAtMs ?? 0, items };
}

/**
 * Makes the items of a store those that were saved, by one write where they fit in one, else by several in a row: a
 * store's limits are on one write. Answers the last outcome, or the first refusal.
 */
export async function restoreInto(store: PolicyStore, saved: Saved, timeoutMs: number): Promise<Outcome> {
  const { items, revision } = await store.list({ consistent: true, timeoutMs });
  let outcome: Outcome = { ok: true, revision, items: [], changed: false, repeated: false };
  for (const writes of portions(restoringWrites(items, saved))) {
    outcome = await store.write(writes, { timeoutMs });
    if (!outcome.ok) break;
  }
  return outcome;
}

function restoringWrites(current: readonly Item[], saved: Saved): Write[] {
  const kept = new Set(saved.items.map(({ kind, name }) => `${kind}/${name}`));
  const gone = current.filter(({ kind, name }) => !kept.has(`${kind}/${name}`));
  return [
    ...gone.map(({ kind, name }): Write => ({ delete: { kind, name } })),
    ...saved.items.map(({ kind, name, spec }) => ({ put: { kind, name, spec } }) as Write),
  ];
}

function* portions(writes: readonly Write[]): Generator<readonly Write[]> {
  let part: Write[] = [];
  let bytes = 0;
  for (const write of writes) {
    const length = Buffer.byteLength(JSON.stringify(write));
    if (part.length > 0 && (part.length === WRITES_MAX || bytes + length > PORTION_BYTES)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(write);
    bytes += length;
  }
  if (part.length > 0) yield part;
}

function itemOf(value: unknown, line: number): Saved["items"][number] {
  const { kind, name, spec } = (value ?? {}) as Record<string, unknown>;
  if (!KINDS.includes(kind as Kind) || typeof name !== "string" || typeof spec !== "object" || spec === null) {
    throw bad(`line ${line} is no item`);
  }
  return { kind: kind as Kind, name, spec: spec };
}

function parsed(line: string, at: number): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw bad(`line ${at} is not JSON`);
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function bad(what: string): MeshError {
  return new MeshError("bad_request", `this can't be restored: ${what}`);
}
