/** Where requests may go by the policies: seen in the rows that the main thread writes, and that a worker then picks. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import { Eligibility, type PlacementRules } from "../../src/proxy/eligibility.ts";
import { Placement } from "../../src/proxy/placement.ts";
import { costSettings } from "../../src/score/cost.ts";
import { COLUMN, rowWord } from "../../src/score/layout.ts";
import { MODEL_STATES } from "../../src/base/runtime-terms.ts";
import type { ModelSample } from "../../src/score/sample.ts";
import { RowSides } from "../../src/score/row-sides.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { figuresOf } from "../../src/score/terms.ts";
import { modelSample, nodeSample, targetOf } from "../fleet/samples.ts";

const NO_LIMITS: PlacementRules["limits"] = new Map();

function rulesOf(some: Partial<PlacementRules>): PlacementRules {
  return {
    isClosed: () => false,
    allows: () => true,
    limits: NO_LIMITS,
    zone: () => undefined,
    revision: () => "",
    weight: () => 1,
    ...some,
  };
}

class Mesh {
  readonly table = ScoreTable.create({ targetsMax: 128, modelsMax: 4, workersMax: 2 });
  readonly placement = new Placement(this.table, { resetRow() {}, resetModel() {} }, defaultsOf(costSettings));
  readonly nodes = new Map<string, Target>();
  readonly find = (id: string): Target | undefined => this.nodes.get(id);

  constructor(...targets: Target[]) {
    this.set(...targets);
  }

  set(...targets: Target[]): void {
    for (const one of targets) this.nodes.set(one.id, one);
    this.#sync(targets.map(({ id }) => id));
  }

  leave(id: string): void {
    this.nodes.delete(id);
    this.#sync([id]);
  }

  #sync(ids: readonly string[]): void {
    const routes = this.placement.sync(ids, this.find, 0, 1);
    if (routes !== null) this.placement.routed(routes.version, [...this.nodes.values()], 0);
  }

  obey(some: Partial<PlacementRules> | null): ReturnType<Placement["setRules"]> {
    const routes = this.placement.setRules(some === null ? null : rulesOf(some), [...this.nodes.values()], 0);
    if (routes !== null) this.placement.routed(routes.version, [...this.nodes.values()], 0);
    return routes;
  }

  /** The targets that may be sent to for the model. */
  open(model = "m"): string[] {
    const rows = [...this.placement.places()].filter((place) => place.model === model);
    const isOpen = (row: number): boolean =>
      (this.table.floats[this.table.blocksWord + rowWord(row) + COLUMN.capacity] ?? 0) > 0;
    return rows
      .filter(({ row }) => isOpen(row))
      .map((place) => place.target)
      .toSorted();
  }
}

describe("a model's state", () => {
  const told = (id: string, change: Partial<ModelSample> | undefined): Target =>
    targetOf(id, { lastSample: nodeSample({ models: change === undefined ? [] : [modelSample(change)] }) });

  test("opens a node for it when it is loaded, and in no other one", () => {
    const mesh = new Mesh(...MODEL_STATES.map((state) => told(state, { state })), told("silent", undefined));
    expect(mesh.open()).toEqual(["loaded", "silent"]);
    mesh.set(told("loaded", { state: "unloading" }), told("warming", { state: "loaded" }));
    expect(mesh.open()).toEqual(["silent", "warming"]);
  });

  test("of a streamed sample counts at once", () => {
    const mesh = new Mesh(told("a", { state: "loading" }));
    const loaded = told("a", { state: "loaded" });
    mesh.placement.sampled(loaded, mesh.placement.mark(loaded), 0, 0);
    expect(mesh.open()).toEqual(["a"]);
  });
});

