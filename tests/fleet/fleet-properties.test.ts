import { test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import type { Discovered } from "../../src/fleet/discovered.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import type { FleetConfig } from "../../src/fleet/settings.ts";
import { nodeSample } from "./samples.ts";

const config: FleetConfig = {
  pollIntervalMs: 1000,
  pollTimeoutMs: 300,
  unhealthyAfter: 3,
  removeAfter: 10,
  readyWaitMs: 10_000,
  targetsMax: 5,
};
/** One of them may be that of a static target too; no more than `targetsMax`, so that no word of the mesh is let go. */
const IDS = ["a", "b", "c", "d", "10.0.0.9:81"];
const HOSTS = ["10.0.0.1", "10.0.0.2"];

type Source = "registered" | "gossip";
type Step =
  | { kind: "pass"; ms: number }
  | { kind: "wake" }
  | { kind: "register"; id: string; host: string; incarnation: number; models: string[]; source: Source }
  | { kind: "deregister"; id: string; source: Source }
  | { kind: "static"; ports: number[] }
  | { kind: "discover"; pods: { id: string; host: string; condition: "ready" | "draining" }[] }
  | { kind: "answer"; pick: number; ok: boolean; ready: boolean };

const source = fc.constantFrom<Source>("registered", "gossip");
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 1500 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("wake" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("register" as const),
      id: fc.constantFrom(...IDS),
      host: fc.constantFrom(...HOSTS),
      incarnation: fc.integer({ min: 0, max: 2 }),
      models: fc.subarray(["m", "n"]),
      source,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("deregister" as const), id: fc.constantFrom(...IDS), source }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("static" as const), ports: fc.subarray([80, 81, 82]) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("discover" as const),
      pods: fc.uniqueArray(
        fc.record({
          id: fc.constantFrom(...IDS, "pod-1", "pod-2"),
          host: fc.constantFrom(...HOSTS, "10.0.0.3"),
          condition: fc.constantFrom("ready" as const, "draining" as const),
        }),
        { selector: ({ id }) => id, maxLength: 4 },
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      pick: fc.nat(20),
      ok: fc.boolean(),
      ready: fc.boolean(),
    }),
  },
);

