/** What a node knows of etcd, whatever comes first: the answer to its own transaction, or the feed that tells of it. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Event } from "../../src/gen/etcd.js";
import { EtcdKeys } from "../../src/store/etcd-keys.ts";
import { EtcdMirror, type Step } from "../../src/store/etcd-mirror.ts";
import { EtcdPlan } from "../../src/store/etcd-plan.ts";
import type { Write } from "../../src/policy/write.ts";
import { gone, put } from "./store-writes.ts";

const keys = new EtcdKeys("m");

interface Transaction {
  readonly at: number;
  readonly events: readonly Event.$Properties[];
  readonly steps: readonly Step[];
}

/** What a store did, transaction by transaction, each of one or more writes. */
function transactionsOf(batches: readonly (readonly Write[])[]): { made: Transaction[]; end: EtcdMirror } {
  const end = new EtcdMirror(keys);
  const made: Transaction[] = [];
  let at = 5;
  for (const batch of batches) {
    let queue = batch.map((write) => ({ writes: [write], key: "", fingerprint: "" }));
    while (queue.length > 0) {
      const plan = new EtcdPlan(keys, end, queue, 0);
      queue = queue.slice(plan.entries.length);
      if (plan.changes.length === 0) continue;
      at += 1 + (at % 3);
      const events = plan.events(at);
      made.push({ at, events, steps: end.change(events) });
    }
  }
  return { made, end };
}

const write = fc
  .tuple(fc.constantFrom("a", "b", "c"), fc.nat(3))
  .map(([name, value]): Write => (value === 0 ? gone("pin", name) : put("pin", name, { minReplicas: value })));
const batches = fc.array(fc.array(write, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 });
/** For each transaction: -1 of another node; 0: the answer comes before the feed; otherwise so many transactions after. */
const answers = fc.array(fc.integer({ min: -1, max: 3 }), { minLength: 60, maxLength: 60 });

describe("the mirror", () => {
  test("has the same state and tells the same steps, each once, in whatever order answers and feed come", () => {
    fc.assert(
      fc.property(batches, answers, (written, when) => {
        const { made, end } = transactionsOf(written);
        const mirror = new EtcdMirror(keys);
        const steps: Step[] = [];
        for (const [i, { events }] of made.entries()) {
          if (when[i] === 0) steps.push(...mirror.change(events));
          steps.push(...mirror.change(events));
          for (const [j, late] of when.slice(0, i).entries()) {
            if (late > 0 && i - j === late) steps.push(...mirror.change(made[j]!.events));
          }
        }
        expect(steps).toEqual(made.flatMap((transaction) => transaction.steps));
        expect(mirror.list()).toEqual(end.list());
        const measures = ({ revision, at, size, specsBytes }: EtcdMirror) => ({ revision, at, size, specsBytes });
        expect(measures(mirror)).toEqual(measures(end));
      }),
      { numRuns: 300 },
    );
  });

  test("each write of a transaction is a step of its own, deletions too", () => {
    const { made } = transactionsOf([[put("pin", "a", { minReplicas: 1 }), put("pin", "b", { minReplicas: 1 })]]);
    expect(made).toHaveLength(1);
    expect(made[0]!.steps.map(({ revision, changes }) => [revision, changes.length])).toEqual([
      [1, 1],
      [2, 1],
    ]);
    const { made: more } = transactionsOf([
      [put("pin", "a", { minReplicas: 1 }), put("pin", "b", { minReplicas: 1 })],
      [gone("pin", "b"), gone("pin", "a")],
    ]);
    expect(more[1]!.steps).toEqual([
      { revision: 3, changes: [{ deleted: { kind: "pin", name: "b" }, revision: 3 }] },
      { revision: 4, changes: [{ deleted: { kind: "pin", name: "a" }, revision: 4 }] },
    ]);
  });

  test("no key is twice in one transaction, so that no revision of it is lost", () => {
    const { made } = transactionsOf([[put("pin", "a", { minReplicas: 1 }), put("pin", "a", { minReplicas: 2 })]]);
    expect(made.map(({ steps }) => steps.map(({ revision }) => revision))).toEqual([[1], [2]]);
  });
});