describe("pins and cordons", () => {
  test("take effect at once on rows that are there, and are lifted as quickly", () => {
    const mesh = new Mesh(targetOf("a"), targetOf("b"), targetOf("c"));
    expect(mesh.open()).toEqual(["a", "b", "c"]);
    expect(mesh.obey({ allows: (model, node) => model !== "m" || node === "b" })).toBeNull();
    expect(mesh.open()).toEqual(["b"]);
    mesh.obey({ isClosed: (node) => node === "b" });
    expect(mesh.open()).toEqual(["a", "c"]);
    expect([...mesh.placement.serving(mesh.find)].map(([model, on]) => [model, on.map(({ id }) => id)])).toEqual([
      ["m", ["a", "c"]],
    ]);
    mesh.obey(null);
    expect(mesh.open()).toEqual(["a", "b", "c"]);
  });

  test("hold for who comes later, and by labels as they are now", () => {
    const mesh = new Mesh(targetOf("a", { labels: { gpu: "h100" } }));
    mesh.obey({ allows: (_model, _node, labels) => labels["gpu"] === "h100" });
    mesh.set(targetOf("b"), targetOf("c", { labels: { gpu: "h100" } }));
    expect(mesh.open()).toEqual(["a", "c"]);
    mesh.set(targetOf("a", { labels: { gpu: "l4" } }), targetOf("b", { labels: { gpu: "h100" } }));
    expect(mesh.open()).toEqual(["b", "c"]);
  });

  test("let what is in flight go on", () => {
    const mesh = new Mesh(targetOf("a"));
    const [place] = [...mesh.placement.places()];
    expect(mesh.table.tryBegin(0, place!.row, 10)).toBe(true);
    mesh.obey({ isClosed: () => true });
    expect(mesh.open()).toEqual([]);
    expect(mesh.table.tryBegin(0, place!.row, 10)).toBe(false);
    expect(mesh.table.inFlight(place!.row)).toBe(1);
    mesh.table.endPrefill(0, place!.row, 10);
    mesh.table.end(0, place!.row);
    expect(mesh.table.inFlight(place!.row)).toBe(0);
  });
});

describe("a limit of replicas", () => {
  const limited = (replicas: number, nodes: readonly string[] = []): Partial<PlacementRules> => ({
    limits: new Map([["m", { replicas, nodes }]]),
  });

  test("goes by the order of the pin's nodes; who can't serve makes way, and is back when it can", () => {
    const mesh = new Mesh(targetOf("a"), targetOf("b"), targetOf("c"), targetOf("d"));
    mesh.obey(limited(2, ["c", "a", "d"]));
    expect(mesh.open()).toEqual(["a", "c"]);
    mesh.set(targetOf("c", { state: "unhealthy" }));
    expect(mesh.open()).toEqual(["a", "d"]);
    mesh.leave("a");
    expect(mesh.open()).toEqual(["b", "d"]);
    mesh.set(targetOf("c"));
    expect(mesh.open()).toEqual(["c", "d"]);
    mesh.obey({ ...limited(2, ["c", "a", "d"]), isClosed: (node) => node === "d" });
    expect(mesh.open()).toEqual(["b", "c"]);
  });

  test("counts only those whom workers know of: a new one takes nobody's place before it can be sent to", () => {
    const mesh = new Mesh(targetOf("b"));
    mesh.obey(limited(1, ["a"]));
    mesh.nodes.set("a", targetOf("a"));
    const routes = mesh.placement.sync(["a"], mesh.find, 0, 1);
    expect(mesh.open()).toEqual(["b"]);
    mesh.placement.routed(routes!.version, [...mesh.nodes.values()], 0);
    expect(mesh.open()).toEqual(["a"]);
  });

  test("leaves other models alone", () => {
    const mesh = new Mesh(targetOf("a", { models: ["m", "n"] }), targetOf("b", { models: ["m", "n"] }));
    mesh.obey(limited(1));
    expect(mesh.open()).toHaveLength(1);
    expect(mesh.open("n")).toEqual(["a", "b"]);
  });

  test("is kept whoever comes and goes; a node that does moves nobody else, and every router chooses alike", () => {
    const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 20 });
    const choose = (model: string, replicas: number, from: readonly string[]): string[] => {
      const eligibility = new Eligibility();
      eligibility.setRules(rulesOf({ limits: new Map([[model, { replicas, nodes: [] }]]) }));
      eligibility.choose(from.map((id) => [model, { node: id, labels: {} }]));
      return from.filter((id) => eligibility.allows(model, { node: id, labels: {} }));
    };
    fc.assert(
      fc.property(ids, fc.integer({ min: 1, max: 8 }), fc.string(), (all, replicas, model) => {
        const chosen = choose(model, replicas, all);
        expect(chosen).toHaveLength(Math.min(replicas, all.length));
        expect(choose(model, replicas, all.toReversed()).toSorted()).toEqual(chosen.toSorted());
        const without = choose(
          model,
          replicas,
          all.filter((id) => id !== chosen[0]),
        );
        expect(new Set(chosen.slice(1)).isSubsetOf(new Set(without))).toBe(true);
      }),
    );
  });

  test("spreads models over the nodes", () => {
    const nodes = Array.from({ length: 8 }, (_, n) => `node-${n}`);
    const counts = new Map<string, number>();
    for (let n = 0; n < 400; n++) {
      const model = `model-${n}`;
      const eligibility = new Eligibility();
      eligibility.setRules(rulesOf({ limits: new Map([[model, { replicas: 1, nodes: [] }]]) }));
      eligibility.choose(nodes.map((id) => [model, { node: id, labels: {} }]));
      const [first = ""] = nodes.filter((id) => eligibility.allows(model, { node: id, labels: {} }));
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    expect(Math.max(...counts.values())).toBeLessThan(80);
    expect(counts.size).toBe(8);
  });
});

