/**
 * `npm run bench -- workers [rounds] [seconds]`: what a second worker adds.
 *
 * With four cores or more the routers have two and the load the others, and what is compared is throughput: two workers
 * against one. With fewer there is no core for the load: routers and load share them all, and what is compared is CPU
 * per request. Two workers whose requests cost k times as much as one's can serve 2 / k times as many when each has a
 * core to itself; `speedup` is that number, and `measuredBy` says where it comes from. What this leaves out: cores that
 * compete for memory. How evenly the kernel spreads connections over the workers shows in the CPU of their threads.
 */
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { report } from "../report.ts";
import { compileC, cpuSeconds, freePort, infermesh, Stage } from "./peers.ts";
import { inTurn, median, rounded, Rounds } from "./rounds.ts";
import { load, writeScript } from "./wrk.ts";
import type { Figures } from "./wrk.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SECONDS = Number(process.argv[3] ?? 4);
const CONNECTIONS = [64, 256];
const WORKERS = [1, 2] as const;
const TARGET = 1.7;

const cores = availableParallelism();
const apart = cores >= 4;
const routerCores = apart ? "0,1" : `0-${cores - 1}`;
const loadCores = apart ? `2-${cores - 1}` : `0-${cores - 1}`;

interface Round extends Figures {
  readonly cpuUs: number;
  /** CPU of the less busy worker's thread over that of the busier one. */
  readonly evenness: number;
}

/** utime + stime in ticks of each thread. */
function threads(pid: number): Map<string, number> {
  const ticks = new Map<string, number>();
  for (const id of readdirSync(`/proc/${pid}/task`)) {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      ticks.set(id, Number(fields[11]) + Number(fields[12]));
    } catch {
      // It ended since it was listed.
    }
  }
  return ticks;
}

function evenness(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): number {
  const used = [...after].map(([id, ticks]) => ticks - (before.get(id) ?? 0)).toSorted((a, b) => b - a);
  return (used[1] ?? 0) / Math.max(1, used[0] ?? 0);
}

const stage = new Stage();
try {
  const { folder } = stage;
  const script = writeScript(folder);
  const upstreamPort = freePort();
  await stage.start(loadCores, [compileC("upstream.c", folder), String(upstreamPort)], "upstream", upstreamPort);
  const routers: { workers: number; port: number; pid: number }[] = [];
  for (const workers of WORKERS) {
    const { port, command } = infermesh(upstreamPort, "requests", workers);
    const { pid } = await stage.start(routerCores, command, `router-${workers}`, port);
    load(port, 64, 3, script, 0, loadCores);
    routers.push({ workers, port, pid });
  }
  const rounds = new Rounds<Round>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const connections of CONNECTIONS) {
      for (const { workers, port, pid } of inTurn(routers, round)) {
        const [before, threadsBefore] = [cpuSeconds(pid), threads(pid)];
        const figures = load(port, connections, SECONDS, script, 0, loadCores);
        const cpuUs = ((cpuSeconds(pid) - before) * 1e6) / figures.requests;
        rounds.add(`${workers}/${connections}`, { ...figures, cpuUs, evenness: evenness(threadsBefore, threads(pid)) });
        console.log(`round ${round + 1}/${ROUNDS} ${workers}/${connections}: ${cpuUs.toFixed(2)} us a request`);
      }
    }
  }
  const perSecond = ({ requests, us }: Round): number => (requests * 1e6) / us;
  const rows = CONNECTIONS.map((connections) => {
    const [one, two] = [`1/${connections}`, `2/${connections}`];
    const cpuRatio = rounds.against(two, one, ({ cpuUs }) => cpuUs) ?? Number.NaN;
    const throughputRatio = rounds.against(two, one, perSecond) ?? Number.NaN;
    const speedup = apart ? throughputRatio : rounded(2 / cpuRatio);
    return {
      connections,
      speedup,
      target: TARGET,
      met: speedup >= TARGET,
      cpuUsOne: rounded(
        rounds.median(one, ({ cpuUs }) => cpuUs),
        2,
      ),
      cpuUsTwo: rounded(
        rounds.median(two, ({ cpuUs }) => cpuUs),
        2,
      ),
      cpuRatio,
      throughputRatio,
      evenness: rounded(median(rounds.of(two).map((figures) => figures.evenness))),
      errors: rounds.sum(one, ({ errors }) => errors) + rounds.sum(two, ({ errors }) => errors),
    };
  });
  await report("workers", {
    rounds: ROUNDS,
    secondsPerRound: SECONDS,
    measuredBy: apart
      ? `throughput: routers on cores ${routerCores}, load on ${loadCores}`
      : `CPU per request: ${cores} cores are shared by routers and load`,
    rows,
  });
} finally {
  await stage.end();
}
