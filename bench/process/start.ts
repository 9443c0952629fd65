/**
 * `npm run bench -- start`: how long the executable takes to start, and what its processes weigh.
 *
 * `--version` is the floor: process, runtime, argument parsing. Commands of ctl are timed from their spawn to their end,
 * the answer of an agent of this machine included. `dev` is timed from its spawn to the first chat answer
 * with status 200, with a request tried every 5 ms, so it includes a router, three agents, their registration and the
 * answer itself. Memory is that of one agent (mock) and one router with two workers, a second after they are ready and
 * again after 1,000 streamed requests, 16 at a time. Resident memory counts the executable's pages, which all processes
 * share, once for each; the proportional share splits them.
 */
import { Bench, EXECUTABLE } from "../../tests/process/harness.ts";
import type { Started } from "../../tests/process/harness.ts";
import { memory } from "../../tests/process/proc.ts";
import { prompt, send } from "../../tests/process/trace.ts";
import { freePort } from "../proxy/peers.ts";
import { report } from "../report.ts";

const VERSION_RUNS = 20;
const DEV_RUNS = 5;
const DEV_LIMIT_MS = 20_000;
const TRY_EVERY_MS = 5;
const SETTLE_MS = 1000;
const REQUESTS = 1000;
const AT_ONCE = 16;
const MODEL = "bench-model";
const MB = 1e6;
const CTL_COMMANDS = [["list-nodes"], ["health"], ["list-models"], ["list-pins"], ["control", "status"]];

const rows: Record<string, number | string | boolean>[] = [];

function record(what: string, measured: number, unit: string, target?: number): void {
  const judged = target === undefined ? {} : { target, met: measured <= target };
  rows.push({ what, measured: Number(measured.toFixed(1)), unit, ...judged });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** From the spawn of a command to its end. */
function commandMs(...args: string[]): number {
  const startMs = performance.now();
  const { exitCode } = Bun.spawnSync([EXECUTABLE, ...args], { stdout: "ignore", stderr: "inherit" });
  if (exitCode !== 0) throw new Error(`${args.join(" ")} ended with ${exitCode}`);
  return performance.now() - startMs;
}

/** The median and the longest of a command, which is to end within `target`. */
function timeCommand(what: string, args: readonly string[], target: number): void {
  const times = Array.from({ length: VERSION_RUNS }, () => commandMs(...args));
  record(`${what}, median`, median(times), "ms", target);
  record(`${what}, longest`, Math.max(...times), "ms");
}

async function chat(base: string, serial: number, outputTokens: number): Promise<boolean> {
  const messages = [{ role: "user", content: prompt(200, serial) }];
  const body = JSON.stringify({ model: MODEL, messages, max_tokens: outputTokens, stream: true });
  return (await send(base, body)).error === "";
}

/** From the spawn of `dev` to the first answer of its mesh. */
async function devMs(): Promise<number> {
  const port = freePort();
  const free = ["--api=127.0.0.1:0", "--metrics=127.0.0.1:0"];
  const command = [EXECUTABLE, "dev", `--listen=127.0.0.1:${port}`, ...free, `--mock-models=${MODEL}`];
  const startMs = performance.now();
  const dev = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  try {
    while (!(await chat(`http://127.0.0.1:${port}`, 1, 1))) {
      if (performance.now() - startMs > DEV_LIMIT_MS) throw new Error(`no answer within ${DEV_LIMIT_MS} ms`);
      await Bun.sleep(TRY_EVERY_MS);
    }
    return performance.now() - startMs;
  } finally {
    dev.kill("SIGINT");
    await dev.exited;
  }
}

function weigh(name: string, { process }: Started, when: string, target: number): void {
  const { resident, proportional } = memory(process.pid);
  record(`${name}, resident, ${when}`, resident / MB, "MB", target);
  if (proportional !== null) record(`${name}, proportional share, ${when}`, proportional / MB, "MB");
}

timeCommand("--version", ["--version"], 60);
timeCommand("--help", ["--help"], 80);
timeCommand("ctl --help", ["ctl", "--help"], 80);
timeCommand("ctl pin-model --help", ["ctl", "pin-model", "--help"], 80);

const starts: number[] = [];
for (let run = 0; run < DEV_RUNS; run++) starts.push(await devMs());
record("dev to the first answer, median", median(starts), "ms", 3000);
record("dev to the first answer, longest", Math.max(...starts), "ms");

const bench = new Bench();
try {
  const { router, agents } = await bench.mesh(1, ["--workers", "2"], ["--mock-models", MODEL, "--mock-speed", "20"]);
  const [agent] = agents;
  if (agent === undefined) throw new Error("no agent was started");
  await Bun.sleep(SETTLE_MS);
  weigh("agent", agent, "idle", 90);
  weigh("router", router, "idle", 150);
  const at = ["--endpoint", `http://${agent.address("api")}`];
  for (const command of CTL_COMMANDS) timeCommand(`ctl ${command.join(" ")}`, ["ctl", ...command, ...at], 150);
  const base = `http://${router.address("listen")}`;
  let sent = 0;
  let failed = 0;
  const client = async (): Promise<void> => {
    while (sent < REQUESTS) if (!(await chat(base, ++sent, 16))) failed++;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  if (failed > 0) throw new Error(`${failed} of ${REQUESTS} requests failed`);
  weigh("agent", agent, "after 1,000 requests", 90);
  weigh("router", router, "after 1,000 requests", 150);
} finally {
  await bench.end();
}

await report("start", { versionRuns: VERSION_RUNS, devRuns: DEV_RUNS, routerWorkers: 2, rows });
