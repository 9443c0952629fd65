/** Runtimes that would serve and are to get no requests: which of a node's, and what is said of them. */
import { expect, test } from "bun:test";
import { whyNotReady, withheld } from "../src/score/sample.ts";
import type { ServedPlace } from "../src/served-places.ts";
import { startedBy, whyWithheld, withheldPlaces } from "../src/withheld.ts";
import { gpuSample, nodeRuntime, nodeSample } from "./fleet/samples.ts";

const ONE = nodeRuntime({ name: "one" });
const TWO = nodeRuntime({ name: "two" });
const ILL = new Map([["two", { uuids: ["GPU-1"], reason: "GPU 1 (GPU-1) is quarantined: XID 79" }]]);

test("a quarantine takes out the runtimes that it is told of, and the node when it has no other", () => {
  const whyNot = whyWithheld({ quarantines: ILL }, null, undefined);
  const both = withheld(nodeSample({ runtimes: [ONE, TWO] }), whyNot);
  expect(both.ready).toBe(true);
  expect(both.runtimes).toEqual([ONE, { ...TWO, ready: false, message: "GPU 1 (GPU-1) is quarantined: XID 79" }]);
  const alone = withheld(nodeSample({ runtimes: [TWO] }), whyNot);
  expect(alone.ready).toBe(false);
  expect(whyNotReady(alone)).toBe("GPU 1 (GPU-1) is quarantined: XID 79");
  const well = nodeSample({ runtimes: [ONE] });
  expect(withheld(well, whyNot)).toBe(well);
});

test("one that does not serve anyway says why itself", () => {
  const down = nodeRuntime({ name: "two", ready: false, state: "down", message: "it refuses connections" });
  const sample = nodeSample({ ready: false, runtimes: [down] });
  expect(withheld(sample, whyWithheld({ quarantines: ILL }, null, undefined))).toBe(sample);
  expect(whyNotReady(sample)).toBe("it refuses connections");
});

test("a node that tells of no runtimes is not ready for its GPU, where one is ill", () => {
  const gpu = gpuSample({ health: "quarantined", healthReason: "XID 79", models: ["m"] });
  expect(whyNotReady({ gpus: [gpu] })).toBe("GPU 0 (GPU-a) is quarantined: XID 79");
  expect(whyNotReady({ gpus: [gpuSample({ health: "quarantined" })] })).toBe("");
  expect(whyNotReady({})).toBe("");
});

test("a process of the agent's that is not ready takes out its runtime, or all where it is nobody's", () => {
  const exec = { isReady: false };
  const own = whyWithheld({ quarantines: new Map() }, exec, "one");
  expect([own("one"), own("two")]).toEqual(["the process that the agent runs for it is not ready", ""]);
  const all = whyWithheld({ quarantines: new Map() }, exec, undefined);
  expect([all("one"), all("two")].every((why) => why !== "")).toBe(true);
  exec.isReady = true;
  expect([own("one"), all("two")]).toEqual(["", ""]);
});

test("a reason that is long is cut to what a state has room for", () => {
  const reason = "GPU is ill; ".repeat(100);
  const why = whyWithheld({ quarantines: new Map([["one", { uuids: [], reason }]]) }, null, undefined)("one");
  expect(why).toHaveLength(240);
  expect(why.endsWith("...")).toBe(true);
});

test("the mesh is told of places without those", () => {
  const place = (runtime: string, ready: boolean): ServedPlace => ({
    runtime,
    name: runtime,
    host: "",
    port: 8000,
    protocol: "http",
    tls: false,
    ready,
    models: [],
  });
  const places = [place("one", true), place("two", true), place("three", false)];
  const told = withheldPlaces(places, whyWithheld({ quarantines: ILL }, null, undefined));
  expect(told.map(({ ready }) => ready)).toEqual([true, false, false]);
});

test("GPUs are tied by the process that the agent started, while there is one", () => {
  const exec = (pid: number | null) => ({ summary: { pid } }) as Parameters<typeof startedBy>[0];
  expect(startedBy(exec(77), "one")).toEqual({ runtime: "one", pid: 77 });
  expect(startedBy(exec(null), "one")).toBeUndefined();
  expect(startedBy(exec(77), undefined)).toBeUndefined();
  expect(startedBy(null, "one")).toBeUndefined();
});
