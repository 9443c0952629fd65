/**
 * The consensus in the seeded world (tests/raft/world.ts), on all cores: `npm run bench -- safety [seeds [first]]`.
 * Every invariant is checked at each step; what fails is printed with its seed, and `SEED=n npm test -- tests/raft/safety`
 * runs that one again.
 */
import { cpus } from "node:os";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { simulate } from "../../tests/raft/world.ts";
import { report } from "../report.ts";

const SEEDS_A_CHUNK = 250;
const FAILURES_SHOWN = 20;

interface Chunk {
  readonly first: number;
  readonly count: number;
}

interface Sums {
  seeds: number;
  events: number;
  messages: number;
  terms: number;
  committed: number;
  acknowledged: number;
  reads: number;
  virtualMs: number;
}

interface Result {
  readonly sums: Sums;
  readonly failures: readonly string[];
}

const nothing = (): Sums => ({
  seeds: 0,
  events: 0,
  messages: 0,
  terms: 0,
  committed: 0,
  acknowledged: 0,
  reads: 0,
  virtualMs: 0,
});

function runChunk({ first, count }: Chunk): Result {
  const sums = nothing();
  const failures: string[] = [];
  for (let seed = first; seed < first + count; seed += 1) {
    sums.seeds += 1;
    try {
      const outcome = simulate(seed);
      for (const name of Object.keys(sums) as (keyof Sums)[]) if (name !== "seeds") sums[name] += outcome[name];
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  return { sums, failures };
}

async function main(): Promise<void> {
  const seeds = Number(process.argv[2] ?? 100_000);
  const first = Number(process.argv[3] ?? 1);
  const startedMs = performance.now();
  const before = process.cpuUsage();
  const total = nothing();
  const failures: string[] = [];
  let next = first;
  const workers = cpus().length;

  const serve = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url));
      const give = (): void => {
        const count = Math.min(SEEDS_A_CHUNK, first + seeds - next);
        if (count <= 0) {
          void worker.terminate().then(() => resolve());
          return;
        }
        worker.postMessage({ first: next, count } satisfies Chunk);
        next += count;
      };
      worker.on("error", reject);
      worker.on("message", ({ sums, failures: found }: Result) => {
        for (const name of Object.keys(total) as (keyof Sums)[]) total[name] += sums[name];
        for (const words of found) {
          if (failures.length < FAILURES_SHOWN) console.error(words);
          failures.push(words);
        }
        if (Math.floor(total.seeds / 10_000) > Math.floor((total.seeds - sums.seeds) / 10_000)) {
          console.log(`${total.seeds} seeds, ${failures.length} failed`);
        }
        give();
      });
      give();
    });
  await Promise.all(Array.from({ length: workers }, serve));

  const wallMs = performance.now() - startedMs;
  // Of all threads.
  const { user, system } = process.cpuUsage(before);
  const { seeds: done, ...sums } = total;
  await report("safety", {
    seeds: done,
    first,
    failed: failures.length,
    failures: failures.slice(0, FAILURES_SHOWN),
    workers,
    wallSeconds: Math.round(wallMs / 100) / 10,
    cpuMsPerSeed: Math.round((user + system) / 10 / done) / 100,
    ...sums,
  });
  process.exitCode = failures.length > 0 ? 1 : 0;
}

if (isMainThread) await main();
else parentPort!.on("message", (chunk: Chunk) => parentPort!.postMessage(runChunk(chunk)));