function check(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

function podOf(id: string, host: string, condition: "ready" | "draining"): Discovered {
  const place = { host, port: 8000, tls: false, protocol: "http" } as const;
  return { id, node: id, endpoint: "", ...place, models: ["m"], zone: "", labels: {}, condition };
}

/** What was discovered is in the fleet as it was told, or another has its id or its place, or the fleet is full. */
function checkDiscovered(fleet: Fleet, pods: (Step & { kind: "discover" })["pods"]): void {
  const targets = fleet.targets();
  const told = new Map(pods.map((pod) => [pod.id, pod]));
  for (const { id, host, condition } of targets.filter((one) => one.source === "k8s")) {
    const pod = told.get(id);
    check(pod?.host === host && pod.condition === condition, `${id} is not what was discovered`);
    const others = targets.filter((one) => one.source !== "k8s" && one.host === host && one.port === 8000);
    check(others.length === 0, `${id} is at the place of ${others[0]?.id}`);
  }
  for (const { id, host } of pods) {
    if (fleet.target(id)?.source === "k8s" || targets.length === config.targetsMax) continue;
    const isClaimed = targets.some((one) => one.id === id || (one.host === host && one.port === 8000));
    check(isClaimed, `${id} was discovered, and nobody has its place`);
  }
}

/**
 * Runs any steps against the fleet beside a simple model of health: failures in a row, counted by hand.
 * A replaced or removed target starts anew in both. And beside the mesh's last word about each id: what it holds for
 * alive is in the fleet as it says, or the fleet is full, or another of that id answers; what it lost is not.
 */
function run(steps: Step[], seed: number): void {
  const fleet = new Fleet(config, new Prng(seed));
  const polling = new Set<string>();
  const failures = new Map<string, number>();
  const sources = new Map<string, string>();
  const words = new Map<string, { host: string; incarnation: number }>();
  let pods: (Step & { kind: "discover" })["pods"] = [];
  let nowMs = 0;
  let wakeAtMs = 0;

  const takeAll = (): void => {
    const output = fleet.take();
    for (const poll of output.polls) {
      check(!polling.has(poll.id), `two polls at once for ${poll.id}`);
      polling.add(poll.id);
    }
    check(output.wakeAtMs > nowMs || output.wakeAtMs === Number.POSITIVE_INFINITY, "wakeAtMs is not ahead");
    wakeAtMs = output.wakeAtMs;
    for (const event of output.events) {
      if (event.kind === "joined") failures.set(event.id, fleet.target(event.id)?.failuresInRow ?? 0);
      if (event.kind === "left") failures.delete(event.id);
      check(event.kind !== "removed" || sources.get(event.id) === "registered", `${event.id} was removed`);
      check(event.kind !== "removed" || event.cause.startsWith("10 failed"), "removed too early");
    }
    sources.clear();
    for (const target of fleet.targets()) {
      sources.set(target.id, target.source);
      check(target.source !== "gossip" || words.has(target.id), `${target.id} is not what the mesh holds for alive`);
    }
    for (const [id, { host, incarnation }] of words) {
      const target = fleet.target(id);
      if (target === undefined) {
        check(fleet.targets().length === config.targetsMax, `the mesh's ${id} is missing, and there is a place`);
      } else if (target.source !== "gossip") {
        const isOther = target.source === "static" || target.host !== host;
        check(isOther, `the mesh's ${id} is ${target.source} at the mesh's address`);
        const answers = target.state !== "unhealthy" && incarnation <= target.incarnation;
        check(target.source === "static" || answers, `the mesh's ${id} waits for nothing`);
      } else check(target.host === host, `the mesh's ${id} is at ${target.host}`);
    }
    checkDiscovered(fleet, pods);
    const again = fleet.take();
    check(again.polls.length === 0 && again.events.length === 0 && !again.changed, "take is not idempotent");
    check(fleet.targets().length <= config.targetsMax, "too many targets");
    for (const target of fleet.targets()) {
      const counted = failures.get(target.id) ?? 0;
      check(target.failuresInRow === counted, `${target.id} has ${target.failuresInRow} failures, counted ${counted}`);
      check(
        (target.state === "unhealthy") === counted >= config.unhealthyAfter,
        `${target.id} is ${target.state} at ${counted}`,
      );
      // Only who announces itself is forgotten for not answering; the others are for whoever named them to take out.
      check(
        target.source !== "registered" || counted < config.removeAfter,
        `${target.id} was not removed at ${counted}`,
      );
    }
  };

  for (const each of steps) {
    switch (each.kind) {
      case "pass":
        nowMs += each.ms;
        fleet.wake(nowMs);
        break;
      case "wake":
        if (wakeAtMs !== Number.POSITIVE_INFINITY) nowMs = Math.max(nowMs, wakeAtMs);
        fleet.wake(nowMs);
        break;
      case "register": {
        const { id, host, incarnation, models } = each;
        fleet.register({ id, address: `${host}:8000`, metricsPort: 9090, models, incarnation }, nowMs, each.source);
        if (each.source === "gossip") words.set(id, { host, incarnation });
        break;
      }
      case "deregister":
        // Whoever takes a target out by hand takes back what put it in.
        if (each.source === "gossip" || fleet.target(each.id)?.source === "gossip") words.delete(each.id);
        fleet.deregister(each.id, nowMs, each.source);
        break;
      case "static":
        fleet.setStatic(
          each.ports.map((port) => ({ model: "m", host: "10.0.0.9", port, tls: false, protocol: "http", weight: 1 })),
          nowMs,
        );
        break;
      case "discover":
        pods = each.pods;
        fleet.setDiscovered(
          pods.map(({ id, host, condition }) => podOf(id, host, condition)),
          nowMs,
        );
        break;
      case "answer": {
        const ids = [...polling];
        const id = ids[each.pick % Math.max(1, ids.length)];
        if (id === undefined) break;
        polling.delete(id);
        // An answer counts only for the target it was asked of: a fresh one still waits for its own poll.
        const before = fleet.target(id);
        const failuresBefore = before?.failuresInRow;
        const rttBefore = before?.rttMs;
        const result = each.ok
          ? ({ ok: true, sample: nodeSample({ ready: each.ready }), rttMs: nowMs + 1 } as const)
          : ({ ok: false, error: "refused" } as const);
        fleet.polled(id, result, nowMs);
        const after = fleet.target(id);
        const counted = each.ok
          ? after?.rttMs !== rttBefore || after?.sampledAtMs === nowMs
          : after?.failuresInRow !== failuresBefore;
        if (counted) failures.set(id, each.ok ? 0 : (failures.get(id) ?? 0) + 1);
        break;
      }
    }
    takeAll();
  }

  // Once every poll is answered and time passes, every target is polled again: none is lost from the schedule.
  for (const id of polling) {
    const before = fleet.target(id)?.failuresInRow;
    fleet.polled(id, { ok: true, sample: null, rttMs: 1 }, nowMs);
    if (before !== undefined && fleet.target(id)?.failuresInRow === 0) failures.set(id, 0);
  }
  polling.clear();
  nowMs += 2 * config.pollIntervalMs;
  fleet.wake(nowMs);
  takeAll();
  check(polling.size === fleet.targets().length, "a target fell out of the schedule");
}

test("health follows the polls, and the fleet the mesh's words, for any history", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), fc.integer(), (steps, seed) => run(steps, seed)),
    { numRuns: 2000 },
  );
});
