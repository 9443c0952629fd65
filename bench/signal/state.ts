/**
 * How soon a node's change of state is known to every router, and what the streams cost: `npm run bench -- state
 * [short]`. Simulated, 1,000 nodes of 8 GPUs and 4 models and 10 routers, with and without loss; then the CPU of one
 * state at both ends, sealed.
 */
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Publisher } from "../../src/signal/publisher.ts";
import { signalSettings } from "../../src/signal/settings.ts";
import { Subscriber } from "../../src/signal/subscriber.ts";
import { quantile } from "../../tests/sim/mesh-measure.ts";
import { spread } from "../../tests/sim/state-measure.ts";
import { OVERHEAD_BYTES, PLACE, StateWorld } from "../../tests/sim/state-world.ts";
import { report } from "../report.ts";

const SHORT = process.argv.includes("short");
const AGENTS = SHORT ? 100 : 1_000;
const ROUTERS = 10;
const CHANGES = SHORT ? 200 : 2_000;

const rows = [];
for (const [what, more] of [
  ["every figure moves each second", {}],
  ["the same, 1 % loss", { loss: 0.01 }],
  ["the same, 5 % loss", { loss: 0.05 }],
  ["every figure moves ten times a second", { moveMs: 100 }],
  ["nothing moves", { moveMs: 1e9 }],
  ["looked at once a second (1 Hz)", { config: { sampleIntervalMs: 1000 } }],
] as const) {
  const run = spread({ seed: 7, agents: AGENTS, routers: ROUTERS, ...more }, CHANGES, 10);
  const ms = (q: number): number => Math.round(quantile(run.allMs, q));
  const row = {
    what,
    "p50 ms": ms(0.5),
    "p99 ms": ms(0.99),
    "max ms": ms(1),
    never: run.never,
    "bytes/s an agent and router": Math.round(run.bytesPerSecond),
    "packets/s": Math.round(run.packetsPerSecond * 100) / 100,
    "kB/s into a router": Math.round((run.bytesPerSecond * AGENTS) / 1000),
  };
  rows.push(row);
  console.log(JSON.stringify(row));
}

/** Microseconds of CPU for one look, one state written for ten routers, and one state read. */
function cpu(): Record<string, number> {
  const world = new StateWorld({ seed: 1, agents: 1, routers: 0 });
  const [agent] = world.agents;
  const publisher = new Publisher(defaultsOf(signalSettings), { id: "a", incarnation: 1 }, new Prng(1), OVERHEAD_BYTES);
  for (let router = 0; router < ROUTERS; router += 1) publisher.addRouter(`r${router}`);
  const subscriber = new Subscriber();
  const looks = SHORT ? 20_000 : 100_000;
  const packets: Uint8Array[] = [];
  const begin = performance.now();
  for (let look = 0; look < looks; look += 1) {
    publisher.offer(agent!.sample(look * 100), PLACE, look * 100);
    const { sends } = publisher.take(look * 100);
    if (sends[0] !== undefined) packets.push(sends[0].packet);
  }
  const published = performance.now();
  for (const [at, packet] of packets.entries()) {
    subscriber.receive("a", packet, at * 1000);
    subscriber.take();
  }
  const read = performance.now();
  const us = (ms: number, count: number): number => Math.round((ms * 10_000) / count) / 10;
  return { "a look": us(published - begin, looks), "a state read": us(read - published, packets.length) };
}

await report("state", { agents: AGENTS, routers: ROUTERS, spread: rows, "CPU us": cpu() });
