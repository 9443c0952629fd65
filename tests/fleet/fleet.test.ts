import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import type { FleetOutput } from "../../src/fleet/event.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import type { Registration } from "../../src/fleet/registration.ts";
import type { FleetConfig } from "../../src/fleet/settings.ts";
import type { StaticUpstream } from "../../src/fleet/static-targets.ts";
import { isRoutable } from "../../src/fleet/target.ts";
import { nodeSample } from "./samples.ts";

const config: FleetConfig = {
  pollIntervalMs: 5000,
  pollTimeoutMs: 2000,
  unhealthyAfter: 3,
  removeAfter: 10,
  readyWaitMs: 10_000,
  targetsMax: 8,
};

function newFleet(overrides: Partial<FleetConfig> = {}): Fleet {
  return new Fleet({ ...config, ...overrides }, new Prng(1));
}

function node(id: string, overrides: Partial<Registration> = {}): Registration {
  return { id, address: "10.0.0.1:8000", metricsPort: 9090, models: ["m"], ...overrides };
}

function upstream(overrides: Partial<StaticUpstream> = {}): StaticUpstream {
  return { model: "m", host: "10.0.0.9", port: 80, tls: false, protocol: "http", weight: 1, ...overrides };
}

const failed = { ok: false, error: "refused" } as const;

/** Lets the fleet poll `times` times, each answered at once; returns all that came out, and the time after. */
function poll(
  fleet: Fleet,
  id: string,
  times: number,
  result: Parameters<Fleet["polled"]>[1],
  fromMs: number,
): { outputs: FleetOutput[]; nowMs: number } {
  const outputs: FleetOutput[] = [];
  let nowMs = fromMs;
  for (let i = 0; i < times; i++) {
    let output = fleet.take();
    while (!output.polls.some((each) => each.id === id)) {
      outputs.push(output);
      if (output.wakeAtMs === Number.POSITIVE_INFINITY) return { outputs, nowMs };
      nowMs = output.wakeAtMs;
      fleet.wake(nowMs);
      output = fleet.take();
    }
    outputs.push(output);
    fleet.polled(id, result, nowMs);
  }
  outputs.push(fleet.take());
  return { outputs, nowMs };
}

const kinds = (outputs: FleetOutput[]): string[] =>
  outputs.flatMap((output) => output.events.map((event) => event.kind));

