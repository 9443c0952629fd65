/** Models that are loaded by the request for them: which target is woken, and which are left asleep. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import { Placement } from "../../src/proxy/placement.ts";
import { costSettings } from "../../src/score/cost.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import type { ModelSample } from "../../src/score/sample.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { costOf, figuresOf } from "../../src/score/terms.ts";
import { modelSample, nodeSample, targetOf } from "../fleet/samples.ts";

const COLD = { state: "available", loadSeconds: 10 } as const;
const config = defaultsOf(costSettings);

/** Nodes that all know the model "m", each as it says; a clock that stands until it is moved. */
class Bed {
  readonly table = ScoreTable.create({ targetsMax: 128, modelsMax: 4, workersMax: 2 });
  readonly #placement = new Placement(this.table, { resetRow() {}, resetModel() {} }, config);
  readonly #picker = new TypeScriptPicker(this.table);
  readonly #pick = new PickRequest();
  readonly #targets = new Map<string, Target>();
  #nowMs = 0;

  constructor(nodes: Readonly<Record<string, Partial<ModelSample>>>) {
    for (const [id, sample] of Object.entries(nodes)) this.#set(id, sample);
    const ids = Object.keys(nodes);
    const routes = this.#placement.sync(ids, (id) => this.#targets.get(id), 0, 1);
    this.#placement.routed(routes?.version ?? 0, this.#all, 0);
    this.#pick.model = 0;
    this.#pick.promptTokens = 100;
  }

  get #all(): Target[] {
    return [...this.#targets.values()];
  }

