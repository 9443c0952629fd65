/**
 * The state machine's state as bytes: UTF-8 JSON with a name and a version of its format, so that people and later
 * versions can read it. Equal states give equal bytes. What is read is checked as commands are, so that a file that
 * someone changed by hand brings no state about that no command could.
 */
import { MeshError } from "../base/errors.ts";
import { type Fault, isRecord, refuse } from "../base/field.ts";
import type { Clock } from "./clock.ts";
import { type SeatCommand, parseJson, readSeat } from "./command.ts";
import { type Item, compareItems } from "./item.ts";
import { type Ledger, readLedger } from "./ledger.ts";
import { readName } from "./name.ts";
import type { Refusal } from "./outcome.ts";
import {
  type Reader,
  faultsText,
  inside,
  name,
  objectOf,
  oneOf,
  readingAt,
  text,
  truth,
  whole,
} from "./spec-reading.ts";
import { KINDS, type Kind } from "./spec.ts";
import { KEY_CHARACTERS_MAX, readPolicy } from "./write.ts";

export const SNAPSHOT_FORMAT = "infermesh-policies";
export const SNAPSHOT_VERSION = 1;

/** What became of the command of an idempotency key. */
export interface Memory {
  readonly key: string;
  readonly atMs: number;
  /** Of what was written: a key is for one command. */
  readonly fingerprint: number;
  readonly outcome:
    | { readonly ok: true; readonly revision: number; readonly changed: boolean }
    | Omit<Refusal, "current">;
}

export type Seat = Omit<SeatCommand, "op">;

/** Lists are in order: seats by member, items by kind and name, memories by age, ledgers by quota. */
export interface State {
  readonly appliedIndex: number;
  readonly revision: number;
  readonly clock: Clock;
  readonly seats: readonly Seat[];
  readonly items: readonly Item[];
  readonly memories: readonly Memory[];
  readonly ledgers: readonly { readonly quota: string; readonly leases: Ledger }[];
}

const encoder = new TextEncoder();

export function encodeState(state: State): Uint8Array {
  return encoder.encode(JSON.stringify({ format: SNAPSHOT_FORMAT, version: SNAPSHOT_VERSION, ...state }));
}

/** Throws a MeshError that says what is wrong with bytes that are no state. */
export function decodeState(bytes: Uint8Array): State {
  const raw = parseJson(bytes);
  if (!isRecord(raw) || raw["format"] !== SNAPSHOT_FORMAT) {
    throw new MeshError("bad_request", "this is no snapshot of policies: it is not in their format, or was cut short");
  }
  const { format: _format, version, ...rest } = raw;
  if (version !== SNAPSHOT_VERSION) {
    const message = `the snapshot of policies is of version ${String(version).slice(0, 20)} and this program reads ${SNAPSHOT_VERSION}: restore it with the version of infermesh that saved it`;
    throw new MeshError("bad_request", message);
  }
  const faults: Fault[] = [];
  const state = readState(rest, readingAt("", faults));
  if (state === undefined)
    throw new MeshError("bad_request", `the snapshot of policies is damaged: ${faultsText(faults)}`);
  return state;
}

// ---- reading --------------------------------------------------------------------------------------------------------

const count = whole(0, Number.MAX_SAFE_INTEGER);

/** A list whose items stand in strict order. */
function ordered<T>(read: Reader<T>, compare: (a: T, b: T) => number): Reader<readonly T[]> {
  return (raw, at) => {
    if (!Array.isArray(raw)) return refuse(raw, at, "a list");
    const before = at.faults.length;
    const list: T[] = [];
    for (const [index, each] of raw.entries()) {
      const here = inside(at, `[${index}]`);
      const item = read(each, here);
      if (item === undefined) continue;
      const last = list.at(-1);
      if (last !== undefined && compare(last, item) >= 0) refuse(each, here, "a list in order, each once");
      list.push(item);
    }
    return at.faults.length === before ? list : undefined;
  };
}

const any: Reader<unknown> = (raw) => raw;

const rawItem = objectOf<{ kind: Kind; name: unknown; spec: unknown } & Omit<Item, "kind" | "name" | "spec">>(
  { kind: oneOf(KINDS), name: any, spec: any, revision: count, createdRevision: count, updatedAtMs: count },
  ["kind", "name", "spec", "revision", "createdRevision", "updatedAtMs"],
);

const readItem: Reader<Item> = (raw, at) => {
  const item = rawItem(raw, at);
  const policy = item === undefined ? undefined : readPolicy(item.kind, item.name, item.spec, at);
  if (item === undefined || policy === undefined) return undefined;
  const { revision, createdRevision, updatedAtMs } = item;
  return { ...policy, revision, createdRevision, updatedAtMs };
};

const done = objectOf<Memory["outcome"] & { ok: true }>(
  { ok: truth as Reader<true>, revision: count, changed: truth },
  ["ok", "revision", "changed"],
);
const refused = objectOf<Memory["outcome"] & { ok: false }>(
  {
    ok: truth as Reader<false>,
    code: oneOf(["conflict", "invalid", "not_found", "limit"]),
    message: text(10_000),
    at: whole(-1, Number.MAX_SAFE_INTEGER),
  },
  ["ok", "code", "message", "at"],
);

const readMemory = objectOf<Memory>(
  {
    key: name(KEY_CHARACTERS_MAX, "an idempotency key"),
    atMs: count,
    fingerprint: count,
    outcome: (raw, at) => (isRecord(raw) && raw["ok"] === true ? done(raw, at) : refused(raw, at)),
  },
  ["key", "atMs", "fingerprint", "outcome"],
);

const readState = objectOf<State>(
  {
    appliedIndex: count,
    revision: count,
    clock: objectOf<Clock>({ nowMs: count, shownMs: count }, ["nowMs", "shownMs"]),
    seats: ordered(readSeat, (a, b) => a.member - b.member),
    items: ordered(readItem, compareItems),
    memories: ordered(readMemory, (a, b) => (a.atMs <= b.atMs ? -1 : 1)),
    ledgers: ordered(
      objectOf<State["ledgers"][number]>({ quota: (raw, at) => readName("quota", raw, at), leases: readLedger }, [
        "quota",
        "leases",
      ]),
      (a, b) => (a.quota < b.quota ? -1 : 1),
    ),
  },
  ["appliedIndex", "revision", "clock", "seats", "items", "memories", "ledgers"],
);
