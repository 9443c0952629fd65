import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { type StoreOp, type StoreResult, policyModel } from "./policy-model.ts";
import { type Model, type Operation, checkHistory } from "./wgl.ts";

// ---- a register without revisions -----------------------------------------------------------------------------------

type RegisterOp = { readonly write: number } | "read";
type RegisterHistory = Operation<RegisterOp, number | null>[];

const register: Model<number, RegisterOp, number | null> = {
  initial: 0,
  step: (state, op, result) => {
    if (op !== "read") return [op.write];
    return result === undefined || result === state ? [state] : [];
  },
  keyOf: String,
};

const write = (value: number, call: number, end: number): RegisterHistory[number] => ({
  client: "w",
  call,
  return: end,
  op: { write: value },
  ...(end === Infinity ? {} : { result: null }),
});
const read = (result: number, call: number, end: number): RegisterHistory[number] => ({
  client: "r",
  call,
  return: end,
  op: "read",
  result,
});

describe("of a register", () => {
  test.each<[string, RegisterHistory]>([
    ["nothing", []],
    ["one after the other", [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)]],
    ["a read during a write, of the old value", [write(1, 0, 10), read(0, 1, 2)]],
    ["reads during a write, of the old value and then the new", [write(1, 0, 10), read(0, 1, 2), read(1, 3, 4)]],
    ["writes at once, read in either order", [write(1, 0, 10), write(2, 0, 10), read(2, 1, 2), read(1, 3, 4)]],
    [
      "the paper's: a late write takes effect early",
      [write(1, 0, 9), read(1, 2, 3), write(2, 1, 8), read(2, 4, 5), read(2, 10, 11)],
    ],
    [
      "a write of unknown outcome that is seen late",
      [write(1, 0, Infinity), read(0, 1, 2), read(0, 100, 101), read(1, 200, 201)],
    ],
    ["a write of unknown outcome that never was", [write(1, 0, Infinity), read(0, 1, 2), read(0, 3, 4)]],
    ["operations that touch in time", [write(1, 0, 5), read(0, 5, 6)]],
  ])("linearizable: %s", (_, history) => {
    expect(checkHistory(register, history).verdict).toBe("linearizable");
  });

  test.each<[string, RegisterHistory]>([
    ["a value that nobody wrote", [write(1, 0, 1), read(7, 2, 3)]],
    ["a stale read", [write(1, 0, 1), read(0, 2, 3)]],
    ["an acknowledged write lost", [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]],
    ["the new value, then the old, during the write", [write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)]],
    ["two orders of the same writes", [write(1, 0, 10), write(2, 0, 10), read(1, 11, 12), read(2, 13, 14)]],
    ["a write seen before its call", [read(1, 0, 1), write(1, 2, 3)]],
    ["a write of unknown outcome seen before its call", [read(1, 0, 1), write(1, 2, Infinity)]],
    ["a write of unknown outcome seen, and then not", [write(1, 0, Infinity), read(1, 1, 2), read(0, 3, 4)]],
    [
      "the split brain: both halves read their own",
      [write(1, 0, 1), write(2, 0, 1), read(1, 2, 3), read(2, 2, 3), read(1, 4, 5)],
    ],
  ])("no: %s", (_, history) => {
    expect(checkHistory(register, history).verdict).toBe("violation");
  });

  test("a violation shows how far it went, and what could not follow", () => {
    const verdict = checkHistory(register, [write(1, 0, 1), read(1, 2, 3), read(0, 4, 5), write(2, 6, 7)]);
    expect(verdict).toMatchObject({ order: [{ op: { write: 1 } }, { result: 1 }], stuck: [{ result: 0 }] });
  });

  test("a search without end is no verdict", () => {
    const history = Array.from({ length: 40 }, (_, value) => write(value, 0, Infinity));
    const stale = [...history, read(99, 1, 2)];
    expect(checkHistory(register, stale, 1_000)).toMatchObject({ verdict: "undecided", steps: 1_001 });
  });

  test("long histories are checked in about as many steps as they have operations", () => {
    const history = Array.from({ length: 20_000 }, (_, index) =>
      index % 2 === 0 ? write(index, index * 2, index * 2 + 3) : read(index - 1, index * 2 + 2, index * 2 + 3),
    );
    const verdict = checkHistory(register, history);
    expect(verdict.verdict).toBe("linearizable");
    expect(verdict.steps).toBeLessThan(100_000);
  });

  test("it says what trying every order says", () => {
    const times = fc.tuple(fc.nat(8), fc.integer({ min: 1, max: 5 }), fc.boolean());
    const value = fc.nat(2);
    const operation = fc.tuple(times, value, fc.boolean()).map(([[call, length, isLost], each, isWrite]) => {
      if (!isWrite) return read(each, call, call + length);
      return write(each, call, isLost ? Infinity : call + length);
    });
    let violations = 0;
    fc.assert(
      fc.property(fc.array(operation, { minLength: 1, maxLength: 6 }), (history) => {
        const isOk = anyOrder(history, 0);
        violations += isOk ? 0 : 1;
        expect(checkHistory(register, history).verdict).toBe(isOk ? "linearizable" : "violation");
      }),
      { numRuns: 1_000 },
    );
    expect(violations).toBeGreaterThan(100);
  });
});

