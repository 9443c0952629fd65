import { expect, test } from "bun:test";
import { Exposition } from "../../src/obs/exposition.ts";
import { addLateMetrics } from "../../src/obs/late-metrics.ts";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import { SHARED } from "./shared-desk.ts";

test("what is bound late is told by model and target", async () => {
  const stats = WorkerStats.create({ workersMax: 2, modelsMax: 3, targetsMax: 4 });
  const out = new Exposition();
  const placement = {
    places: () => [
      { target: "gpu-1", model: "m", row: 0 },
      { target: "gpu-1", model: "n", row: 1 },
    ],
    models: () => [
      { id: 0, name: "m" },
      { id: 1, name: "n" },
      { id: 2, name: "n" },
    ],
  };
  const waiting = new Map([
    [0, 4],
    [1, 1],
    [2, 2],
  ]);
  addLateMetrics(out, stats, placement, () => ({
    waiting,
    shared: SHARED,
    rows: [{ row: 1, msPerToken: 0.05, busyMs: 250 }],
  }));
  const pen = stats.forWorker(1);
  pen.late("lateAtOnce");
  pen.lateBound(70);
  pen.late("lateUnreached");
  pen.late("lateAlone");
  pen.lateMessage();
  const seen = new Set((await out.text()).split("\n"));
  for (const line of [
    'infermesh_router_late_waiting{model="m"} 4',
    // One name, served over two protocols.
    'infermesh_router_late_waiting{model="n"} 3',
    'infermesh_router_late_bound_total{how="at-once"} 1',
    'infermesh_router_late_bound_total{how="late"} 1',
    'infermesh_router_late_bound_total{how="unreached"} 1',
    'infermesh_router_late_bound_total{how="alone"} 1',
    "infermesh_router_late_messages_total 1",
    'infermesh_router_late_wait_seconds_bucket{le="0.06"} 0',
    'infermesh_router_late_wait_seconds_bucket{le="0.08"} 1',
    'infermesh_router_late_prefill_seconds_per_token{target="gpu-1",model="n"} 0.00005',
    'infermesh_router_late_busy_seconds{target="gpu-1",model="n"} 0.25',
    "infermesh_router_desk_routers 2",
    'infermesh_router_desk_requests{whose="own"} 3',
    'infermesh_router_desk_requests{whose="others"} 4',
    'infermesh_router_desk_bound_total{where="there"} 5',
    'infermesh_router_desk_bound_total{where="here"} 6',
    'infermesh_router_desk_troubles_total{what="declined"} 7',
    'infermesh_router_desk_troubles_total{what="silent"} 8',
    'infermesh_router_desk_troubles_total{what="malformed"} 9',
  ]) {
    expect(seen).toContain(line);
  }
});

test("of a router that decides alone nothing is told of others", async () => {
  const stats = WorkerStats.create({ workersMax: 1, modelsMax: 1, targetsMax: 1 });
  const out = new Exposition();
  const late = { waiting: new Map<number, number>(), shared: null, rows: [] };
  addLateMetrics(out, stats, { places: () => [], models: () => [] }, () => late);
  expect(await out.text()).not.toMatch(/^infermesh_router_desk_/m);
});
