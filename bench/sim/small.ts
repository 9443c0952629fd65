/**
 * `npm run bench -- small [--strategies ttft,late] [--seconds 60]`: 512 nodes of four kinds and 800 requests a second, as
 * `infermesh sim generate small` has them, by each strategy: in a router that knows all at once, as the scenario is (one
 * router, samples ten times a second), and by four routers with samples that are a tenth of a second old, where those herd
 * that trust what they know. Each beside round robin in the same mesh, and beside itself where all is fresh.
 *
 * The scenario was made so that round robin has a p95 of 384 ms and a p99 of 639 ms, as published for such a mesh, before
 * anything else was played in it. Seeds are fixed. A minute on one core.
 */
import { parseArgs } from "node:util";
import { parseSection } from "../../src/base/settings-reading.ts";
import { type Figures, resultOf } from "../../src/sim/figures.ts";
import { type Scenario, scenarioSettings, STRATEGIES, type StrategyName } from "../../src/sim/scenario.ts";
import { playCell } from "../../src/sim/scenario-world.ts";
import { sizedScenario } from "../../src/sim/sizes.ts";
import { report } from "../report.ts";

const { values: options } = parseArgs({
  options: {
    strategies: { type: "string", default: STRATEGIES.join(",") },
    seconds: { type: "string", default: "60" },
  },
});
const BASE = "round-robin";
const chosen = options.strategies.split(",") as StrategyName[];
for (const name of chosen) if (!STRATEGIES.includes(name)) throw new Error(`there is no strategy ${name}`);
const seconds = Number(options.seconds);
if (!(seconds >= 1)) throw new Error(`${options.seconds} seconds?`);

const MESHES = {
  fresh: { routers: 1, every: "10ms", delay: "0ms" },
  usual: { routers: 1, every: "100ms", delay: "5ms" },
  "stale, four routers": { routers: 4, every: "100ms", delay: "100ms" },
} as const;
type Mesh = keyof typeof MESHES;

function scenarioOf(mesh: Mesh): Scenario {
  const tree = Bun.YAML.parse(sizedScenario("small")) as Record<string, object | string>;
  const { routers, every, delay } = MESHES[mesh];
  Object.assign(tree, { duration: `${seconds}s`, routers: { count: routers }, samples: { every, delay } });
  const { value, faults } = parseSection(scenarioSettings, tree);
  if (value === undefined) throw new Error(`the scenario is wrong: ${JSON.stringify(faults)}`);
  return value;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

const fresh = new Map<StrategyName, Figures>();
const rows = (Object.keys(MESHES) as Mesh[]).flatMap((mesh) => {
  const scenario = scenarioOf(mesh);
  const played = (strategy: StrategyName): Figures =>
    resultOf(scenario, strategy, [playCell(scenario, strategy, 0, new Map())], 0).figures;
  const base = played(BASE);
  return [BASE, ...chosen.filter((name) => name !== BASE)].map((strategy) => {
    const figures = strategy === BASE ? base : played(strategy as StrategyName);
    const { goodput, ttftMs, costBusy } = figures;
    if (mesh === "fresh") fresh.set(figures.strategy, figures);
    const own = fresh.get(figures.strategy)?.ttftMs;
    const row = {
      mesh,
      strategy,
      "good %": rounded(goodput * 100),
      "p50 ms": rounded(ttftMs.p50),
      "p95 ms": rounded(ttftMs.p95),
      "p99 ms": rounded(ttftMs.p99),
      "p95 of round robin": rounded(ttftMs.p95 / base.ttftMs.p95),
      "p99 of round robin": rounded(ttftMs.p99 / base.ttftMs.p99),
      "cost of round robin": rounded((costBusy ?? Number.NaN) / (base.costBusy ?? Number.NaN)),
      "p95 of fresh": rounded(ttftMs.p95 / (own?.p95 ?? Number.NaN)),
      "p99 of fresh": rounded(ttftMs.p99 / (own?.p99 ?? Number.NaN)),
    };
    console.log(JSON.stringify(row));
    return row;
  });
});
await report("small", { "simulated s": seconds, rows });
