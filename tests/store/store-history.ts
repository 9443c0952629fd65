/**
 * What several clients of one store ask at the same time, with what they were answered and when: for the checker of
 * linearizability. A read is a consistent one; what may have been written and nobody said so has no end.
 */
import { MeshError } from "../../src/base/errors.ts";
import { Prng } from "../../src/base/prng.ts";
import type { Item } from "../../src/policy/item.ts";
import type { PolicyStore } from "../../src/store/policy-store.ts";
import type { StoreOp, StoreResult } from "../linearizability/policy-model.ts";
import type { Operation } from "../linearizability/wgl.ts";
import { gone, put } from "./store-writes.ts";

type History = Operation<StoreOp, StoreResult>[];

export interface HistoryOptions {
  readonly seed: number;
  /** They are spread over the stores, and each asks one thing after the other. */
  readonly clients: number;
  /** Of each client. */
  readonly operations: number;
  readonly timeoutMs?: number;
  /** How many keys there are: with few they get in each other's way, with many a history is easier to judge. */
  readonly keys?: number;
  /** Called before each operation, with how many were begun before it. */
  readonly before?: (count: number) => Promise<void> | void;
}

const KEYS = ["a", "b", "c", "d", "e", "f", "g", "h"];
/** Definitely not carried out. */
const NOT_DONE = new Set(["no_quorum", "not_leader"]);

export async function historyOf(
  stores: readonly PolicyStore[],
  { seed, clients, operations, timeoutMs = 5000, keys = 3, before = () => {} }: HistoryOptions,
): Promise<History> {
  const history: History = [];
  let done = 0;
  let value = 0;
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      const prng = new Prng(seed * 1000 + client);
      const store = stores[client % stores.length]!;
      const known = new Map<string, number>();
      for (let i = 0; i < operations; i++) {
        await before(done++);
        const op = draw(prng, KEYS[prng.int(keys)]!, known, () => ++value);
        const call = performance.now();
        const result = await ask(store, op, timeoutMs);
        const end = performance.now();
        if (result === "not done") continue;
        if (result !== "unknown" && (op.type === "read" || !result.ok)) known.set(op.key, result.revision);
        const seen = result === "unknown" ? { return: Infinity } : { return: end, result };
        history.push({ client, call, op, ...seen });
      }
    }),
  );
  return history;
}

function draw(prng: Prng, key: string, known: ReadonlyMap<string, number>, nextValue: () => number): StoreOp {
  const which = prng.next();
  if (which < 0.4) return { type: "read", key };
  const value = which < 0.55 ? null : String(nextValue());
  const revision = known.get(key);
  // Deleting only if there is none is nothing that can be asked for.
  const isConditional = revision !== undefined && prng.next() < 0.5 && !(value === null && revision === 0);
  return { type: "write", key, value, ...(isConditional ? { ifRevision: revision } : {}) };
}

async function ask(store: PolicyStore, op: StoreOp, timeoutMs: number): Promise<StoreResult | "unknown" | "not done"> {
  try {
    if (op.type === "read") return resultOf((await store.get("node", op.key, { consistent: true, timeoutMs })).item);
    const { key, value, ifRevision } = op;
    const write = value === null ? gone("node", key, ifRevision) : put("node", key, { reason: value }, ifRevision);
    const outcome = await store.write([write], { timeoutMs });
    if (!outcome.ok) return { ok: false, revision: outcome.current?.revision ?? 0 };
    // A repeated write is answered with what is there now, which may be another's by then.
    if (outcome.repeated) return outcome.changed ? { ok: true, value, revision: outcome.revision } : "unknown";
    return value === null ? { ok: true, value, revision: outcome.revision } : resultOf(outcome.items[0]!);
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    if (NOT_DONE.has(error.code)) return "not done";
    if (error.code === "request_timeout") return op.type === "read" ? "not done" : "unknown";
    throw error;
  }
}

function resultOf(item: Item | null): StoreResult {
  if (item === null) return { ok: true, value: null, revision: 0 };
  return { ok: true, value: (item.spec as { reason: string }).reason, revision: item.revision };
}
