/**
 * `npm run bench -- routing [--targets 8,16,64] [--traces mooncake,azure]`: strategies on recorded traffic, in the
 * simulator (`mooncake.ts` tells of the nodes). For each: the highest rate, in multiples of the trace's own, at which 90
 * % of the requests are good; then all of them at 60, 80 and 100 % of the best one's, and where the best of those that
 * choose as a request comes falls to half, each beside the best that an oracle reaches; at 60 % with something wrong, and
 * at 100 % by several routers. Half an hour on two cores.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { report } from "../report.ts";
import type { best, play, Run, StrategyName, TraceName } from "./mooncake.ts";
import { STRATEGIES, TRACES, TROUBLES } from "./mooncake.ts";

const { values: options } = parseArgs({
  options: {
    targets: { type: "string", default: "8,16,64" },
    traces: { type: "string", default: "mooncake,azure" },
    strategies: { type: "string", default: STRATEGIES.join(",") },
  },
});
const TARGETS = options.targets.split(",").map(Number);
const NAMES = options.traces.split(",") as TraceName[];
const CHOSEN = options.strategies.split(",") as StrategyName[];
for (const targets of TARGETS) if (!Number.isInteger(targets) || targets < 1) throw new Error(`${targets} targets?`);
for (const name of NAMES) if (!(name in TRACES)) throw new Error(`there is no trace ${name}`);
for (const name of CHOSEN) if (!STRATEGIES.includes(name)) throw new Error(`there is no strategy ${name}`);

const GOOD = 0.9;
const HALF = 0.5;
/** Rates are found to this part of themselves. */
const EXACT = 0.01;
/** Where the search begins, for one target. */
const FIRST_SPEED: Readonly<Record<TraceName, number>> = { mooncake: 0.25, azure: 2 };

type Played = ReturnType<typeof play>;

/** Workers that play runs, each one at a time. */
class Crew {
  readonly #idle: Worker[] = [];
  readonly #asked: ((worker: Worker) => void)[] = [];
  readonly #workers: Worker[];

  constructor(size: number) {
    this.#workers = Array.from({ length: size }, () => new Worker(new URL("./routing-worker.ts", import.meta.url)));
    this.#idle.push(...this.#workers);
  }

  play(run: Run): Promise<Played> {
    return this.#ask({ run, seeks: "outcome" });
  }

  best(run: Run): Promise<ReturnType<typeof best>> {
    return this.#ask({ run, seeks: "best" });
  }

  async #ask<T>(question: { run: Run; seeks: "outcome" | "best" }): Promise<T> {
    const worker = this.#idle.pop() ?? (await new Promise<Worker>((resolve) => this.#asked.push(resolve)));
    try {
      return await new Promise<T>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<T>) => resolve(data);
        worker.onerror = ({ message }) => reject(new Error(message));
        worker.postMessage(question);
      });
    } finally {
      const next = this.#asked.shift();
      if (next === undefined) this.#idle.push(worker);
      else next(worker);
    }
  }

  end(): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

const crew = new Crew(Math.max(1, availableParallelism()));

/** The highest speed at which that part of the requests is good. */
async function speedAt(share: number, run: Omit<Run, "speed">): Promise<number> {
  const isGood = async (speed: number): Promise<boolean> => (await crew.play({ ...run, speed })).goodput >= share;
  let low = FIRST_SPEED[run.trace] * run.targets;
  let high = low;
  if (await isGood(low)) {
    while (await isGood((high *= 1.5))) low = high;
  } else {
    while (!(await isGood((low /= 1.5)))) if (low < 0.01) return 0;
    high = low * 1.5;
  }
  while (high - low > EXACT * low) {
    const middle = (low + high) / 2;
    if (await isGood(middle)) low = middle;
    else high = middle;
  }
  return low;
}

const rows: Record<string, number | string>[] = [];

function record(at: string, run: Run, { goodput, ttftMs, ttftMeanMs, itlMs, hitRate, longestMs }: Played): void {
  rows.push({
    trace: run.trace,
    targets: run.targets,
    at,
    speed: rounded(run.speed),
    strategy: run.strategy,
    "good %": rounded(goodput * 100),
    "ttft p50 ms": rounded(ttftMs.p50),
    "p95 ms": rounded(ttftMs.p95),
    "p99 ms": rounded(ttftMs.p99),
    "p99.9 ms": rounded(ttftMs.p999),
    "mean ms": rounded(ttftMeanMs),
    "longest ms": rounded(longestMs),
    "itl p95 ms": rounded(itlMs.p95),
    "hits %": rounded(hitRate * 100),
  });
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

const bests: Record<string, number | string>[] = [];
/** Whose robustness is looked at: the default, and what to hold it against. */
const TRIED: readonly StrategyName[] = ["least-request", "epp-default", "late"];
const capacities: Record<string, number | string>[] = [];
try {
  for (const trace of NAMES) {
    for (const targets of TARGETS) {
      const speeds = await Promise.all(CHOSEN.map((strategy) => speedAt(GOOD, { trace, strategy, targets })));
      const best = Math.max(...speeds);
      const bound = CHOSEN.filter((name) => name !== "late");
      const bestBound = bound.toSorted((a, b) => speeds[CHOSEN.indexOf(b)]! - speeds[CHOSEN.indexOf(a)]!)[0]!;
      for (const [index, strategy] of CHOSEN.entries()) {
        capacities.push({
          trace,
          targets,
          strategy,
          "capacity, times the trace's rate": rounded(speeds[index]!),
          "of the best that binds at arrival": rounded(speeds[index]! / speeds[CHOSEN.indexOf(bestBound)]!),
        });
      }
      const points: [string, number][] = [0.6, 0.8, 1].map((part) => [`${part * 100} %`, part * best]);
      points.push([`${bestBound} at half`, await speedAt(HALF, { trace, strategy: bestBound, targets })]);
      const common = { trace, targets, speed: best };
      for (const trouble of TROUBLES) {
        const runs = TRIED.map((strategy) => ({ ...common, speed: 0.6 * best, strategy, trouble }));
        const played = await Promise.all(runs.map((run) => crew.play(run)));
        for (const [index, run] of runs.entries()) record(`60 %, ${trouble}`, run, played[index]!);
      }
      for (const routers of [1, 2, 4]) {
        const runs = TRIED.map((strategy): Run => ({ ...common, strategy, routers }));
        const played = await Promise.all(runs.map((run) => crew.play(run)));
        for (const [index, run] of runs.entries()) record(`100 %, ${routers} routers`, run, played[index]!);
      }
      const desk: Run = { ...common, strategy: "late", routers: 4, deskMs: 1 };
      record("100 %, 4 routers, one desk", desk, await crew.play(desk));
      for (const [at, speed] of points) {
        const runs = CHOSEN.map((strategy) => ({ trace, strategy, targets, speed }));
        const played = await Promise.all(runs.map((run) => crew.play(run)));
        for (const [index, run] of runs.entries()) record(at, run, played[index]!);
        const most = await crew.best(runs[0]!);
        bests.push({
          trace,
          targets,
          at,
          speed: rounded(speed),
          // Whoever beats it is the better oracle.
          "oracle good %": rounded(Math.max(most.oracle, ...played.map(({ goodput }) => goodput)) * 100),
          "good alone %": rounded(most.alone * 100),
          ...(CHOSEN.includes("late") ? { "late good %": rounded(played[CHOSEN.indexOf("late")]!.goodput * 100) } : {}),
        });
      }
    }
  }
} finally {
  crew.end();
}
await report("routing", { capacities, bests, rows });
