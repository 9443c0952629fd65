/**
 * `npm run bench -- sim-speed [--strategies round-robin,late] [--sizes medium,large] [--seconds 60]`: what a simulation
 * takes. First one cell on one thread by each strategy: the small scenario (512 nodes, 800 requests a second), and the same
 * with prompts of 400 tenants that begin alike, so that caches and what is known of them cost what they do; each is played
 * three times, the first of them to warm up, and the quickest counts. Then whole scenarios on all processors, as
 * `infermesh sim run` plays them.
 *
 * An event is what the simulation counts as one (`src/sim/DESIGN.md`); seconds are those of the thread's processor, and the
 * making of the requests is in them. A quarter of an hour.
 */
import { parseArgs } from "node:util";
import { parseSection } from "../../src/base/settings-reading.ts";
import { playAll } from "../../src/lab/crew.ts";
import { resultOf } from "../../src/sim/figures.ts";
import { type Scenario, scenarioSettings, STRATEGIES, type StrategyName } from "../../src/sim/scenario.ts";
import { playCell } from "../../src/sim/scenario-world.ts";
import { SIZE_NAMES, type SizeName, sizedScenario } from "../../src/sim/sizes.ts";
import { report } from "../report.ts";

const RUNS = 3;
const TENANTS = 400;

const { values: options } = parseArgs({
  options: {
    strategies: { type: "string", default: STRATEGIES.join(",") },
    sizes: { type: "string", default: "medium,large" },
    "whole-by": { type: "string", default: "round-robin,late" },
    seconds: { type: "string", default: "60" },
  },
});
const names = (text: string): StrategyName[] => {
  const chosen = text.split(",").filter((name) => name !== "") as StrategyName[];
  for (const name of chosen) if (!STRATEGIES.includes(name)) throw new Error(`there is no strategy ${name}`);
  return chosen;
};
const chosen = names(options.strategies);
const wholeBy = names(options["whole-by"]);
const sizes = options.sizes.split(",").filter((name) => name !== "") as SizeName[];
for (const name of sizes) if (!SIZE_NAMES.includes(name)) throw new Error(`there is no size ${name}`);
const seconds = Number(options.seconds);
if (!(seconds >= 1)) throw new Error(`${options.seconds} seconds?`);

function scenario(size: SizeName, work: Record<string, number> = {}): Scenario {
  const tree = Bun.YAML.parse(sizedScenario(size)) as { duration: string; workload: Record<string, number>[] };
  tree.duration = `${seconds}s`;
  Object.assign(tree.workload[0]!, work);
  const { value } = parseSection(scenarioSettings, tree);
  if (value === undefined) throw new Error(`the ${size} scenario is wrong`);
  return value;
}

function cpuSeconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}

function oneCell(of: Scenario, strategy: StrategyName, traffic: string) {
  let best = Infinity;
  let events = 0;
  for (let run = 0; run < RUNS; run += 1) {
    const began = cpuSeconds();
    ({ events } = playCell(of, strategy, 0, new Map()));
    best = Math.min(best, cpuSeconds() - began);
  }
  const row = { strategy, traffic, events, "CPU s": rounded(best), "events/s": Math.round(events / best) };
  console.log(JSON.stringify(row));
  return row;
}

async function whole(size: SizeName, strategy: StrategyName) {
  const of = scenario(size);
  const began = performance.now();
  let figures: { requests: number; events: number; goodput: number } | null = null;
  let cpuMs = 0;
  const entry = new URL("../../src/lab/worker.ts", import.meta.url);
  await playAll(
    of,
    [strategy],
    ".",
    entry,
    (played) => {
      ({ cpuMs } = played);
      ({ figures } = resultOf(of, strategy, played.cells, cpuMs));
    },
    () => {},
  );
  const { requests, events, goodput } = figures!;
  const row = {
    size,
    strategy,
    requests,
    events,
    "good %": rounded(goodput * 100),
    "wall s": rounded((performance.now() - began) / 1000),
    "CPU s": rounded(cpuMs / 1000),
    "events/s of a CPU": Math.round(events / (cpuMs / 1000)),
    // Of all that this process did so far.
    "most memory MiB": Math.round(process.resourceUsage().maxRSS / 1024),
  };
  console.log(JSON.stringify(row));
  return row;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

const wholes = [];
for (const size of sizes) for (const strategy of wholeBy) wholes.push(await whole(size, strategy));
const plain = scenario("small");
const shared = scenario("small", { tenants: TENANTS, prefixTokens: 512, promptTokens: 400 });
const cells = chosen.flatMap((strategy) => [
  oneCell(plain, strategy, "nothing shared"),
  oneCell(shared, strategy, `${TENANTS} tenants' prefixes`),
]);
await report("sim-speed", { "simulated s": seconds, cells, wholes });