describe("registered targets", () => {
  test("join routable, with a vitals poll at once", () => {
    const fleet = newFleet();
    expect(fleet.register(node("a", { weight: 2, zone: "z", labels: { tier: "gold" } }), 100)).toEqual({
      accepted: true,
      first: true,
    });
    const output = fleet.take();
    expect(output.polls).toEqual([
      { id: "a", host: "10.0.0.1", port: 9090, tls: false, protocol: "http", kind: "vitals", models: ["m"] },
    ]);
    expect(output.events).toEqual([{ kind: "joined", id: "a", cause: "registered at 10.0.0.1:8000" }]);
    expect(output.changed).toBe(true);
    expect(output.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
    const target = fleet.target("a")!;
    expect(target).toMatchObject({ port: 8000, weight: 2, zone: "z", labels: { tier: "gold" }, state: "unknown" });
    expect(isRoutable(target)).toBe(true);
    expect(fleet.take().changed).toBe(false);
  });

  test("are unhealthy at the third failure in a row, healthy at the first success, removed after ten", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0);
    let run = poll(fleet, "a", 2, failed, 0);
    expect(fleet.target("a")).toMatchObject({ state: "unknown", failuresInRow: 2, lastError: "refused" });
    run = poll(fleet, "a", 1, failed, run.nowMs);
    expect(kinds(run.outputs)).toEqual(["unhealthy"]);
    expect(isRoutable(fleet.target("a")!)).toBe(false);
    run = poll(fleet, "a", 1, { ok: true, sample: nodeSample(), rttMs: 3 }, run.nowMs);
    expect(kinds(run.outputs)).toEqual(["healthy"]);
    expect(fleet.target("a")).toMatchObject({
      state: "healthy",
      failuresInRow: 0,
      lastError: "",
      rttMs: 3,
      sampledAtMs: run.nowMs,
    });
    run = poll(fleet, "a", 9, failed, run.nowMs);
    expect(fleet.target("a")?.failuresInRow).toBe(9);
    run = poll(fleet, "a", 1, failed, run.nowMs);
    expect(kinds(run.outputs)).toEqual(["removed"]);
    expect(fleet.targets()).toEqual([]);
  });

  test("come back unhealthy after removal, unless restarted", () => {
    for (const [incarnation, state] of [
      [7, "unhealthy"],
      [8, "unknown"],
    ] as const) {
      const fleet = newFleet();
      fleet.register(node("a", { incarnation: 7 }), 0);
      const run = poll(fleet, "a", 10, failed, 0);
      expect(fleet.register(node("a", { incarnation }), run.nowMs)).toEqual({ accepted: true, first: true });
      expect(fleet.target("a")?.state).toBe(state);
      expect(fleet.take().polls).toHaveLength(1);
      fleet.polled("a", { ok: true, sample: nodeSample(), rttMs: 1 }, run.nowMs);
      expect(fleet.target("a")?.state).toBe("healthy");
    }
  });

  test("that announce themselves again keep their health and take new models", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0);
    poll(fleet, "a", 2, failed, 0);
    expect(fleet.register(node("a", { models: ["m", "n"] }), 9000)).toEqual({ accepted: true, first: false });
    expect(fleet.take().events).toEqual([{ kind: "updated", id: "a", cause: "models: m, n" }]);
    expect(fleet.target("a")).toMatchObject({ failuresInRow: 2, models: ["m", "n"], registeredAtMs: 9000 });
    fleet.register(node("a", { models: [], labels: { a: "b" }, weight: 2 }), 9100);
    expect(fleet.take().events[0]?.cause).toBe('models: none; weight: 2; labels: {"a":"b"}');
    fleet.register(node("a", { models: [], labels: { a: "b" }, weight: 2 }), 9200);
    expect(fleet.take().events).toEqual([]);
  });

  test("that are unhealthy and announce themselves are polled at once", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0);
    const { nowMs } = poll(fleet, "a", 3, failed, 0);
    expect(fleet.take().polls).toEqual([]);
    fleet.register(node("a"), nowMs + 1);
    expect(fleet.take().polls).toHaveLength(1);
  });

  test("of one id at two addresses: refused, unless newer or the old one is unhealthy", () => {
    const fleet = newFleet();
    fleet.register(node("a", { incarnation: 5 }), 0);
    const moved = node("a", { address: "10.0.0.2:8000", incarnation: 5 });
    const conflict = fleet.register(moved, 1);
    expect(conflict.refused?.code).toBe("conflict");
    expect(conflict.refused?.message).toContain("10.0.0.1:8000");
    expect(fleet.take().events.map((event) => event.kind)).toEqual(["joined", "refused"]);

    expect(fleet.register({ ...moved, incarnation: 6 }, 2)).toEqual({ accepted: true, first: true });
    expect(fleet.target("a")?.host).toBe("10.0.0.2");
    expect(fleet.take().events.map((event) => event.kind)).toEqual(["left", "joined"]);

    fleet.polled("a", failed, 3); // The old address's poll: it says nothing about the new one.
    expect(fleet.target("a")?.failuresInRow).toBe(0);
    const { nowMs } = poll(fleet, "a", 3, failed, 4);
    expect(fleet.register(node("a", { address: "10.0.0.3:8000", incarnation: 0 }), nowMs)).toEqual({
      accepted: true,
      first: true,
    });
  });

  test("leave when they deregister", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0);
    expect(fleet.deregister("b", 1)).toBe(false);
    expect(fleet.deregister("a", 1)).toBe(true);
    const output = fleet.take();
    expect(output.events.map((event) => event.kind)).toEqual(["joined", "left"]);
    expect(output.changedIds).toEqual(["a"]);
    expect(output.polls).toEqual([]);
  });

  test("beyond the limit are refused, and so is a broken address", () => {
    const fleet = newFleet({ targetsMax: 1 });
    fleet.register(node("a"), 0);
    expect(fleet.register(node("b"), 0).refused?.code).toBe("over_capacity");
    expect(fleet.register(node("c", { address: "nowhere" }), 0).refused?.code).toBe("bad_request");
    expect(fleet.register(node("a"), 0).accepted).toBe(true);
  });

  test("that are not ready or draining are not routable", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0);
    const answer = (sample: ReturnType<typeof nodeSample>) => ({ ok: true, sample, rttMs: 1 }) as const;
    let run = poll(fleet, "a", 1, answer(nodeSample({ ready: false })), 0);
    expect(fleet.target("a")?.state).toBe("healthy");
    expect(isRoutable(fleet.target("a")!)).toBe(false);
    run = poll(fleet, "a", 1, answer(nodeSample()), run.nowMs);
    expect(isRoutable(fleet.target("a")!)).toBe(true);
    run = poll(fleet, "a", 1, answer(nodeSample({ ready: false, draining: true })), run.nowMs);
    expect(fleet.target("a")?.state).toBe("draining");
    expect(isRoutable(fleet.target("a")!)).toBe(false);
    run = poll(fleet, "a", 1, answer(nodeSample()), run.nowMs);
    const causes = run.outputs.flatMap((output) => output.events.map((event) => event.cause));
    expect(causes).toEqual(["no longer draining"]);
  });
});

