/**
 * `npm run bench -- live-check [requests] [rounds]`: whether the simulator tells what a live mesh does.
 *
 * The first requests of the Azure trace, three times as fast as they came, go by `infermesh load` through a router with
 * its default settings to four mock agents (H100s with an 8B model, at a quarter of their speed, so that what HTTP and
 * this machine add is small beside what is simulated). Prompts are cut at 4,096 tokens and answers at 64. The same
 * requests, at the times at which they were due and with the tokens that the mesh counted (its chat template has some),
 * then go through `sim/world.ts` with the same nodes, one router that chooses by expected time to first token, and its
 * samples. Both mocks and simulation batch by `sim/batching.ts`; what is compared is everything around it.
 *
 * Told are TTFT p50 and p95 of both and their ratios, and ITL. Aimed at: TTFT p50 and p95 within 15 %. A busy machine
 * makes the live mesh slower, never the simulation; the share of requests that were sent late tells how busy it was.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LoadReport } from "../../src/load/report.ts";
import { CSV_HEAD } from "../../src/load/table.ts";
import { arrivalStrategy } from "../../src/score/strategies.ts";
import type { Arrival } from "../../src/sim/arrival.ts";
import { PROFILES } from "../../src/sim/profile.ts";
import type { Outcome } from "../../src/sim/tally.ts";
import { World } from "../../src/sim/world.ts";
import { Bench, EXECUTABLE, nodes, ownEnvironment, until } from "../../tests/process/harness.ts";
import { TRACE_FILE, traceMissing } from "../../tests/process/trace.ts";
import { report } from "../report.ts";

const REQUESTS = Math.max(50, Number(process.argv[2] ?? 400));
const ROUNDS = Math.min(10, Math.max(1, Number(process.argv[3] ?? 3)));
const NODES = 4;
/** Simulated milliseconds of a mock node for each of the clock. */
const MOCK_SPEED = 0.25;
const TRACE_SPEED = 3;
const AIM = 0.15;
const LATE_MAX = 0.1;
const COLUMNS = CSV_HEAD.split(",");

if (traceMissing !== "") throw new Error(`nothing to replay: ${traceMissing}`);
if (!existsSync(EXECUTABLE)) throw new Error(`${EXECUTABLE} is missing: run npm run build`);

interface Live {
  readonly report: LoadReport;
  readonly arrivals: readonly Arrival[];
}

/** `seed`: texts of their own, so that no cache knows them. */
async function live(url: string, folder: string, seed: number): Promise<Live> {
  const cuts = ["--prompt-tokens-max", "4096", "--output-tokens-max", "64"];
  const what = ["--trace", TRACE_FILE, "--speed", String(TRACE_SPEED), "--max-requests", String(REQUESTS), ...cuts];
  const how = ["--seed", String(seed), "--timeout", "5m", "--format", "json", "--out", folder];
  const load = Bun.spawn([EXECUTABLE, "load", url, ...what, ...how], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
    env: ownEnvironment(),
  });
  const [code, text] = await Promise.all([load.exited, new Response(load.stdout).text()]);
  if (code !== 0) throw new Error(`infermesh load ended with ${code}: ${text}`);
  const made = JSON.parse(text) as LoadReport;
  if (made.failed > 0) throw new Error(`requests failed: ${JSON.stringify(made.errors)}`);
  return { report: made, arrivals: arrivalsIn(readFileSync(join(folder, "requests.csv"), "utf8")) };
}

/** What the simulation is asked: the requests as the mesh saw them, in its nodes' time. */
function arrivalsIn(csv: string): Arrival[] {
  const column = (line: readonly string[], name: string) => Number(line[COLUMNS.indexOf(name)]);
  const lines = csv.trim().split("\n").slice(1);
  return lines
    .map((line) => line.split(","))
    .map((line) => ({
      atMs: column(line, "due_ms") * MOCK_SPEED,
      promptTokens: column(line, "prompt_tokens"),
      outputTokens: column(line, "output_tokens"),
      hashes: [],
    }))
    .toSorted((a, b) => a.atMs - b.atMs);
}

function simulated(arrivals: readonly Arrival[]): Outcome {
  const world = new World({
    arrivals,
    nodes: Array.from({ length: NODES }, () => PROFILES["h100-8b"]),
    routers: 1,
    router: { strategy: (seed) => arrivalStrategy("ttft", seed) },
    seed: 1,
    networkMs: 0.5 * MOCK_SPEED,
    sampleEveryMs: 100 * MOCK_SPEED,
    sampleDelayMs: 5 * MOCK_SPEED,
    ttftMs: 2000 * MOCK_SPEED,
    itlMs: 50 * MOCK_SPEED,
  });
  return world.run();
}

const figure = (value: number) => Number(value.toFixed(3));

async function round(url: string, number: number) {
  const folder = mkdtempSync(join(tmpdir(), "infermesh-live-check-"));
  try {
    const { report: mesh, arrivals } = await live(url, folder, number);
    const sim = simulated(arrivals);
    const rows = (["p50", "p95"] as const).flatMap((rank) => [
      { figure: `TTFT ${rank}`, live: mesh.ttftMs[rank] ?? Number.NaN, simulated: sim.ttftMs[rank] / MOCK_SPEED },
      { figure: `ITL ${rank}`, live: mesh.itlMs[rank] ?? Number.NaN, simulated: sim.itlMs[rank] / MOCK_SPEED },
    ]);
    return rows.map((row) => ({
      round: `${number}: ${row.figure}`,
      "live ms": figure(row.live),
      "simulated ms": figure(row.simulated),
      ratio: figure(row.live / row.simulated),
      "sent late": figure(mesh.late / mesh.requests),
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const bench = new Bench();
try {
  const router = await bench.router("--workers", "1");
  for (let n = 1; n <= NODES; n++) await bench.agent(`node${n}`, router, "--mock-speed", String(MOCK_SPEED));
  await until(async () => (await nodes(router)).filter(({ sample }) => sample !== null).length === NODES, 30_000);
  const url = `http://${router.address("listen")}`;
  const rows = [];
  for (let number = 1; number <= ROUNDS; number++) rows.push(...(await round(url, number)));
  const judged = rows.filter((row) => row["sent late"] <= LATE_MAX && row.round.includes("TTFT"));
  const worst = judged.length === 0 ? null : Math.max(...judged.map(({ ratio }) => Math.abs(ratio - 1)));
  await report("live-check", {
    requests: REQUESTS,
    "trace speed": TRACE_SPEED,
    "mock speed": MOCK_SPEED,
    rounds: rows,
    "worst TTFT difference": worst === null ? "no round was quiet enough" : figure(worst),
    "within the aim": worst !== null && worst <= AIM,
  });
} finally {
  await bench.end();
}