/** Wing and Gong without any art: each operation that may come first, tried first. */
function anyOrder(left: RegisterHistory, state: number): boolean {
  if (left.every((each) => each.return === Infinity)) return true;
  const firstReturn = Math.min(...left.map((each) => each.return));
  return left.some((each) => {
    if (each.call > firstReturn) return false;
    const rest = left.filter((other) => other !== each);
    return register.step(state, each.op, each.result).some((next) => anyOrder(rest, next));
  });
}

// ---- the policy store -----------------------------------------------------------------------------------------------

type StoreHistory = Operation<StoreOp, StoreResult>[];

const set = (value: string | null, at: number, revision: number, ifRevision?: number): StoreHistory[number] => ({
  client: 1,
  call: at,
  return: at + 1,
  op: { type: "write", key: "k", value, ...(ifRevision === undefined ? {} : { ifRevision }) },
  result: { ok: true, value, revision },
});
const lost = (value: string | null, at: number, ifRevision?: number): StoreHistory[number] => ({
  client: 1,
  call: at,
  return: Infinity,
  op: { type: "write", key: "k", value, ...(ifRevision === undefined ? {} : { ifRevision }) },
});
const refused = (at: number, revision: number, ifRevision: number): StoreHistory[number] => ({
  client: 1,
  call: at,
  return: at + 1,
  op: { type: "write", key: "k", value: "x", ifRevision },
  result: { ok: false, revision },
});
const get = (value: string | null, at: number, revision: number): StoreHistory[number] => ({
  client: 2,
  call: at,
  return: at + 1,
  op: { type: "read", key: "k" },
  result: { ok: true, value, revision },
});

describe("of the policy store", () => {
  test.each<[string, StoreHistory]>([
    ["writes with growing revisions", [set("a", 0, 1), get("a", 2, 1), set("b", 4, 7), get("b", 6, 7)]],
    ["compare-and-set", [set("a", 0, 3, 0), refused(2, 3, 2), set("b", 4, 5, 3), set(null, 6, 6, 5), get(null, 8, 0)]],
    ["a write of what is there", [set("a", 0, 3), set("a", 2, 3), get("a", 4, 3)]],
    [
      "an unknown write whose revision is seen later",
      [lost("a", 0), get("a", 2, 4), refused(4, 4, 3), set("b", 6, 5, 4)],
    ],
    ["an unknown compare-and-set that failed", [set("a", 0, 1), lost("b", 2, 9), get("a", 4, 1)]],
    ["an unknown deletion", [set("a", 0, 1), lost(null, 2), get("a", 4, 1), get(null, 6, 0)]],
  ])("linearizable: %s", (_, history) => {
    expect(checkHistory(policyModel, history).verdict).toBe("linearizable");
  });

  test.each<[string, StoreHistory]>([
    ["a revision that falls", [set("a", 0, 5), set("b", 2, 4)]],
    ["one revision twice", [set("a", 0, 5), set("b", 2, 5)]],
    ["both of two compare-and-sets on one revision", [set("a", 0, 1), set("b", 2, 2, 1), set("c", 2, 3, 1)]],
    ["a refusal without reason", [set("a", 0, 1), refused(2, 1, 1)]],
    ["a refusal by a revision that never was", [set("a", 0, 1), refused(2, 9, 2)]],
    ["a compare-and-set that failed, seen", [set("a", 0, 5), lost("b", 2, 1), get("b", 4, 6)]],
    ["an unknown write with two revisions", [lost("a", 0), get("a", 2, 4), get("a", 4, 5)]],
    ["an unknown write with a revision of before", [set("a", 0, 5), lost("b", 2), get("b", 4, 3)]],
    ["a write that happened twice", [lost("a", 0), get("a", 2, 1), set("b", 4, 2), get("a", 6, 3)]],
    ["a deletion that came back", [set("a", 0, 1), set(null, 2, 2), get("a", 4, 1)]],
  ])("no: %s", (_, history) => {
    expect(checkHistory(policyModel, history).verdict).toBe("violation");
  });

  test("keys are checked each for itself", () => {
    const other = (history: StoreHistory): StoreHistory =>
      history.map((each) => ({ ...each, op: { ...each.op, key: "other" } }));
    expect(checkHistory(policyModel, [set("a", 0, 1), ...other([get(null, 2, 0)])]).verdict).toBe("linearizable");
    expect(checkHistory(policyModel, [set("a", 0, 1), ...other([get("a", 2, 1)])])).toMatchObject({
      verdict: "violation",
      partition: "other",
    });
  });

  test("what a real store does under concurrent clients passes, with unknown outcomes too", () => {
    for (let seed = 0; seed < 150; seed += 1) {
      const verdict = checkHistory(policyModel, generated(seed, 60));
      expect([seed, verdict.verdict]).toEqual([seed, "linearizable"]);
    }
  });

  test("and once a store forgets what it acknowledged, or answers from a copy that lags, it is caught", () => {
    for (const fault of ["forgets", "lags", "twice"] as const) {
      let caught = 0;
      for (let seed = 0; seed < 40; seed += 1) {
        caught += checkHistory(policyModel, generated(seed, 60, fault)).verdict === "violation" ? 1 : 0;
      }
      expect([fault, caught >= 20 ? "caught" : caught]).toEqual([fault, "caught"]);
    }
  });
});