describe("static targets", () => {
  test("join spread, are polled for health, and are never removed", () => {
    const fleet = newFleet();
    fleet.setStatic([upstream(), upstream({ model: "n" })], 0);
    const first = fleet.take();
    expect(first.events.map((event) => event.kind)).toEqual(["joined"]);
    expect(first.wakeAtMs).toBeLessThanOrEqual(1000);
    expect(fleet.target("10.0.0.9:80")).toMatchObject({ models: ["m", "n"], source: "static" });
    expect(isRoutable(fleet.target("10.0.0.9:80")!)).toBe(true);
    fleet.wake(first.wakeAtMs);
    expect(fleet.take().polls[0]).toEqual({
      id: "10.0.0.9:80",
      host: "10.0.0.9",
      port: 80,
      tls: false,
      protocol: "http",
      kind: "health",
      models: ["m", "n"],
    });
    fleet.polled("10.0.0.9:80", failed, first.wakeAtMs);
    poll(fleet, "10.0.0.9:80", 20, failed, first.wakeAtMs);
    expect(fleet.target("10.0.0.9:80")).toMatchObject({ state: "unhealthy", failuresInRow: 21 });
    expect(fleet.deregister("10.0.0.9:80", 1)).toBe(false);
    expect(fleet.register(node("10.0.0.9:80"), 1).refused?.code).toBe("conflict");
  });

  test("of one address with other weights are targets of their own", () => {
    const fleet = newFleet();
    fleet.setStatic([upstream(), upstream({ model: "n", weight: 3 }), upstream({ model: "m" })], 0);
    expect(fleet.targets().map(({ id, models, weight }) => ({ id, models, weight }))).toEqual([
      { id: "10.0.0.9:80", models: ["m"], weight: 1 },
      { id: "10.0.0.9:80/n", models: ["n"], weight: 3 },
    ]);
  });

  test("are set anew: kept, updated, replaced, dropped, and refused beyond the limit", () => {
    const fleet = newFleet({ targetsMax: 2 });
    fleet.register(node("10.0.0.5:80"), 0);
    fleet.setStatic([upstream({ port: 81 })], 0);
    fleet.take();
    fleet.setStatic([upstream({ port: 81, model: "n" }), upstream({ host: "10.0.0.5" }), upstream({ port: 83 })], 10);
    expect(fleet.take().events.map(({ kind, id }) => `${kind} ${id}`)).toEqual([
      "updated 10.0.0.9:81",
      "left 10.0.0.5:80",
      "joined 10.0.0.5:80",
      "refused 10.0.0.9:83",
    ]);
    fleet.setStatic([upstream({ port: 81, model: "n", tls: true })], 20);
    expect(fleet.take().events.map(({ kind, id }) => `${kind} ${id}`)).toEqual([
      "left 10.0.0.9:81",
      "left 10.0.0.5:80",
      "joined https://10.0.0.9:81",
    ]);
  });
});

test("static targets of gRPC are of their own, at the same address too, and polled as such", () => {
  const fleet = newFleet();
  fleet.setStatic([upstream(), upstream({ protocol: "grpc" }), upstream({ protocol: "grpc", model: "n" })], 0);
  const targets = fleet.targets().map(({ id, protocol, models }) => [id, protocol, models]);
  expect(targets).toEqual([
    ["10.0.0.9:80", "http", ["m"]],
    ["grpc://10.0.0.9:80", "grpc", ["m", "n"]],
  ]);
  fleet.wake(60_000);
  const polls = fleet.take().polls.map(({ id, protocol, kind }) => [id, protocol, kind]);
  expect(polls).toContainEqual(["grpc://10.0.0.9:80", "grpc", "health"]);
});

