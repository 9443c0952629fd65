/** What is told of policies, models, GPUs and targets: changes, each once. */
import { expect, test } from "bun:test";
import type { Target } from "../src/fleet/target.ts";
import type { News } from "../src/mesh/journal.ts";
import { fleetNews, GpuNews, LoadedNews, ModelNews, tellPolicies, XidNews } from "../src/news.ts";
import type { Item } from "../src/policy/item.ts";
import type { GpuSample } from "../src/score/sample.ts";
import type { Watcher } from "../src/store/policy-store.ts";

function told(): { all: News[]; take: () => [string, string][]; tell: (news: News) => void } {
  const all: News[] = [];
  return { all, take: () => all.splice(0).map(({ type, id }) => [type, id]), tell: (news) => void all.push(news) };
}

test("policies: every change, and a reading anew", () => {
  const { all, take, tell } = told();
  let watcher: Watcher | null = null;
  let stopped = false;
  const stop = tellPolicies(
    {
      watch(one) {
        watcher = one;
        return () => void (stopped = true);
      },
    },
    tell,
  );
  const item = (revision: number, createdRevision: number): Item => ({
    kind: "pin",
    name: "m",
    spec: { minReplicas: 1 },
    revision,
    createdRevision,
    updatedAtMs: 0,
  });
  const store = watcher as unknown as Watcher;
  store.reset([], 0);
  store.changed([{ item: item(1, 1) }], 1);
  store.changed([{ item: item(2, 1) }, { deleted: { kind: "pin", name: "m" }, revision: 3 }], 3);
  expect(all[0]).toEqual({
    type: "policy.created",
    id: "pin/m",
    cause: "at revision 1",
    labels: { kind: "pin", name: "m" },
  });
  store.reset([], 9);
  expect(take()).toEqual([
    ["policy.created", "pin/m"],
    ["policy.changed", "pin/m"],
    ["policy.deleted", "pin/m"],
    ["policy.reset", "*"],
  ]);
  stop();
  expect(stopped).toBe(true);
});

test("models: the first node and the last; what a runtime loads and unloads", () => {
  const { take, tell } = told();
  const target = (state: string, ...models: string[]): Target =>
    ({ state, models, condition: "ready" }) as unknown as Target;
  const models = new ModelNews(tell);
  models.look([target("healthy", "a", "b"), target("healthy", "b")]);
  expect(take()).toEqual([
    ["model.available", "a"],
    ["model.available", "b"],
  ]);
  models.look([target("unhealthy", "a", "b"), target("healthy", "b")]);
  expect(take()).toEqual([["model.unavailable", "a"]]);
  models.look([target("healthy", "b", "a")]);
  expect(take()).toEqual([["model.available", "a"]]);
  const loaded = new LoadedNews("n1", ["a"], tell);
  loaded.look(["a", "c"]);
  loaded.look(["c"]);
  loaded.look(["c"]);
  expect(take()).toEqual([
    ["model.loaded", "c"],
    ["model.unloaded", "a"],
  ]);
});

test("GPUs: changes of health; targets: as the fleet says", () => {
  const { all, take, tell } = told();
  const gpus = new GpuNews(tell);
  const gpu = (health: GpuSample["health"], throttleReasons: string[] = []): GpuSample =>
    ({
      index: 0,
      uuid: "GPU-1",
      name: "H100",
      health,
      healthReason: health === "degraded" ? "hot" : undefined,
      throttleReasons,
    }) as unknown as GpuSample;
  gpus.look("n1", [gpu("healthy")]);
  gpus.look("n1", [gpu(undefined)]);
  expect(take()).toEqual([]);
  gpus.look("n1", [gpu("degraded", ["hw_thermal"])]);
  gpus.look("n1", [gpu("degraded")]);
  expect(all[0]).toEqual({
    type: "gpu.degraded",
    id: "GPU-1",
    cause: "H100 0 of n1 was healthy; hot; throttled: hw_thermal",
    labels: { node: "n1", gpu: "GPU-1" },
  });
  gpus.look("n1", [gpu("healthy")]);
  expect(take().map(([type]) => type)).toEqual(["gpu.degraded", "gpu.healthy"]);
  gpus.look("n1", [gpu("quarantined")]);
  gpus.forget("n1");
  gpus.look("n1", [gpu("quarantined")]);
  expect(take().map(([type]) => type)).toEqual(["gpu.quarantined", "gpu.quarantined"]);
  expect(fleetNews({ kind: "unhealthy", id: "n1", cause: "no answer" })).toEqual({
    type: "routing.unhealthy",
    id: "n1",
    cause: "no answer",
    labels: { node: "n1" },
  });
});

test("XIDs are told at once, and of a storm one a minute with how many there were", () => {
  const { all, take, tell } = told();
  const xids = new XidNews("n1", tell);
  xids.look([{ uuid: "GPU-1", xid: 13, gpuInstance: 3 }], 0);
  for (let count = 0; count < 10_000; count += 1) xids.look([{ uuid: "GPU-1", xid: 13 }], count);
  xids.look([{ uuid: "GPU-2", xid: 13 }], 59_999);
  xids.look([{ uuid: "GPU-1", xid: 13 }], 60_000);
  const meaning = "exception in the graphics engine: mostly an access out of bounds or an illegal instruction";
  const labels = (gpu: string): Record<string, string> => ({ node: "n1", gpu, xid: "13" });
  expect(all).toEqual([
    { type: "gpu.xid", id: "GPU-1", cause: `XID 13 in MIG instance 3: ${meaning}`, labels: labels("GPU-1") },
    { type: "gpu.xid", id: "GPU-2", cause: `XID 13: ${meaning}`, labels: labels("GPU-2") },
    {
      type: "gpu.xid",
      id: "GPU-1",
      cause: `XID 13: ${meaning}; 10000 more of these since the last one told`,
      labels: labels("GPU-1"),
    },
  ]);
  take();
  // Made-up codes don't grow the memory, nor the journal, without end.
  for (let code = 1; code < 5_000; code += 1) xids.look([{ uuid: "GPU-3", xid: code }], 60_000);
  expect(take().length).toBeLessThanOrEqual(1024);
  xids.look([{ uuid: "GPU-3", xid: 4_999 }], 120_000);
  expect(take()).toHaveLength(1);
});
