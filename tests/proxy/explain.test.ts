/** Explanations: why each node can't be chosen, and that who is shown is whom the router would choose. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import type { Item } from "../../src/policy/item.ts";
import { PolicyViews } from "../../src/policy/policy-views.ts";
import { Decisions } from "../../src/proxy/decisions.ts";
import { Explainer, type Explanation } from "../../src/proxy/explain.ts";
import { verdictOf, type Way, type Within } from "../../src/proxy/explain-choice.ts";
import { gatewayScorer } from "../../src/proxy/gateway.ts";
import { placementPolicies } from "../../src/proxy/placement-policies.ts";
import { Placement } from "../../src/proxy/placement.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { LateState } from "../../src/proxy/late-state.ts";
import { costSettings } from "../../src/score/cost.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { ModelStrategy } from "../../src/score/model-strategy.ts";
import { ARRIVAL_STRATEGIES, arrivalStrategy } from "../../src/score/strategies.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { costOf, figuresOf } from "../../src/score/terms.ts";
import { gpuSample, modelSample, nodeSample, targetOf } from "../fleet/samples.ts";
import { PLAIN } from "../score/rows.ts";

const stats = { resetRow() {}, resetModel() {} };

const SAMPLED = { metricsPort: 9090, lastSample: nodeSample({ models: [modelSample()] }), sampledAtMs: 0 };
const target = (id: string, more: Partial<Target> = {}): Target => targetOf(id, { ...SAMPLED, ...more });

const policy = (kind: string, name: string, spec: object): Item =>
  ({ kind, name, spec, revision: 1, createdRevision: 1, updatedAtMs: 0 }) as unknown as Item;

/** A router's placement of these targets under these policies. */
function bed(
  targets: readonly Target[],
  items: readonly Item[] = [],
  isRouted = true,
  isLate = false,
  within?: Within,
) {
  const table = ScoreTable.create({ targetsMax: 512, modelsMax: 8, workersMax: 2 });
  const placement = new Placement(table, stats, defaultsOf(costSettings));
  const find = (id: string): Target | undefined => targets.find((one) => one.id === id);
  const routes = placement.sync(
    targets.map(({ id }) => id),
    find,
    0,
    1,
  );
  const views = new PolicyViews();
  views.reset(items, 1);
  const changed = placement.setRules(placementPolicies(items, views), targets, 0);
  if (isRouted) placement.routed(changed?.version ?? routes?.version ?? 0, targets, 0);
  const late = { waiting: 0, decider: "" };
  const state = new LateState(table, () => ({
    config: defaultsOf(lateSettings),
    desk: { heldFor: () => late.waiting, deciderOf: () => late.decider },
  }));
  const explainer = new Explainer({
    table,
    placement,
    target: find,
    targets: () => targets,
    views: () => views,
    late: state,
    ...(within === undefined ? {} : { within: () => within }),
    byDefault: () => (isLate ? "late" : "ttft"),
  });
  return { table, explainer, late };
}

const whyNot = ({ candidates }: Explanation, node: string): string =>
  candidates.find((one) => one.node === node)?.reason ?? "not there";

describe("pairs", () => {
  const withRole = (id: string, role: string, more: Partial<Target> = {}): Target =>
    target(id, { labels: { "infermesh.role": role }, ...more });
  const halves = [withRole("p", "vllm.prefill"), withRole("d", "vllm.decode")];

  test("are told of where they are sooner, with each half, and beside whole targets where they are not", () => {
    const { explainer } = bed(halves);
    const alone = explainer.explain("m", { promptTokens: 1000 });
    expect(alone.winner).toBe("d");
    expect(alone.reason).toMatch(
      /^a pair takes chats and completions in .* ms: p for the prompt \(.*\), d for what follows/,
    );
    const reasons = explainer.others("m").map(({ node, reason }) => `${node} ${reason}`);
    expect(reasons).toEqual([
      "p it computes prompts alone (vllm.prefill), in a pair with another",
      "d it computes what follows a prompt alone (vllm.decode), in a pair with another",
    ]);
    const beside = bed([...halves, target("w")]).explainer.explain("m", { promptTokens: 1000 });
    expect(beside.candidates.map(({ node }) => node)).toEqual(["w"]);
    expect(beside.reason).toContain("a pair takes chats and completions in");
  });

  test("that can't be made are told of as well", () => {
    const half = bed(halves.slice(1)).explainer.explain("m");
    expect(half).toMatchObject({ winner: "", candidates: [] });
    expect(half.reason).toContain("no pair of its targets can be taken");
    const ill = bed([halves[0]!, withRole("d", "vllm.decode", { state: "unhealthy" })]).explainer.explain("m");
    expect(ill.winner).toBe("");
    // A model without roles has nothing to do with them.
    expect(bed([target("w")]).explainer.explain("m").reason).not.toContain("pair");
  });

  test("of the past are named with both halves", () => {
    const { table, explainer } = bed([...halves, target("w")]);
    const decisions = new Decisions(table);
    const pick = new PickRequest();
    decisions.name(decisions.record(0, 65, 100, false, Date.now(), pick, null, undefined, 1), Buffer.from("r1"), 0, 2);
    const nodeOf = (row: number): string => ({ 1: "p", 65: "d" })[row] ?? "";
    const found = decisions.find("r1", nodeOf, () => "m")!;
    expect(found).toMatchObject({ node: "d", prefill: "p", isCut: false });
    const told = explainer.past(found);
    expect(told.winner).toBe("d");
    expect(told.reason).toBe(
      "a pair was taken: p for the prompt, d for what follows; targets that do all of it are shown",
    );
  });
});

