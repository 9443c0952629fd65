/** Experiments with state streams, and what they measure; the benchmark runs them large, the tests small. */
import { Prng } from "../../src/base/prng.ts";
import { StateWorld, type StateWorldOptions } from "./state-world.ts";

export interface Spread {
  /** From each change at a node until the last router knew it. */
  readonly allMs: number[];
  /** Changes that some router had not heard of ten seconds later. */
  readonly never: number;
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
}

/** Nodes begin and end to drain, at random; how long until every router knows? */
export function spread(options: StateWorldOptions, changes: number, everyMs: number): Spread {
  const world = new StateWorld(options);
  const prng = new Prng(options.seed + 1);
  world.runFor(5000);
  const open = new Map<string, { readonly draining: boolean; readonly atMs: number; readonly heard: Set<number> }>();
  const allMs: number[] = [];
  world.onReport = (router, agent, { sample }) => {
    const change = open.get(agent.address);
    if (change === undefined || sample.draining !== change.draining) return;
    change.heard.add(router);
    if (change.heard.size < options.routers) return;
    open.delete(agent.address);
    allMs.push(world.nowMs - change.atMs);
  };
  const { bytes, packets, nowMs } = world;
  for (let change = 0; change < changes; change += 1) {
    const agent = world.agents[prng.int(world.agents.length)]!;
    if (!open.has(agent.address)) {
      agent.draining = !agent.draining;
      open.set(agent.address, { draining: agent.draining, atMs: world.nowMs, heard: new Set() });
    }
    world.runFor(everyMs * 2 * prng.next());
  }
  world.runFor(10_000);
  const pairSeconds = ((world.nowMs - nowMs) / 1000) * options.agents * options.routers;
  return {
    allMs,
    never: open.size,
    bytesPerSecond: (world.bytes - bytes) / pairSeconds,
    packetsPerSecond: (world.packets - packets) / pairSeconds,
  };
}