type Fault = "forgets" | "lags" | "twice";

/** Clients with one operation at a time each; what each does takes effect at one moment between its call and return. */
function generated(seed: number, operations: number, fault?: Fault): StoreHistory {
  const prng = new Prng(seed);
  const items = new Map<string, { value: string; revision: number }>();
  let revision = 0;
  /** What the faulty store does later. */
  let again: (StoreOp & { type: "write" }) | undefined;
  const perform = (op: StoreOp, stale: ReadonlyMap<string, { value: string; revision: number }>): StoreResult => {
    const item = items.get(op.key);
    if (op.type === "read") {
      const shown = fault === "lags" && prng.int(4) === 0 ? stale.get(op.key) : item;
      return { ok: true, value: shown?.value ?? null, revision: shown?.revision ?? 0 };
    }
    const found = item?.revision ?? 0;
    if ((op.ifRevision ?? found) !== found || (op.value === null && item === undefined))
      return { ok: false, revision: found };
    if (op.value === item?.value) return { ok: true, value: op.value, revision: found };
    revision += 1;
    if (fault === "forgets" && prng.int(6) === 0) return { ok: true, value: op.value, revision };
    if (fault === "twice" && prng.int(4) === 0) again = op;
    if (op.value === null) items.delete(op.key);
    else items.set(op.key, { value: op.value, revision });
    return { ok: true, value: op.value, revision };
  };
  const planned = Array.from({ length: operations }, (_, index) => {
    const call = Math.floor(index / 4) * 10 + prng.int(10);
    const point = call + 1 + prng.int(12);
    return { index, call, point, end: point + 1 + prng.int(6), client: index % 4, isLost: prng.int(12) === 0 };
  }).toSorted((a, b) => a.point - b.point);
  const history: StoreHistory = [];
  let before = new Map(items);
  for (const { index, call, end, client, isLost } of planned) {
    const key = `k${prng.int(2)}`;
    const guess = items.get(key)?.revision ?? 0;
    const kind = prng.int(5);
    const op: StoreOp =
      kind < 2
        ? { type: "read", key }
        : {
            type: "write",
            key,
            value: prng.int(6) === 0 ? null : `v${index}`,
            ...(kind === 4 ? { ifRevision: prng.int(3) === 0 ? guess + 1 : guess } : {}),
          };
    if (index % 20 === 0) before = new Map(items);
    if (again !== undefined && prng.int(3) === 0) {
      const { key: other, value } = again;
      revision += 1;
      if (value !== null) items.set(other, { value, revision });
      again = undefined;
    }
    // The clients' own faults: an operation of unknown outcome may never have arrived.
    if (isLost && prng.int(2) === 0) history.push({ client, call, return: Infinity, op });
    else {
      const result = perform(op, before);
      history.push(isLost ? { client, call, return: Infinity, op } : { client, call, return: end, op, result });
    }
  }
  return history;
}