describe("what the mesh tells of", () => {
  const told = (fleet: Fleet): string[] => fleet.take().events.map(({ kind, id }) => `${kind} ${id}`);
  const moved = (id: string, overrides: Partial<Registration> = {}) =>
    node(id, { address: "10.0.0.2:8000", ...overrides });

  test("waits for a place, in the order in which it was told", () => {
    const fleet = newFleet({ targetsMax: 2 });
    for (const id of ["a", "b", "c", "d"]) fleet.register(node(id), 0, "gossip");
    expect(told(fleet)).toEqual(["joined a", "joined b", "refused c", "refused d"]);
    expect(fleet.deregister("a", 1, "gossip", "failed")).toBe(true);
    expect(told(fleet)).toEqual(["left a", "joined c"]);
    expect(fleet.target("c")).toMatchObject({ source: "gossip", state: "unknown" });
    fleet.deregister("b", 2);
    fleet.deregister("c", 2);
    expect(told(fleet)).toEqual(["left b", "left c", "joined d"]);
    expect(fleet.targets().map(({ id }) => id)).toEqual(["d"]);
  });

  test("is refused aloud once, and its newest word is taken in", () => {
    const fleet = newFleet({ targetsMax: 1 });
    fleet.register(node("a"), 0);
    for (const models of [["m"], ["n"]]) {
      expect(fleet.register(node("b", { models }), 0, "gossip").refused?.code).toBe("over_capacity");
    }
    expect(told(fleet)).toEqual(["joined a", "refused b"]);
    fleet.register(moved("b", { models: ["o"] }), 0, "gossip");
    expect(told(fleet)).toEqual(["refused b"]);
    fleet.deregister("a", 1);
    expect(told(fleet)).toEqual(["left a", "joined b"]);
    expect(fleet.target("b")).toMatchObject({ host: "10.0.0.2", models: ["o"] });
  });

  test("is withdrawn when the mesh loses it, or tells nonsense of it", () => {
    const fleet = newFleet({ targetsMax: 1 });
    fleet.register(node("a"), 0);
    for (const id of ["b", "c"]) fleet.register(node(id), 0, "gossip");
    expect(fleet.deregister("b", 1, "gossip", "failed")).toBe(false);
    fleet.register(node("c", { address: "nowhere" }), 1, "gossip");
    fleet.take();
    fleet.deregister("a", 2);
    expect(told(fleet)).toEqual(["left a"]);
    expect(fleet.targets()).toEqual([]);
  });

  test("waits while a node of its id answers elsewhere, until that one is gone or does not answer", () => {
    for (const end of ["deregistered", "silent"]) {
      const fleet = newFleet();
      fleet.register(node("a"), 0);
      expect(fleet.register(moved("a"), 0, "gossip").refused?.code).toBe("conflict");
      fleet.take();
      if (end === "silent") {
        fleet.polled("a", failed, 0);
        const { outputs } = poll(fleet, "a", 2, failed, 0);
        expect(kinds(outputs)).toEqual(["unhealthy", "left", "joined"]);
      } else {
        fleet.deregister("a", 1);
        expect(told(fleet)).toEqual(["left a", "joined a"]);
      }
      expect(fleet.target("a")).toMatchObject({ host: "10.0.0.2", source: "gossip" });
    }
  });

  test("leaves a node that announced itself elsewhere alone when the mesh loses it", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0);
    fleet.register(moved("a"), 0, "gossip");
    expect(fleet.deregister("a", 1, "gossip", "failed")).toBe(false);
    fleet.take();
    fleet.deregister("a", 2);
    expect(told(fleet)).toEqual(["left a"]);
  });

  test("comes back after it was displaced: by a configured target, or by a node that registered", () => {
    const fleet = newFleet();
    fleet.register(node("10.0.0.9:80", { models: ["m"], labels: { tier: "a" } }), 0, "gossip");
    fleet.take();
    const before = fleet.target("10.0.0.9:80");
    fleet.setStatic([upstream()], 1);
    expect(told(fleet)).toEqual(["left 10.0.0.9:80", "joined 10.0.0.9:80"]);
    fleet.setStatic([], 2);
    expect(told(fleet)).toEqual(["left 10.0.0.9:80", "joined 10.0.0.9:80"]);
    const { models, labels, metricsPort, incarnation, source } = before!;
    expect(fleet.target("10.0.0.9:80")).toMatchObject({ models, labels, metricsPort, incarnation, source });

    fleet.register(moved("10.0.0.9:80", { incarnation: 1 }), 3);
    expect(fleet.target("10.0.0.9:80")).toMatchObject({ source: "registered", host: "10.0.0.2" });
    fleet.deregister("10.0.0.9:80", 4);
    fleet.take();
    expect(fleet.target("10.0.0.9:80")).toMatchObject({ source: "gossip", host: "10.0.0.1" });
  });

  test("and registers too is one target, and the mesh's to forget", () => {
    const fleet = newFleet({ targetsMax: 1 });
    fleet.register(node("z"), 0);
    fleet.register(node("a"), 0, "gossip");
    fleet.deregister("z", 1);
    // It takes the place by itself before the fleet gave it one.
    expect(fleet.register(node("a"), 1)).toEqual({ accepted: true, first: true });
    fleet.take();
    expect(fleet.target("a")?.source).toBe("gossip");
    fleet.register(node("a"), 2);
    fleet.register(node("a"), 2, "gossip");
    expect([fleet.targets().length, fleet.target("a")?.source]).toEqual([1, "gossip"]);
    fleet.polled("a", failed, 2);
    poll(fleet, "a", 14, failed, 2);
    expect(fleet.target("a")?.failuresInRow).toBeGreaterThanOrEqual(15);
    expect(fleet.deregister("a", 90_000, "gossip", "failed")).toBe(true);
    expect(fleet.targets()).toEqual([]);
  });

  test("last holds, whatever it told before", () => {
    const fleet = newFleet();
    fleet.register(node("a", { incarnation: 7 }), 0, "gossip");
    expect(fleet.register(moved("a", { incarnation: 3 }), 1, "gossip")).toEqual({ accepted: true, first: true });
    expect(fleet.target("a")).toMatchObject({ host: "10.0.0.2", incarnation: 3 });
  });

  test("is kept within a limit: the oldest goes", () => {
    const fleet = newFleet({ targetsMax: 2 });
    for (const id of ["a", "b"]) fleet.register(node(id), 0);
    for (const id of ["c", "d", "e"]) fleet.register(node(id), 0, "gossip");
    fleet.take();
    for (const id of ["a", "b"]) fleet.deregister(id, 1);
    fleet.take();
    expect(fleet.targets().map(({ id }) => id)).toEqual(["d", "e"]);
  });
});

