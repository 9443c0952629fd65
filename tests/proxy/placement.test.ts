/** What the main thread writes into the score table, seen by what a worker then picks. */
import { expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import { type Pair, pairsOf } from "../../src/proxy/pairs.ts";
import { Placement } from "../../src/proxy/placement.ts";
import { Warmth } from "../../src/proxy/warmth.ts";
import { costSettings } from "../../src/score/cost.ts";
import { type Load, NO_LOAD, placeKey } from "../../src/signal/flights.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { modelSample, nodeSample, targetOf } from "../fleet/samples.ts";

const table = (): ScoreTable => ScoreTable.create({ targetsMax: 128, modelsMax: 4, workersMax: 2 });
const stats = { resetRow() {}, resetModel() {} };

const SAMPLED = { metricsPort: 9090, lastSample: nodeSample({ models: [modelSample()] }), sampledAtMs: 0 };
const target = (id: string, rttMs: number): Target => targetOf(id, { ...SAMPLED, rttMs });

/** A placement of two idle nodes after polls with these round trips; tells how many of them a pick takes for equal. */
function tiesAfter(polls: readonly (readonly [a: number, b: number])[]): number {
  const scores = table();
  const placement = new Placement(scores, stats, defaultsOf(costSettings));
  const routes = placement.sync(["a", "b"], (id) => target(id, 0), 0, 1);
  placement.routed(routes?.version ?? 0, [target("a", 0), target("b", 0)], 0);
  for (const [a, b] of polls) {
    for (const polled of [target("a", a), target("b", b)])
      placement.sampled(polled, placement.mark(polled), polled.rttMs, 0);
  }
  const pick = new PickRequest();
  pick.model = 0;
  pick.promptTokens = 100;
  expect(new TypeScriptPicker(scores).pick(pick)).toBeGreaterThanOrEqual(0);
  return pick.ties;
}

test("idle targets whose round trips differ by chance share the requests", () => {
  expect(tiesAfter([[0.8, 1.3]])).toBe(2);
  expect(tiesAfter([[4.9, 0.1]])).toBe(2);
});

test("one slow poll among quick ones says nothing of the way", () => {
  const spike = [1, 60] as const;
  expect(tiesAfter([[1, 1], spike])).toBe(2);
  expect(tiesAfter([spike, [1, 1], ...Array.from({ length: 6 }, () => spike)])).toBe(2);
});

test("a target that is far away is dearer, also when it became so", () => {
  expect(tiesAfter([[1, 60]])).toBe(1);
  expect(tiesAfter([[1, 1], ...Array.from({ length: 8 }, () => [1, 60] as const)])).toBe(1);
});

test("a model that nobody serves is remembered for a minute, and its number is used again after that", () => {
  const scores = table();
  const placement = new Placement(scores, stats, defaultsOf(costSettings));
  let nowMs = 0;
  for (let round = 0; round < 12; round++) {
    const node = { ...target(`n${round}`, 0), models: [`model-${round}`] };
    const joined = placement.sync([node.id], () => node, nowMs, 1);
    expect(placement.homeless).toBe(0);
    placement.routed(joined?.version ?? 0, [node], nowMs);
    const left = placement.sync([node.id], () => undefined, nowMs, 1);
    expect(left?.models.map(({ name }) => name)).toContain(`model-${round}`);
    expect(left?.rows).toEqual([]);
    placement.routed(left?.version ?? 0, [], nowMs);
    expect(placement.expireModels(nowMs + 59_000)).toBeNull();
    nowMs += 60_000;
    const expired = placement.expireModels(nowMs);
    expect(expired?.models).toEqual([]);
    placement.routed(expired?.version ?? 0, [], nowMs);
  }
});

test("targets of two protocols never share a model's number, though its name is one", () => {
  const placement = new Placement(table(), stats, defaultsOf(costSettings));
  const nodes = new Map<string, Target>([
    ["h", target("h", 0)],
    ["g", { ...target("g", 0), protocol: "grpc" }],
  ]);
  const routes = placement.sync(["h", "g"], (id) => nodes.get(id), 0, 1);
  expect(routes?.models).toEqual([
    { id: 0, name: "m", protocol: "http", created: 1 },
    { id: 1, name: "m", protocol: "grpc", created: 1 },
  ]);
  expect(routes?.rows.map(({ node, model, protocol }) => [node, model, protocol])).toEqual([
    ["h", 0, "http"],
    ["g", 1, "grpc"],
  ]);
  const moved = placement.sync(["h"], () => ({ ...target("h", 0), protocol: "grpc" }), 0, 1);
  expect(moved?.rows.map(({ node, model }) => [node, model])).toEqual([
    ["g", 1],
    ["h", 1],
  ]);
});

test("of targets that are equal a router takes those of its own share, and others when these are at work", () => {
  const scores = table();
  const placement = new Placement(scores, stats, defaultsOf(costSettings));
  const all = ["a", "b", "c", "d"].map((id) => target(id, 0));
  const routes = placement.sync(
    all.map(({ id }) => id),
    (id) => all.find((one) => one.id === id),
    0,
    1,
  );
  placement.routed(routes?.version ?? 0, all, 0);
  const pick = new PickRequest();
  pick.model = 0;
  pick.promptTokens = 100;
  const picker = new TypeScriptPicker(scores);
  const picked = (): number => {
    const row = picker.pick(pick);
    expect(scores.tryBegin(0, row, 2000)).toBe(true);
    return row;
  };
  expect(picker.pick(pick)).toBeGreaterThanOrEqual(0);
  expect(pick.ties).toBe(4);
  const shares = ["x", "y"].map((self) => {
    placement.shares.setRouters(self, ["x", "y"]);
    placement.refresh(all, 0);
    const rows = [picked(), picked()];
    expect(pick.ties).toBe(1);
    // A prompt's work is more than what shares are worth.
    const more = picked();
    expect(rows).not.toContain(more);
    for (const row of [...rows, more]) {
      scores.endPrefill(0, row, 2000);
      scores.end(0, row);
    }
    return rows;
  });
  expect(new Set(shares.flat()).size).toBe(4);
  placement.shares.setRouters("x", []);
  placement.refresh(all, 0);
  picker.pick(pick);
  expect(pick.ties).toBe(4);
});

test("a new row is picked only when every worker knows where it leads", () => {
  const scores = table();
  const placement = new Placement(scores, stats, defaultsOf(costSettings));
  const node = target("a", 0);
  const routes = placement.sync(["a"], () => node, 0, 1);
  const pick = new PickRequest();
  pick.model = 0;
  const picker = new TypeScriptPicker(scores);
  expect(picker.pick(pick)).toBeLessThan(0);
  placement.routed(routes?.version ?? 0, [node], 0);
  expect(picker.pick(pick)).toBe(routes?.rows[0]?.row ?? -1);
});

test("what other routers have in flight makes a target dearer at once, and a sample that counts it does not do so twice", () => {
  const scores = table();
  const others = new Map<number, Load>();
  const placement = new Placement(scores, stats, defaultsOf(costSettings), (key) => others.get(key) ?? NO_LOAD);
  const nodes = new Map(["a", "b"].map((id) => [id, { ...target(id, 0), streamed: true }]));
  const find = (id: string): Target | undefined => nodes.get(id);
  const routes = placement.sync(["a", "b"], find, 0, 1);
  placement.routed(routes?.version ?? 0, [...nodes.values()], 0);
  const pick = new PickRequest();
  pick.model = 0;
  pick.promptTokens = 100;
  const picker = new TypeScriptPicker(scores);
  const cost = (): readonly [string | undefined, number] => {
    const row = picker.pick(pick);
    return [routes?.rows.find((each) => each.row === row)?.node, pick.ties];
  };
  expect(cost()[1]).toBe(2);
  const [key] = [...placement.loads()].find(([each]) => each === placeKey("a", "m"))!;
  others.set(key, { requests: 3, tokens: 9000 });
  placement.loadsChanged([key, 12_345], find, 0);
  expect(cost()).toEqual(["b", 1]);
  expect(placement.othersLoad(nodes.get("a")!)).toEqual({ requests: 3, tokens: 9000 });
  // The node's next sample counts those requests; when they end, it is as idle as the other.
  const busy = { ...nodes.get("a")!, lastSample: nodeSample({ models: [modelSample({ runningRequests: 3 })] }) };
  nodes.set("a", busy);
  placement.sampled(busy, placement.mark(busy), undefined, 0);
  others.delete(key);
  placement.loadsChanged([key], find, 0);
  expect(cost()[1]).toBe(2);
});

test("that a target tells of itself does not end its ejection; that it was reached does", () => {
  const scores = table();
  const placement = new Placement(scores, stats, defaultsOf(costSettings));
  const node = target("a", 0);
  const routes = placement.sync(["a"], () => node, 0, 1);
  placement.routed(routes?.version ?? 0, [node], 0);
  const row = routes?.rows[0]?.row ?? -1;
  const pick = new PickRequest();
  pick.model = 0;
  pick.nowDeciseconds = scores.nowDeciseconds(Date.now());
  scores.eject(row, pick.nowDeciseconds + 100);
  const picker = new TypeScriptPicker(scores);
  placement.sampled(node, placement.mark(node), 1, 0);
  expect(picker.pick(pick)).toBeLessThan(0);
  placement.reached(node);
  expect(picker.pick(pick)).toBe(row);
});

/** A router's placement with nodes that join, leave and are loaded as a test says. */
class SlowMesh {
  readonly scores = table();
  readonly nodes = new Map<string, Target>();
  readonly placement = new Placement(
    this.scores,
    stats,
    defaultsOf(costSettings),
    undefined,
    new Warmth(this.scores, { windowMs: 10_000, shareMin: 0.1 }),
  );
  readonly #picker = new TypeScriptPicker(this.scores);
  readonly #pick = new PickRequest();

  constructor() {
    this.#pick.model = 0;
    this.#pick.promptTokens = 100;
  }

  rowOf(id: string): number {
    return [...this.placement.places()].find((place) => place.target === id)?.row ?? -1;
  }

  set(id: string, state: Target["state"] | "gone", nowMs: number): void {
    if (state === "gone") this.nodes.delete(id);
    else this.nodes.set(id, { ...target(id, 0), state });
    const routes = this.placement.sync([id], (each) => this.nodes.get(each), nowMs, 1);
    if (routes !== null) this.placement.routed(routes.version, [...this.nodes.values()], nowMs);
    this.refresh(nowMs);
  }

  refresh(nowMs: number): void {
    this.placement.refresh([...this.nodes.values()], nowMs);
  }

  /** Requests that are in flight at a node until the test ends. */
  load(id: string, requests: number): void {
    for (let n = 0; n < requests; n++) expect(this.scores.tryBegin(0, this.rowOf(id), 100)).toBe(true);
  }

  /** How many of a burst go to a node before any goes elsewhere. */
  burst(id: string): number {
    const row = this.rowOf(id);
    let got = 0;
    while (got < 500 && this.#picker.pick(this.#pick) === row && this.scores.tryBegin(0, row, 100)) got++;
    for (let n = 0; n < got; n++) {
      this.scores.endPrefill(0, row, 100);
      this.scores.end(0, row);
    }
    return got;
  }

  get ties(): number {
    this.#picker.pick(this.#pick);
    return this.#pick.ties;
  }
}

test("a target that joins takes a growing share of the load, not all that comes; so does one that comes back", () => {
  const mesh = new SlowMesh();
  mesh.set("a", "healthy", 0);
  mesh.set("b", "healthy", 0);
  mesh.refresh(10_000);
  mesh.load("a", 40);
  mesh.load("b", 40);
  mesh.set("c", "healthy", 60_000);
  const shares = [60_000, 62_500, 65_000, 67_500, 70_000].map((nowMs) => {
    mesh.refresh(nowMs);
    return mesh.burst("c");
  });
  for (const [index, share] of [0.1, 0.325, 0.55, 0.775, 1].entries())
    expect(Math.abs((shares[index] ?? 0) - 40 * share)).toBeLessThan(3);

  mesh.set("c", "unhealthy", 80_000);
  expect(mesh.burst("c")).toBe(0);
  mesh.set("c", "healthy", 90_000);
  expect(mesh.burst("c")).toBe(shares[0]!);
  mesh.set("c", "gone", 95_000);
  mesh.set("c", "healthy", 99_000);
  expect(mesh.burst("c")).toBe(shares[0]!);
  mesh.refresh(109_000);
  expect(mesh.burst("c")).toBe(shares[4]!);
});

test("in a mesh at rest a new target serves like the others, and where all are new none is held back", () => {
  const mesh = new SlowMesh();
  mesh.set("a", "healthy", 0);
  mesh.refresh(20_000);
  mesh.set("b", "healthy", 20_000);
  expect(mesh.ties).toBe(2);

  const fresh = new SlowMesh();
  fresh.set("a", "healthy", 0);
  fresh.load("a", 40);
  fresh.set("b", "healthy", 5000);
  expect(fresh.burst("b")).toBeGreaterThan(38);
});

test("targets with roles have rows apart, under the model's name; one that changes its role has another row", () => {
  const scores = ScoreTable.create({ targetsMax: 256, modelsMax: 8, workersMax: 2 });
  const placement = new Placement(scores, stats, defaultsOf(costSettings));
  const withRole = (id: string, role: string): Target => ({
    ...target(id, 1),
    labels: role === "" ? {} : { "infermesh.role": role },
  });
  const targets = new Map(
    [
      ["p", "vllm.prefill"],
      ["d", "vllm.decode"],
      ["s", "sglang.decode"],
    ].map(([id = "", role = ""]) => [id, withRole(id, role)]),
  );
  const sync = (...ids: readonly string[]) => {
    const snapshot = placement.sync(ids, (id) => targets.get(id), 0, 1);
    placement.routed(snapshot?.version ?? 0, [...targets.values()], 0);
    return placement.snapshot();
  };
  const first = sync("p", "d", "s");
  expect(first.models.map(({ name, pool = "" }) => `${name} ${pool}`).toSorted()).toEqual([
    "m ",
    "m sglang.decode",
    "m vllm.decode",
    "m vllm.prefill",
  ]);
  const whole = first.models.find(({ pool }) => pool === undefined)!;
  expect(first.rows.filter(({ model }) => model === whole.id)).toEqual([]);
  // One half of SGLang's is no pair.
  const idOf = (pool: string) => first.models.find((model) => model.pool === pool)?.id ?? -1;
  const pair = { transfer: "vllm", prefill: idOf("vllm.prefill"), decode: idOf("vllm.decode") };
  const pairs = pairsOf(first);
  expect(pairs.get(whole.id)).toEqual([pair as Pair]);
  expect([pair.prefill, pair.decode].map((pool) => pairs.get(pool))).toEqual([[], []]);
  const rowsBefore = first.rows.map(({ row }) => row);
  targets.set("p", withRole("p", ""));
  const second = sync("p");
  const moved = second.rows.find(({ node }) => node === "p");
  expect(moved?.model).toBe(whole.id);
  expect(rowsBefore).not.toContain(moved?.row);
  // Who has lost all of its rows is forgotten, and the model goes on as long as any of its targets is there.
  expect(placement.expireModels(70_000)?.models).toHaveLength(3);
  for (const id of targets.keys()) targets.delete(id);
  sync("p", "d", "s");
  expect(placement.expireModels(140_000)?.models).toEqual([]);
});