describe("a node that can't be chosen says why", () => {
  test.each<[string, Partial<Target>, readonly Item[], string]>([
    ["does not answer", { state: "unhealthy", lastError: "connect refused" }, [], "unhealthy: connect refused"],
    ["drains by itself", { state: "draining" }, [], "it drains, and takes nothing new"],
    ["is not ready", { lastSample: nodeSample({ ready: false }) }, [], "its runtime is not ready"],
    [
      "has a GPU that is not fit for use",
      {
        lastSample: nodeSample({
          ready: false,
          gpus: [
            gpuSample({ health: "quarantined", models: [] }),
            gpuSample({
              index: 1,
              uuid: "GPU-1",
              health: "quarantined",
              healthReason: "XID 79: the GPU has fallen off the bus",
              models: ["m"],
            }),
          ],
        }),
      },
      [],
      "GPU 1 (GPU-1) is quarantined: XID 79: the GPU has fallen off the bus",
    ],
    [
      "lost the model",
      { lastSample: nodeSample({ models: [modelSample({ model: "other" })] }) },
      [],
      "model not served: its newest sample does not tell of it",
    ],
    [
      "loads the model",
      { lastSample: nodeSample({ models: [modelSample({ state: "loading" })] }) },
      [],
      "the model is loading there",
    ],
    [
      "has it on disk",
      { lastSample: nodeSample({ models: [modelSample({ state: "available" })] }) },
      [],
      "the model is there, and not loaded",
    ],
    [
      "failed to load it",
      { lastSample: nodeSample({ models: [modelSample({ state: "failed", reason: "out of memory" })] }) },
      [],
      "the model failed there: out of memory",
    ],
    ["is cordoned", {}, [policy("node", "b", { cordoned: true })], "cordoned by the policy node/b"],
    [
      "is drained",
      {},
      [policy("node", "b", { draining: true, reason: "new disks" })],
      "drained by the policy node/b: new disks",
    ],
    [
      "is pinned elsewhere",
      {},
      [policy("pin", "m", { nodes: ["a", "c"] })],
      "pinned elsewhere: pin/m has it served by a, c",
    ],
    [
      "lacks the labels of a pin",
      { labels: { gpu: "l4" } },
      [policy("pin", "m", { selector: { gpu: "h100" } })],
      "pinned elsewhere: pin/m has it served by nodes with gpu=h100",
    ],
    [
      "is in reserve",
      {},
      [policy("pin", "m", { nodes: ["a", "b"], maxReplicas: 1 })],
      "kept in reserve: pin/m has it served by at most 1, and others serve it",
    ],
  ])("one that %s", (_, more, items, why) => {
    const { explainer } = bed([target("a", { labels: { gpu: "h100" } }), target("b", more)], items);
    const explanation = explainer.explain("m");
    expect([explanation.winner, whyNot(explanation, "b"), whyNot(explanation, "a")]).toEqual(["a", why, ""]);
    expect(explanation.candidates.map(({ node, eligible, share }) => [node, eligible, share])).toEqual([
      ["a", true, 1],
      ["b", false, 0],
    ]);
  });

  test("one that no worker knows of yet, that is full, that is ejected", () => {
    expect(whyNot(bed([target("a")], [], false).explainer.explain("m"), "a")).toBe(
      "it is new, and not every worker knows of it yet",
    );
    const { table, explainer } = bed([target("a"), target("b")]);
    const rows = new Map(explainer.explain("m").candidates.map(({ node, row }) => [node, row]));
    for (let count = 0; count < 600; count++) table.tryBegin(0, rows.get("a")!, 1);
    table.eject(rows.get("b")!, table.nowDeciseconds(Date.now()) + 32);
    const explanation = explainer.explain("m");
    expect(whyNot(explanation, "a")).toMatch(/^full: \d+ requests there, and it takes \d+$/);
    expect(whyNot(explanation, "b")).toMatch(/^ejected for 3\.\d s: requests failed there, and a breaker opened$/);
    expect(explanation).toMatchObject({ winner: "b", reason: expect.stringContaining("better than none") });
  });

  test("one that serves other models, of which no gateway is told", () => {
    const { explainer, table } = bed([target("a"), target("b", { models: ["x", "y"] }), target("c", { models: [] })]);
    expect(explainer.others("m").map(({ node, reason, row }) => [node, reason, row])).toEqual([
      ["b", "it does not serve the model: it serves x, y", -1],
      ["c", "it does not serve the model: it serves none", -1],
    ]);
    const scorer = gatewayScorer(explainer, table, () => []);
    expect(scorer.score("m", 1, []).map(({ node }) => node)).toEqual(["a"]);
  });

  test("all of them, when the tenant may not send requests for the model", () => {
    const items = [policy("acl", "tenant:acme/m/infer", { effect: "allow" })];
    const { explainer } = bed([target("a")], items);
    expect(explainer.explain("m", { tenant: "acme" }).winner).toBe("a");
    expect(explainer.explain("m").winner).toBe("a");
    const denied = explainer.explain("m", { tenant: "other" });
    expect(denied.winner).toBe("");
    expect(denied.reason).toStartWith("tenant other may not send requests for it: ");
    expect(denied.candidates).toMatchObject([{ eligible: false, chosen: false, reason: denied.reason }]);
    expect(explainer.explain("m", { tenant: "" }).reason).toStartWith("a client without a tenant may not");
  });
});