test("an answer nobody asked for is ignored, and time never runs backwards", () => {
  const fleet = newFleet();
  fleet.polled("ghost", failed, 5);
  fleet.register(node("a"), 1000);
  fleet.take();
  fleet.polled("a", { ok: true, sample: null, rttMs: 1 }, 10);
  expect(fleet.target("a")).toMatchObject({ state: "healthy", sampledAtMs: undefined });
  expect(fleet.take().wakeAtMs).toBeGreaterThan(1000);
});

describe("a node that tells of itself", () => {
  test("is asked for its vitals only when it falls silent, and for a sign of life now and then", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0, "gossip");
    expect(fleet.reported("a", nodeSample(), -20, 3, 0)).toBe(true);
    expect(fleet.take().changedIds).toEqual(["a"]);
    expect(fleet.target("a")).toMatchObject({ state: "healthy", streamed: true, sampledAtMs: -20, rttMs: 3 });
    const polls: string[] = [];
    for (let nowMs = 1000; nowMs <= 60_000; nowMs += 1000) {
      fleet.wake(nowMs);
      fleet.reported("a", nodeSample({ requestsInProgress: nowMs }), nowMs, undefined, nowMs);
      const output = fleet.take();
      for (const { kind, port } of output.polls) {
        polls.push(`${kind} ${port}`);
        fleet.polled("a", { ok: true, sample: null, rttMs: 3 }, nowMs);
      }
      // Its figures go into the table by a way of their own.
      if (output.polls.length === 0 && nowMs > 6000) expect(output.events).toEqual([]);
    }
    expect(new Set(polls)).toEqual(new Set(["health 8000"]));
    expect(polls.length).toBeGreaterThanOrEqual(2);
    expect(polls.length).toBeLessThanOrEqual(3);
    expect(fleet.target("a")).toMatchObject({ rttMs: 3, streamed: true, sampledAtMs: 60_000 });
    fleet.wake(66_000);
    expect(fleet.take().polls.map(({ id, kind }) => [id, kind])).toEqual([["a", "vitals"]]);
    fleet.polled("a", { ok: true, sample: nodeSample(), rttMs: 1 }, 66_001);
    expect(fleet.target("a")).toMatchObject({ streamed: false, sampledAtMs: 66_001 });
  });

  test("is news when it drains or is not ready; unreachable, it stays unhealthy whatever it tells", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0, "gossip");
    let nowMs = 0;
    const causes = (sample: ReturnType<typeof nodeSample>): readonly unknown[] => {
      fleet.take();
      fleet.reported("a", sample, nowMs, 1, nowMs);
      const { events, changedIds } = fleet.take();
      return [...events.map(({ cause }) => cause), ...changedIds];
    };
    fleet.reported("a", nodeSample(), 0, 1, 0);
    expect(causes(nodeSample({ ready: false }))).toEqual(["not ready", "a"]);
    expect(isRoutable(fleet.target("a")!)).toBe(false);
    expect(causes(nodeSample())).toEqual(["ready", "a"]);
    expect(causes(nodeSample({ draining: true, ready: false }))).toEqual(["draining", "a"]);
    expect(causes(nodeSample())).toEqual(["no longer draining", "a"]);
    ({ nowMs } = poll(fleet, "a", 3, failed, 0));
    expect(fleet.target("a")?.state).toBe("unhealthy");
    expect(causes(nodeSample())).toEqual([]);
    expect(isRoutable(fleet.target("a")!)).toBe(false);
    poll(fleet, "a", 1, { ok: true, sample: null, rttMs: 1 }, nowMs);
    expect(fleet.target("a")?.state).toBe("healthy");
  });

  test("is not overtaken by a poll that was on its way, nor by an older word", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0, "gossip");
    fleet.wake(10_000);
    expect(fleet.take().polls).toHaveLength(1);
    fleet.reported("a", nodeSample({ draining: true }), 11_000, 1, 11_000);
    expect(fleet.polled("a", { ok: true, sample: nodeSample(), rttMs: 900 }, 11_500)).toBe(true);
    expect(fleet.target("a")).toMatchObject({ state: "draining", streamed: true, sampledAtMs: 11_000 });
    expect(fleet.reported("a", nodeSample(), 10_500, 1, 12_000)).toBe(false);
    expect(fleet.target("a")?.state).toBe("draining");
  });

  test("is not another of its id, which registered elsewhere", () => {
    const fleet = newFleet();
    fleet.register(node("a"), 0);
    fleet.register(node("a", { address: "10.0.0.2:8000" }), 0, "gossip");
    expect(fleet.reported("a", nodeSample(), 0, 1, 0)).toBe(false);
    expect(fleet.target("a")).toMatchObject({ source: "registered", streamed: false });
  });

  test("must be known, and is not a configured one", () => {
    const fleet = newFleet();
    fleet.setStatic([upstream()], 0);
    expect(fleet.reported("a", nodeSample(), 0, 1, 0)).toBe(false);
    expect(fleet.reported("10.0.0.9:80", nodeSample(), 0, 1, 0)).toBe(false);
  });

  test("counts as the mesh says, until there is a sample", () => {
    const fleet = newFleet();
    fleet.register(node("a", { condition: "unready" }), 0, "gossip");
    expect(isRoutable(fleet.target("a")!)).toBe(false);
    fleet.register(node("a", { condition: "ready" }), 0, "gossip");
    expect(isRoutable(fleet.target("a")!)).toBe(true);
    expect(fleet.take().events.at(-1)?.cause).toBe("condition: ready");
    fleet.register(node("a", { condition: "draining" }), 0, "gossip");
    expect(isRoutable(fleet.target("a")!)).toBe(false);
    fleet.reported("a", nodeSample(), 0, 1, 0);
    expect(isRoutable(fleet.target("a")!)).toBe(true);
  });
});
