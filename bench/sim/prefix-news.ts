/**
 * `npm run bench -- prefix-news [--targets 16] [--speed 3.8] [--routers 1,2,4,16]`: what several routers lose that know
 * of prefixes only what they sent, and what telling each other wins back: Mooncake's conversations at the trace's rate
 * times `speed` (`mooncake.ts` tells of the nodes), clients taking the routers by turns.
 */
import { parseArgs } from "node:util";
import { report } from "../report.ts";
import { play, type Run, type StrategyName } from "./mooncake.ts";

const { values: options } = parseArgs({
  options: {
    targets: { type: "string", default: "16" },
    speed: { type: "string", default: "3.8" },
    routers: { type: "string", default: "1,2,4,16" },
    strategies: { type: "string", default: "ttft,kv-cost,late" },
  },
});

/** One way between routers, after a turn of the clock that waits for more to tell. */
const WAY_MS = 1;
const news = (everyMs: number, isWhole: boolean): NonNullable<Run["knowledge"]> => {
  return { knows: "routed", prefixNews: { everyMs, delayMs: WAY_MS, isWhole } };
};
const DESIGNS: readonly (readonly [string, Pick<Run, "knowledge" | "deskMs">])[] = [
  ["all is known", {}],
  ["each its own", { knowledge: { knows: "routed" } }],
  ["told every 100 ms", { knowledge: news(100, false) }],
  ["told every 100 ms, all of it", { knowledge: news(100, true) }],
  ["told every 1 s", { knowledge: news(1000, false) }],
  ["owned by first block", { deskMs: WAY_MS, knowledge: { knows: "routed", ownerBlock: 0 } }],
  ["owned by second block", { deskMs: WAY_MS, knowledge: { knows: "routed", ownerBlock: 1 } }],
];

const rows: Record<string, number | string>[] = [];
for (const routers of options.routers.split(",").map(Number)) {
  for (const strategy of options.strategies.split(",") as StrategyName[]) {
    for (const [design, how] of DESIGNS) {
      if (routers === 1 && (how.knowledge?.prefixNews !== undefined || how.deskMs !== undefined)) continue;
      const run: Run = {
        trace: "mooncake",
        targets: Number(options.targets),
        speed: Number(options.speed),
        strategy,
        routers,
        ...how,
      };
      const { goodput, ttftMs, hitRate } = play(run);
      const row = {
        routers,
        strategy,
        design,
        "hits %": percent(hitRate),
        "good %": percent(goodput),
        "p95 ms": Math.round(ttftMs.p95),
      };
      console.error(JSON.stringify(row));
      rows.push(row);
    }
  }
}
await report("prefix-news", { rows });

function percent(part: number): number {
  return Number((part * 100).toFixed(1));
}