describe("the way in which requests are balanced", () => {
  test("by deadlines is told by those that routers go by", () => {
    const paced = (id: string, prefillTokensPerSecond: number): Target => {
      const sample = nodeSample({ models: [modelSample({ prefillTokensPerSecond, decodeTokensPerSecond: 100_000 })] });
      return target(id, { lastSample: sample });
    };
    const targets = [paced("fast", 20_000), paced("slow", 2000)];
    const goes = (leftMs: number): string => {
      const slo = [policy("balance", "m", { strategy: "slo" })];
      const { explainer } = bed(targets, slo, true, false, { leftMs, gapMs: 50 });
      return explainer.explain("m", { promptTokens: 2000 }).winner;
    };
    // The slow one takes a second, which is in time for the one alone.
    expect([goes(10_000), goes(500)]).toEqual(["slow", "fast"]);
  });

  test("is that of the model's policy, with its weights", () => {
    const items = [policy("balance", "m", { strategy: "random", weights: { b: 3 } })];
    const { explainer } = bed([target("a"), target("b")], items);
    expect(explainer.explain("m")).toMatchObject({
      strategy: "random",
      winner: "b",
      reason: "chance decides, by weight: b 75.0 %, a 25.0 %",
      candidates: [
        { node: "b", weight: 3, share: 0.75, chosen: true },
        { node: "a", weight: 1, share: 0.25, chosen: false },
      ],
    });
    const { explainer: turns } = bed([target("a"), target("b")], [policy("balance", "*", { strategy: "round-robin" })]);
    expect(turns.explain("m")).toMatchObject({
      strategy: "round-robin",
      reason: "nodes take turns in each worker, by weight: a 50.0 %, b 50.0 %",
    });
    expect(bed([target("a")]).explainer.explain("m").strategy).toBe("ttft");
  });

  test("late: whether it would be held, and by whom it would go", () => {
    // They tell how fast they compute.
    const lastSample = nodeSample({ models: [modelSample({ prefillTokensPerSecond: 20_000 })] });
    const targets = [target("a", { lastSample }), target("b", { lastSample })];
    const { explainer, table, late } = bed(targets, [], true, true);
    const asked = () => explainer.explain("m", { promptTokens: 100 });
    expect(asked()).toMatchObject({ strategy: "late", candidates: [{ eligible: true }, { eligible: true }] });
    const { winner, reason, candidates } = asked();
    expect(reason).toEndWith(`; ${winner} has little enough to do to get it at once`);
    for (const { row } of candidates) table.tryBegin(0, row, 50_000);
    expect(asked().reason).toEndWith("or another is about to be free");
    late.waiting = 3;
    expect(asked().reason).toEndWith("; it would be held, with 3 that wait already");
    late.decider = "router-b";
    const by = "it would be held by the word of router-b, which decides for the model";
    expect(asked().reason).toEndWith(`; ${by}, with others that wait already`);
    late.waiting = 0;
    expect(asked().reason).toContain(`; ${by} until `);
    // A policy that has it go out as it comes knows nothing of that.
    const scored = bed([target("a")], [policy("balance", "m", { strategy: "ttft" })], true, true).explainer.explain(
      "m",
    );
    expect([scored.strategy, scored.reason]).toEqual(["ttft", "a is the only one that can be chosen"]);
    const nobody = bed([target("a", { state: "draining" })], [], true, true).explainer.explain("m");
    expect(nobody.reason).toBe("none of its nodes can be chosen now");
  });

  test("holds for gateways too", () => {
    const items = [policy("balance", "m", { strategy: "random", weights: { b: 3 } })];
    const { table, explainer } = bed([target("a"), target("b")], items);
    const first = (chance: number): string | undefined =>
      gatewayScorer(
        explainer,
        table,
        () => [],
        () => chance,
      ).score("m", 1, [])[0]?.node;
    expect([0, 0.74, 0.76, 0.99].map(first)).toEqual(["b", "b", "a", "a"]);
  });

  test("least-request: the cheapest by score need not be the one", () => {
    const items = [policy("balance", "m", { strategy: "least-loaded" })];
    const { table, explainer } = bed([target("a", { rttMs: 100 }), target("b")], items);
    const row = explainer.explain("m").candidates.find(({ node }) => node === "b")!.row;
    table.tryBegin(0, row, 0);
    const explanation = explainer.explain("m");
    expect(explanation).toMatchObject({ winner: "a", reason: "a is the least loaded: 0 requests there" });
    table.tryBegin(0, explanation.candidates[0]!.row, 0);
    expect(explainer.explain("m").reason).toBe(
      "2 nodes are the least loaded (1 request there each), and chance decides among them",
    );
  });

  const PICKS = 3000;
  const ways: readonly Way[] = ["late", ...ARRIVAL_STRATEGIES];
  const exact: ReadonlySet<Way> = new Set(["ttft", "hedged", "late", "least-request", "p2c", "random", "round-robin"]);
  test.each(ways)("%s: shares are how often the router's own picker picks", (way) => {
    const anyPlace = fc.record({
      weight: fc.constantFrom(0.5, 1, 2, 3),
      requests: fc.nat(3),
      penalty: fc.constantFrom(0, 0, 0.001),
      capacity: fc.constantFrom(0, 10, 10, 10),
      isEjected: fc.constantFrom(false, false, true),
    });
    fc.assert(
      fc.property(fc.array(anyPlace, { minLength: 1, maxLength: 5 }), fc.integer(), (places, seed) => {
        const table = ScoreTable.create({ targetsMax: 128, modelsMax: 2, workersMax: 2 });
        const writer = new TableWriter(table);
        const model = writer.addModel();
        const rows = places.map(({ requests, penalty, capacity, isEjected }) => {
          const row = writer.addRow(model);
          writer.write(row, { ...PLAIN, penaltySeconds: penalty, capacity });
          for (let count = 0; count < requests; count++) table.tryBegin(0, row, 0);
          if (isEjected) table.eject(row, 50);
          return row;
        });
        const contenders = rows.map((row, at) => {
          const cost = costOf(figuresOf(table, row), 10, 0);
          const figures = figuresOf(table, row);
          return { node: `n${at}`, row, weight: places[at]!.weight, cost, figures, eligible: cost.obstacle === "" };
        });
        const { shares } = verdictOf(
          contenders.toSorted((a, b) => a.cost.seconds - b.cost.seconds),
          way,
          { promptTokens: 10, leftMs: 2000, gapMs: 50 },
        );
        const isAny = contenders.some(({ eligible }) => eligible);
        const picked = new Map(rows.map((row) => [row, 0]));
        const request = new PickRequest();
        request.model = model;
        request.promptTokens = 10;
        // With nobody else, those that are ejected are looked at too.
        request.nowDeciseconds = isAny ? 0 : 50;
        const score = new TypeScriptPicker(table);
        const strategy =
          way === "late" || way === "module" ? null : new ModelStrategy(arrivalStrategy(way, seed), table);
        const weightOf = (one: number): number => places[rows.indexOf(one)]!.weight;
        const choosing = { rows, weightOf, match() {}, patienceMs: 2000, gapMs: 50 };
        let state = seed >>> 0;
        for (let count = 0; count < PICKS; count++) {
          state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
          request.seed = (state ^ (state >>> 13)) >>> 0;
          const row =
            strategy === null || way === "ttft" || way === "hedged"
              ? score.pick(request)
              : strategy.pick(request, choosing, count);
          if (row >= 0) picked.set(row, picked.get(row)! + 1);
        }
        for (const row of rows) {
          const share = shares.get(row) ?? 0;
          const often = picked.get(row)! / PICKS;
          // What remembers latencies, or takes two steps, is tried out, and so told by chance.
          expect(Math.abs(share - often)).toBeLessThan(exact.has(way) ? 0.06 : 0.15);
          if (share === 0 && exact.has(way)) expect(often).toBe(0);
        }
      }),
      { numRuns: 40 },
    );
  });
});
