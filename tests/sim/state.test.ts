/** Whole meshes of nodes and routers, and the streams of states between them. */
import { expect, test } from "bun:test";
import { quantile } from "./mesh-measure.ts";
import { SEED, seeded } from "./seeded.ts";
import { spread } from "./state-measure.ts";
import { StateWorld } from "./state-world.ts";

seeded("a change of state reaches every router within a quarter of a second, and costs little", (seed) => {
  const { allMs, never, bytesPerSecond } = spread({ seed, agents: 60, routers: 10 }, 200, 30);
  expect(never).toBe(0);
  expect(quantile(allMs, 1)).toBeLessThan(250);
  expect(bytesPerSecond).toBeLessThan(800);
});

seeded("also when one packet of twenty is lost, for 99 of 100", (seed) => {
  const { allMs, never } = spread({ seed, agents: 60, routers: 10, loss: 0.05 }, 300, 30);
  expect(never).toBe(0);
  expect(quantile(allMs, 0.99)).toBeLessThan(250);
});

seeded("through loss, duplication, reordering and restarts every router ends with what the node says", (seed) => {
  const world = new StateWorld({
    seed,
    agents: 20,
    routers: 3,
    loss: 0.2,
    duplication: 0.1,
    jitterMs: 40,
    moveMs: 150,
  });
  const last = new Map<string, string>();
  let backwards = 0;
  const incarnations = new Map<string, number>();
  world.onReport = (router, agent, { sample, incarnation }) => {
    const key = `${router}/${agent.index}`;
    if (incarnation < (incarnations.get(key) ?? 0)) backwards += 1;
    incarnations.set(key, incarnation);
    last.set(key, JSON.stringify(sample.models.map(({ model, runningRequests }) => [model, runningRequests])));
  };
  for (let round = 0; round < 20; round += 1) {
    const agent = world.agents[round]!;
    if (round % 3 === 0) world.restart(agent);
    if (round % 4 === 0) agent.models = agent.models.slice(1);
    world.runFor(700);
  }
  world.loss = 0;
  for (const agent of world.agents) agent.movedAtMs = Infinity;
  world.runFor(12_000);
  for (const agent of world.agents) {
    const wanted = JSON.stringify(agent.models.map(({ model, runningRequests }) => [model, runningRequests]));
    for (let router = 0; router < 3; router += 1) expect(last.get(`${router}/${agent.index}`)).toBe(wanted);
  }
  // A packet of the life before may come last, but only by the spread of delays.
  expect(backwards).toBeLessThan(5);
  for (const { subscriber } of world.routers) expect(subscriber.stats.malformed).toBe(0);
});

test("the same seed gives the same run", () => {
  const run = (seed: number): string => {
    const world = new StateWorld({ seed, agents: 10, routers: 2, loss: 0.1 });
    world.runFor(5000);
    return `${world.packets} ${world.bytes} ${world.asks}`;
  };
  expect(run(SEED)).toBe(run(SEED));
  expect(run(SEED)).not.toBe(run(SEED + 1));
});
