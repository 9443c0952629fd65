/** Targets that the mesh has no room to tell all models of. */
import { expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import type { Registration } from "../../src/fleet/registration.ts";
import { fleetSettings } from "../../src/fleet/settings.ts";
import type { ModelState } from "../../src/base/runtime-terms.ts";
import { modelSample, nodeSample } from "./samples.ts";

const TOLD: Registration = { id: "gpu-1", address: "10.0.0.1:8000", metricsPort: 9090, models: ["a"], isCut: true };

function served(...models: readonly (readonly [string, ModelState])[]) {
  return nodeSample({ models: models.map(([model, state]) => modelSample({ model, state })) });
}

function fleetOf(registration: Registration) {
  const fleet = new Fleet(defaultsOf(fleetSettings), new Prng(1));
  fleet.register(registration, 0, "gossip");
  const models = (): string => (fleet.target("gpu-1")?.models ?? []).join();
  return { fleet, models };
}

test("serve what their samples name beside what was told, and lose it with the sample that does not", () => {
  const { fleet, models } = fleetOf(TOLD);
  expect(models()).toBe("a");
  fleet.take();
  fleet.reported("gpu-1", served(["a", "loaded"], ["b", "loaded"], ["c", "loading"]), 1, 1, 1);
  expect(models()).toBe("a,b");
  const { changedIds, events } = fleet.take();
  expect([changedIds, events.map(({ kind, cause }) => `${kind} ${cause}`)]).toEqual([
    ["gpu-1"],
    ["updated models: a, b"],
  ]);
  // Each look tells the same.
  fleet.reported("gpu-1", served(["a", "loaded"], ["b", "loaded"]), 2, 1, 2);
  expect(fleet.take().events).toEqual([]);
  // Other news of it take nothing away.
  fleet.register({ ...TOLD, zone: "z" }, 3, "gossip");
  expect([models(), fleet.take().events.map(({ cause }) => cause)]).toEqual(["a,b", ["zone: z"]]);
  fleet.reported("gpu-1", served(["a", "loaded"], ["c", "loaded"]), 4, 1, 4);
  expect(models()).toBe("a,c");
  fleet.register({ ...TOLD, models: ["d"], isCut: false }, 5, "gossip");
  fleet.reported("gpu-1", served(["d", "loaded"], ["c", "loaded"]), 6, 1, 6);
  expect(models()).toBe("d");
});

test("serve no more than any target may, and only by names that any may have", () => {
  const { fleet, models } = fleetOf(TOLD);
  const many = Array.from({ length: 100 }, (_, at) => [`m${at}`, "loaded"] as const);
  fleet.reported("gpu-1", served(["", "loaded"], ["x".repeat(300), "loaded"], ...many), 1, 1, 1);
  expect(models().split(",")).toEqual(["a", ...many.slice(0, 63).map(([model]) => model)]);
});

test("serve what is loaded by the request for it", () => {
  const { fleet, models } = fleetOf(TOLD);
  const sample = nodeSample({
    models: [
      modelSample({ model: "b", state: "available", loadSeconds: 3 }),
      modelSample({ model: "c", state: "available" }),
    ],
  });
  fleet.reported("gpu-1", sample, 1, 1, 1);
  expect(models()).toBe("a,b");
});

test("that were told of as a whole are believed", () => {
  const { fleet, models } = fleetOf({ ...TOLD, isCut: false });
  fleet.reported("gpu-1", served(["a", "loaded"], ["b", "loaded"]), 1, 1, 1);
  expect(models()).toBe("a");
});