test("weights count more or less by policy, in rows and in routes; workers learn of a change", () => {
  const mesh = new Mesh(targetOf("a", { weight: 2 }), targetOf("b"));
  const weights = (): number[] => mesh.placement.snapshot().rows.map(({ weight }) => weight);
  expect(weights()).toEqual([2, 1]);
  expect(mesh.obey({ weight: (_model, node) => (node === "a" ? 3 : 1) })?.rows.map(({ weight }) => weight)).toEqual([
    6, 1,
  ]);
  expect(mesh.obey({ weight: (_model, node) => (node === "a" ? 3 : 1) })).toBeNull();
  const perToken = (index: number): number => {
    const row = [...mesh.placement.places()][index]!.row;
    return mesh.table.floats[mesh.table.blocksWord + rowWord(row) + COLUMN.secondsPerPrefillToken]!;
  };
  expect(perToken(1) / perToken(0)).toBeCloseTo(6);
  mesh.set(targetOf("a", { weight: 1 }));
  expect(weights()).toEqual([3, 1]);
  expect(mesh.obey(null)?.rows.map(({ weight }) => weight)).toEqual([1, 1]);
});

describe("zones", () => {
  const cost = { ...defaultsOf(costSettings), zone: "a" };

  function bed(preference?: "any" | "prefer" | "only", own = "a") {
    const table = ScoreTable.create({ targetsMax: 128, modelsMax: 4, workersMax: 2 });
    const placement = new Placement(table, { resetRow() {}, resetModel() {} }, { ...cost, zone: own });
    const ready = { metricsPort: 9090, lastSample: nodeSample({ models: [modelSample()] }), sampledAtMs: 0 };
    const targets = (["near a", "away b", "somewhere "] as const).map((each) => {
      const [id = "", zone = ""] = each.split(" ");
      return targetOf(id, { ...ready, zone });
    });
    const find = (id: string): Target | undefined => targets.find((one) => one.id === id);
    const routes = placement.sync(
      targets.map(({ id }) => id),
      find,
      0,
      1,
    );
    if (preference !== undefined) placement.setRules(rulesOf({ zone: () => preference }), targets, 0);
    placement.routed(routes!.version, targets, 0);
    return new Map(
      [...placement.places()].map(({ target: id, row }) => {
        const { penaltySeconds, capacity } = figuresOf(table, row);
        return [id, { penaltySeconds, isOpen: capacity > 0, isAway: new RowSides(table).isAway(row) }];
      }),
    );
  }

  test("make another one dearer, unless the policy says otherwise", () => {
    for (const rows of [bed(), bed("prefer")]) {
      expect(rows.get("away")!.penaltySeconds - rows.get("near")!.penaltySeconds).toBeCloseTo(cost.awaySeconds, 5);
      expect([...rows.values()].map(({ isAway }) => isAway)).toEqual([false, true, false]);
      expect([...rows.values()].every(({ isOpen }) => isOpen)).toBe(true);
    }
    const any = bed("any");
    expect(any.get("away")).toEqual(any.get("near"));
  });

  test("only: nodes elsewhere get nothing, those of which nobody says do", () => {
    expect([...bed("only")].map(([id, { isOpen }]) => [id, isOpen])).toEqual([
      ["near", true],
      ["away", false],
      ["somewhere", true],
    ]);
  });

  test("count nothing for a router that has none", () => {
    const rows = bed("only", "");
    expect([...rows.values()].every(({ isOpen, isAway }) => isOpen && !isAway)).toBe(true);
  });
});