  #set(id: string, sample: Partial<ModelSample>): Target {
    const lastSample = nodeSample({ models: [modelSample(sample)] });
    const target = targetOf(id, { metricsPort: 9090, lastSample, sampledAtMs: this.#nowMs });
    this.#targets.set(id, target);
    return target;
  }

  /** A node tells that it is otherwise. */
  tell(id: string, sample: Partial<ModelSample>): void {
    const target = this.#set(id, sample);
    this.#placement.sampled(target, this.#placement.mark(target), undefined, this.#nowMs);
  }

  leave(id: string): void {
    this.#targets.delete(id);
    this.#placement.sync([id], () => undefined, this.#nowMs, 1);
  }

  /** Rows are written anew once a second. */
  later(seconds: number): void {
    for (let left = seconds; left > 0; left--) {
      this.#nowMs += Math.min(1, left) * 1000;
      for (const [id, { lastSample }] of this.#targets) this.#set(id, lastSample?.models[0] ?? {});
      this.#placement.refresh(this.#all, this.#nowMs);
    }
  }

  #rowOf(id: string): number {
    return [...this.#placement.places()].find(({ target }) => target === id)?.row ?? -1;
  }

  /** Where the next request goes, which then is under way there. */
  next(): string {
    const row = this.#picker.pick(this.#pick);
    if (row < 0) return "nobody";
    this.table.tryBegin(0, row, 100);
    return [...this.#placement.places()].find((place) => place.row === row)?.target ?? "?";
  }

  many(count: number): string[] {
    return [...new Set(Array.from({ length: count }, () => this.next()))].toSorted();
  }

  end(id: string): void {
    const row = this.#rowOf(id);
    while (this.table.inFlight(row) > 0) {
      this.table.endPrefill(0, row, 100);
      this.table.end(0, row);
    }
  }

  /** What loading the model there costs. */
  load(id: string): number {
    const place = [...this.#placement.places()].find(({ target }) => target === id);
    const { terms } = costOf(figuresOf(this.table, this.#rowOf(id)), 100, 0, place?.loadSeconds);
    // It is a part of what the row costs, and here all of its penalty.
    expect(terms.penalty).toBe(0);
    return terms.load;
  }
}

describe("of targets that have a model loaded and others that have not", () => {
  test("the warm one is taken", () => {
    const bed = new Bed({ cold: COLD, warm: {}, other: COLD });
    expect(bed.many(20)).toEqual(["warm"]);
  });

  test("a cold one is taken when the warm ones are behind by more than its load takes", () => {
    const busy = { runningRequests: 200, slots: 256 };
    const bed = new Bed({ cold: COLD, warm: { ...busy, queuedPrefillTokens: 100_000 } });
    expect(bed.next()).toBe("warm");
    bed.tell("warm", { ...busy, queuedPrefillTokens: 400_000 });
    expect(bed.next()).toBe("cold");
  });

  test("a model that is only there, at a runtime that loads nothing by itself, takes no requests", () => {
    const bed = new Bed({ there: { state: "available" }, loading: { state: "loading" } });
    expect(bed.next()).toBe("nobody");
    bed.tell("loading", { state: "loading", loadSeconds: 3 });
    expect(bed.next()).toBe("loading");
  });
});

describe("of targets that are all cold", () => {
  const ALL = { a: COLD, b: COLD, c: COLD, d: COLD };

  test("a burst goes to one, before anybody knows that it is being loaded", () => {
    expect(new Bed(ALL).many(100)).toHaveLength(1);
  });

  test("all routers choose the same one, in whatever order they heard of them", () => {
    const first = new Bed(ALL).next();
    expect(new Bed(Object.fromEntries(Object.entries(ALL).toReversed())).next()).toBe(first);
  });

  test("the one that loads it soonest is woken", () => {
    expect(new Bed({ ...ALL, quick: { ...COLD, loadSeconds: 4 } }).many(50)).toEqual(["quick"]);
  });

  test("the one that has requests costs what is left, the others more than their time", () => {
    const bed = new Bed(ALL);
    const woken = bed.next();
    const others = Object.keys(ALL).filter((id) => id !== woken);
    // It is seen when rows are written anew.
    bed.later(1);
    expect(bed.load(woken)).toBe(10);
    bed.later(3);
    expect(bed.load(woken)).toBeCloseTo(7, 5);
    for (const id of others) expect(bed.load(id)).toBeCloseTo(20, 5);
    // Overdue, it still is no free choice.
    bed.later(37);
    expect(bed.load(woken)).toBeCloseTo(4, 5);
    expect(bed.many(50)).toEqual([woken]);
  });

  test("one that is being loaded by somebody else's doing is cheaper than waking another", () => {
    const bed = new Bed({ ...ALL, loading: { state: "loading", loadSeconds: 9 } });
    expect(bed.load("loading")).toBe(9);
    expect(bed.many(50)).toEqual(["loading"]);
    bed.tell("loading", {});
    expect(bed.load("loading")).toBe(0);
  });

  test("another one is the next when the first is gone, warm, or asleep again", () => {
    const bed = new Bed(ALL);
    const first = bed.next();
    bed.end(first);
    bed.leave(first);
    const second = bed.next();
    expect(second).not.toBe(first);
    bed.end(second);
    bed.later(1);
    expect(bed.load(second)).toBe(10);
    bed.tell(second, {});
    const left = Object.keys(ALL).filter((id) => id !== first && id !== second);
    expect(left.map((id) => bed.load(id)).toSorted((a, b) => a - b)).toEqual([10, 20]);
  });
});

test("at most one cold target of a model costs its bare time, whatever they tell in whatever order", () => {
  const ids = ["a", "b", "c", "d", "e"];
  const state = fc.oneof(
    fc.record({ state: fc.constant("loaded" as const), loadSeconds: fc.constant(undefined) }),
    fc.record({
      state: fc.constantFrom("available", "failed", "loading", "warming"),
      loadSeconds: fc.integer({ min: 1, max: 5 }),
    }),
  ) as fc.Arbitrary<Pick<ModelSample, "state" | "loadSeconds">>;
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...ids), state), { maxLength: 30 }), (tells) => {
      const bed = new Bed(Object.fromEntries(ids.map((id) => [id, {}])));
      const told = new Map<string, Pick<ModelSample, "state" | "loadSeconds">>();
      for (const [id, sample] of tells) {
        bed.tell(id, sample);
        told.set(id, sample);
        const all = [...told].map(([node, one]) => ({ ...one, node, load: bed.load(node) }));
        const asleep = all.filter(({ state: now }) => now === "available" || now === "failed");
        const isWaking = all.some(({ state: now }) => now === "loading" || now === "warming");
        const next = asleep.filter(({ load, loadSeconds }) => load === loadSeconds);
        expect(next).toHaveLength(isWaking || asleep.length === 0 ? 0 : 1);
        for (const { load } of next) expect(load).toBe(Math.min(...asleep.map(({ loadSeconds = 0 }) => loadSeconds)));
        for (const { load, loadSeconds = 0 } of asleep) expect([loadSeconds, 2 * loadSeconds]).toContain(load);
      }
    }),
  );
});
