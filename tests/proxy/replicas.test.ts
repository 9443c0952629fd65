/** Who is asked to load a model that is short of replicas. */
import { expect, test } from "bun:test";
import type { Target } from "../../src/fleet/target.ts";
import { LOAD_AGAIN_MS, type ReplicaRules, Replicas } from "../../src/proxy/replicas.ts";
import type { ModelState } from "../../src/base/runtime-terms.ts";
import { modelSample, nodeSample, targetOf } from "../fleet/samples.ts";

const rules: ReplicaRules = {
  pins: new Map([["m", { minReplicas: 2, nodes: ["a", "b", "c"] }]]),
  isClosed: () => false,
  allows: () => true,
};

/** A node that does not serve "m", and says that of it. */
const idle = (id: string, state?: ModelState): Target => {
  const models = state === undefined ? [] : [modelSample({ state })];
  return targetOf(id, { models: [], lastSample: nodeSample({ models }) });
};

const asked = (replicas: Replicas, targets: readonly Target[], nowMs = 0): string[] =>
  replicas
    .look(rules, new Map([["m", targets.filter(({ models }) => models.includes("m"))]]), targets, nowMs)
    .loads.map(({ node }) => node);

test("a node that loads or warms the model comes: nobody else is asked in its stead", () => {
  expect(asked(new Replicas(), [idle("a"), idle("b"), idle("c")])).toEqual(["a", "b"]);
  expect(asked(new Replicas(), [idle("a", "loading"), idle("b"), idle("c")])).toEqual(["b"]);
  expect(asked(new Replicas(), [idle("a", "loading"), idle("b"), idle("c", "warming")])).toEqual([]);
  expect(asked(new Replicas(), [targetOf("a"), idle("b", "warming"), idle("c")])).toEqual([]);
});

test("one that has it and did not load it is asked, also one where it failed", () => {
  expect(asked(new Replicas(), [idle("a", "available"), idle("b", "failed"), idle("c")])).toEqual(["a", "b"]);
});

test("who was asked is asked again only after a while", () => {
  const replicas = new Replicas();
  const targets = [idle("a"), idle("b")];
  expect(asked(replicas, targets)).toEqual(["a", "b"]);
  expect(asked(replicas, targets, LOAD_AGAIN_MS - 1)).toEqual([]);
  expect(asked(replicas, targets, LOAD_AGAIN_MS)).toEqual(["a", "b"]);
});
