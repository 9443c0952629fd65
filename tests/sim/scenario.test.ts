/** Scenarios: what is wrong with one is told, all of it; what is right is played as it says, the same way each time. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseSection } from "../../src/base/settings-reading.ts";
import { resultOf } from "../../src/sim/figures.ts";
import { PROFILES } from "../../src/sim/profile.ts";
import { type Scenario, scenarioSettings, STRATEGIES } from "../../src/sim/scenario.ts";
import { groupsOfCell, playCell } from "../../src/sim/scenario-world.ts";
import { SIZE_NAMES, sizedScenario } from "../../src/sim/sizes.ts";
import { sliced } from "../../src/sim/slice.ts";
import { seeded } from "./seeded.ts";

function scenario(tree: Record<string, unknown>): Scenario {
  const { value, faults } = parseSection(scenarioSettings, tree);
  expect(faults).toBeUndefined();
  return value!;
}

const faultsOf = (tree: unknown): string[] =>
  (parseSection(scenarioSettings, tree).faults ?? []).map(({ path }) => path);
const play = (of: Scenario, strategy: Scenario["strategy"] = of.strategy, cell = 0) =>
  playCell(of, strategy, cell, new Map());

const SMALL = {
  duration: "10s",
  nodes: [
    { name: "fast", profile: "h100-8b", count: 2, pricePerHour: 3 },
    { name: "slow", profile: "a100-8b", slice: "3g", count: 2, zone: "b", pricePerHour: 1 },
  ],
  routers: { count: 2, zones: ["a", "b"] },
  workload: [{ rate: 20, promptTokens: 800, outputTokens: 40 }],
};

describe("a scenario's faults", () => {
  test("unknown keys and wrong values are told together, with their paths", () => {
    const tree = {
      sead: 3,
      nodes: [{ count: 1 }, { profile: "b200", count: 0, prize: 3 }],
      workload: [{ rate: -1 }, "chat"],
      routers: { zones: ["a b"] },
      duration: 30,
    };
    expect(faultsOf(tree).toSorted()).toEqual(
      [
        "sead",
        "nodes[1].profile",
        "nodes[1].count",
        "nodes[1].prize",
        "workload[0].rate",
        "workload[1]",
        "routers.zones[0]",
        "duration",
      ].toSorted(),
    );
  });

  for (const [what, tree, paths] of [
    ["no nodes", { nodes: [] }, ["nodes"]],
    ["no work", { workload: [] }, ["workload"]],
    ["no zone for routers", { routers: { zones: [] } }, ["routers.zones"]],
    ["cells that nodes can't be parted among", { cells: 3, nodes: [{ count: 4 }] }, ["nodes[0].count"]],
    ["too many in one cell", { nodes: [{ count: 8192 }] }, ["cells"]],
    ["two models", { nodes: [{}, { name: "big", profile: "h100-70b" }] }, ["nodes[1].profile"]],
    ["a slice that can't hold the model", { nodes: [{ slice: "1g" }] }, ["nodes[0].slice"]],
    ["a slice of a GPU that has none", { nodes: [{ profile: "l40s-8b", slice: "3g" }] }, ["nodes[0].slice"]],
    ["two groups of one name", { nodes: [{}, {}] }, ["nodes[1].name"]],
    ["a failure of nobody", { failures: [{ group: "x" }] }, ["failures[0].group"]],
    ["a failure of more than there are", { failures: [{ count: 2 }] }, ["failures[0].count"]],
    ["a failure in no cell", { failures: [{ cell: 1 }] }, ["failures[0].cell"]],
    ["a trace without a file", { workload: [{ arrivals: "trace" }] }, ["workload[0].trace"]],
    ["a file without a trace", { workload: [{ trace: "a.csv" }] }, ["workload[0].trace"]],
  ] as const) {
    test(what, () => expect(faultsOf(tree)).toEqual([...paths]));
  }

  test("nothing that is given makes reading throw, and what is taken can be played", () => {
    const item = fc.oneof(
      fc.jsonValue(),
      fc.record({ count: fc.jsonValue(), rate: fc.jsonValue(), kind: fc.jsonValue() }),
    );
    const tree = fc.record(
      { nodes: fc.array(item), workload: fc.array(item), failures: fc.array(item), cells: fc.jsonValue(), late: item },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(tree, (given) => {
        const { value, faults } = parseSection(scenarioSettings, given);
        expect(value === undefined).toBe((faults ?? []).length > 0);
        if (value !== undefined) expect(groupsOfCell(value).length).toBeGreaterThan(0);
      }),
    );
  });

  test("the sizes that are generated are right, and as large as they say", () => {
    const counts = SIZE_NAMES.map((name) => {
      const tree = Bun.YAML.parse(sizedScenario(name)) as Record<string, unknown>;
      const of = scenario(tree);
      return [of.cells * groupsOfCell(of).length, groupsOfCell(of).length, of.workload[0]!.rate];
    });
    expect(counts).toEqual([
      [512, 512, 800],
      [8192, 1024, 12_800],
      [131_072, 1024, 204_800],
    ]);
  });
});

describe("a part of a GPU", () => {
  const a100 = PROFILES["a100-8b"];

  test("computes and reads as much less as it has less", () => {
    const half = sliced(a100, "3g")!;
    expect(half.prefillTokensPerSecond / a100.prefillTokensPerSecond).toBeCloseTo(3 / 7, 3);
    expect(half.stepPerContextTokenMs / a100.stepPerContextTokenMs).toBeCloseTo(2, 6);
    expect(half.stepBaseMs).toBeCloseTo((a100.stepBaseMs - 1) * 2 + 1, 6);
    // Weights take the same of less memory.
    expect(half.kvBlocks).toBeLessThan(a100.kvBlocks / 2);
    expect(sliced(a100, "7g")!.kvBlocks).toBe(a100.kvBlocks);
    expect(sliced(a100, "whole")).toBe(a100);
    expect(sliced(a100, "2g")).toBeNull();
    expect(sliced(PROFILES["h100-70b"], "3g")).toBeNull();
  });
});

describe("a scenario that is played", () => {
  seeded("ends the same way by the same seed, and otherwise by another", (seed) => {
    const of = scenario({ ...SMALL, seed, network: { jitter: "1ms" }, samples: { loss: 0.1 } });
    for (const strategy of STRATEGIES) {
      const [{ overTime, ...first }, { overTime: again, ...second }] = [play(of, strategy), play(of, strategy)];
      expect(second).toEqual(first);
      expect([...again.waiting]).toEqual([...overTime.waiting]);
    }
    expect(play({ ...of, seed: seed + 1 }).ttftsMs).not.toEqual(play(of).ttftsMs);
  });

  seeded("every request ends in exactly one way, whatever fails", (seed) => {
    const failures = [
      { kind: "flap", group: "fast", at: "1s", for: "5s", every: "1s" },
      { kind: "down", group: "slow", at: "2s", for: "3s" },
      { kind: "cold", group: "slow", count: 2, for: "1500ms" },
      { kind: "slow", group: "fast", count: 2, at: "4s", for: "2s", factor: 4 },
    ];
    const of = scenario({ ...SMALL, seed, failures });
    const asked = play(scenario({ ...SMALL, seed })).ttftsMs.length;
    for (const strategy of STRATEGIES) {
      const { figures } = resultOf(of, strategy, [play(of, strategy)], 1);
      expect(figures.served + figures.lost + figures.refused).toBe(figures.requests);
      expect(figures.requests).toBe(asked);
      expect(figures.goodput).toBeWithin(0, 1 + 1e-9);
    }
    expect(play(of, "round-robin").lost).toBeGreaterThan(0);
  });

  test("what no node can hold is refused, and counted", () => {
    const of = scenario({
      ...SMALL,
      workload: [{ rate: 2, promptTokens: 1_000_000, tokensMax: 1_000_000, promptSigma: 0 }],
    });
    const { figures } = resultOf(of, "late", [play(of)], 1);
    expect(figures.refused).toBe(figures.requests);
    expect([figures.served, figures.goodput, figures.costBusy]).toEqual([0, 0, null]);
  });

  test("zones are as far from one another as it says", () => {
    const alone = { nodes: [{ zone: "b" }], workload: [{ rate: 1, promptSigma: 0, outputTokens: 1, outputSigma: 0 }] };
    const soonest = (network: object): number => Math.min(...play(scenario({ ...alone, network })).ttftsMs);
    const none = soonest({ within: "0s", between: "0s" });
    expect(soonest({ within: "7ms", between: "20ms" }) - none).toBeCloseTo(40, 6);
    expect(soonest({ within: "7ms", links: [{ from: "b", to: "a", oneWay: "50ms" }] }) - none).toBeCloseTo(100, 6);
    expect(soonest({ within: "0s", between: "0s", jitter: "5ms" }) - none).toBeGreaterThan(0);
  });

  test("cells are meshes of their own: together they serve what all were asked", () => {
    const of = scenario({ ...SMALL, cells: 2, workload: [{ rate: 40, outputTokens: 40 }] });
    const cells = [play(of, "late", 0), play(of, "late", 1)];
    expect(cells[0]!.busyMs.length).toBe(2);
    expect(cells[0]!.ttftsMs).not.toEqual(cells[1]!.ttftsMs);
    const { figures } = resultOf(of, "late", cells, 1);
    expect(figures.requests).toBe(cells[0]!.ttftsMs.length + cells[1]!.ttftsMs.length);
    expect(figures.ttftMs.max).toBe(Math.max(...cells.flatMap(({ ttftsMs }) => [...ttftsMs])));
    expect(figures.outputTokens).toBe(cells[0]!.outputTokens + cells[1]!.outputTokens);
  });

  test("cost is a node's price for its time at work, for 1,000 generated tokens", () => {
    const nodes = [{ pricePerHour: 3600 }];
    const of = scenario({ ...SMALL, nodes, routers: {} });
    const cell = play(of);
    const { figures } = resultOf(of, "late", [cell], 1);
    expect(figures.costBusy).toBeCloseTo((cell.busyMs[0]! / cell.outputTokens) * 1, 9);
    expect(figures.costProvisioned).toBeCloseTo((10_000 / cell.outputTokens) * 1, 9);
    expect(resultOf(scenario({ ...SMALL, nodes: [{}], routers: {} }), "late", [cell], 1).figures.costBusy).toBeNull();
  });

  test("utilisation over time, and of groups, is that of its nodes", () => {
    const of = scenario(SMALL);
    const cell = play(of, "round-robin");
    const { figures, curves } = resultOf(of, "round-robin", [cell], 1);
    const { utilisation, waiting } = curves.overTime;
    const seen = [...utilisation].filter((each) => !Number.isNaN(each));
    expect(seen.length).toBeGreaterThan(90);
    expect(seen.every((each) => each >= 0 && each <= 1 + 1e-9)).toBe(true);
    expect(seen.reduce((sum, each) => sum + each, 0) / seen.length).toBeCloseTo(figures.utilisation, 1);
    expect([...waiting].every((each) => Number.isNaN(each) || each >= 0)).toBe(true);
    expect((figures.utilisationByGroup[0]! + figures.utilisationByGroup[1]!) / 2).toBeCloseTo(figures.utilisation, 9);
    expect(curves.ttftCdfMs.every((each, at) => at === 0 || each >= curves.ttftCdfMs[at - 1]!)).toBe(true);
  });
});
