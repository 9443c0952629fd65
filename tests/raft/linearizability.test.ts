/**
 * What the clients of the seeded world saw, judged without any knowledge of the log: each register's history is
 * linearizable.
 */
import { expect, test } from "bun:test";
import { checkHistory, type Model, type Operation as Judged } from "../linearizability/wgl.ts";
import type { Op, Operation } from "./clients.ts";
import { simulate } from "./world.ts";

const FIRST = Number(process.env["SEED"] ?? 1);
const SEEDS = process.env["SEED"] === undefined ? 40 : 1;

/** Where dozens of operations wait for a leader at once the search would take for ever: those runs have no verdict. */
const STEPS_MAX = 5_000;

interface Register {
  readonly value: number;
  readonly place: number;
}

/** As in a store with revisions: a write tells its place, and a read the place of what it read. */
const registers: Model<Register, Op, number> = {
  initial: { value: 0, place: 0 },
  step: (state, op, place) => {
    if (op.kind === "get") return op.value === state.value && place === state.place ? [state] : [];
    return place! > state.place ? [{ value: op.value, place: place! }] : [];
  },
  keyOf: ({ place }) => String(place),
  partition: ({ register }) => String(register),
};

/**
 * Without the operations of unknown outcome that nobody saw: a get changes nothing, and a put whose value was never read
 * may as well not have happened. The place of others is that at which they were seen.
 */
function judged(history: readonly Operation[]): Judged<Op, number>[] {
  const places = new Map<number, number>();
  for (const { op, returnMs, place } of history) {
    if (op.kind === "get" && returnMs !== undefined) places.set(op.value, place);
  }
  return history.flatMap(({ client, callMs, returnMs, op, place }) => {
    const call = { client, call: callMs, op };
    if (returnMs !== undefined) return [{ ...call, return: returnMs, result: place }];
    const seen = op.kind === "put" ? places.get(op.value) : undefined;
    return seen === undefined ? [] : [{ ...call, return: Infinity, result: seen }];
  });
}

test(`what clients saw is linearizable (seeds ${FIRST} to ${FIRST + SEEDS - 1})`, () => {
  const verdicts: string[] = [];
  let operations = 0;
  for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) {
    const { history } = simulate(seed);
    operations += history.length;
    const { verdict } = checkHistory(registers, judged(history), STEPS_MAX);
    expect([seed, verdict]).not.toEqual([seed, "violation"]);
    verdicts.push(verdict);
  }
  if (SEEDS === 1) return;
  expect(operations).toBeGreaterThan(40 * SEEDS);
  expect(verdicts.filter((verdict) => verdict === "linearizable").length).toBeGreaterThan(0.7 * SEEDS);
});

test("and a read of what was overwritten before it began is not", () => {
  const { history } = simulate(1);
  const done = history.filter(({ returnMs }) => returnMs !== undefined);
  const put = done.find(({ op }) => op.kind === "put")!;
  const later = done.find(
    ({ op, callMs }) => op.kind === "put" && op.register === put.op.register && callMs > put.returnMs!,
  )!;
  const callMs = later.returnMs! + 1;
  const late: Operation = {
    client: -1,
    callMs,
    returnMs: callMs + 1,
    op: { ...put.op, kind: "get" },
    place: put.place,
  };
  const before = done.filter(({ returnMs }) => returnMs! < callMs);
  expect(checkHistory(registers, judged([...before, late])).verdict).toBe("violation");
});
