/**
 * `npm run bench -- runtimes [--seconds 60] [--rounds 30] [--settle 180]`: what looking after inference servers costs an agent, and how
 * soon routers know what happens to one.
 *
 * Cost: an agent of four runtimes, each with 50 KB (as a vLLM with one model has) or 500 KB of metrics whose counters grow,
 * less an agent of none beside it, all idle otherwise and left alone first for as long as the engine compiles what is hot,
 * which a thread of it does for minutes where code runs once a second: CPU time of all their threads over the same seconds,
 * growth of their memory meanwhile, and what each runtime was asked. The runtimes are a process of their own.
 *
 * Freshness: a router, an agent and a runtime, a process each. From the moment at which the runtime was told to change to
 * the moment at which the router's row says so, asked every 2 ms: its queue is another one (found by the next scrape), it
 * is killed, a model is loaded through the agent (from the call on), and one that somebody else has loaded: by the API of a
 * server that counts what it answers, as vLLM does, and where only the list of models tells of it. Rounds begin at moments
 * that are not in step with the scrapes.
 */
import { parseArgs } from "node:util";
import { type Started, until } from "../../tests/process/harness.ts";
import { RuntimeMesh } from "../../tests/process/runtime-mesh.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { watchSettings } from "../../src/runtimes/settings.ts";
import { endFakes, type FakeRuntime, startFake } from "../../tests/telemetry/fake-runtime.ts";
import { cpuSeconds, percentile, shareMb } from "../gpu/gpu-nodes.ts";
import { report } from "../report.ts";
import { startVllmServers } from "./vllm-servers.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    rounds: { type: "string", default: "30" },
    settle: { type: "string", default: "180" },
  },
});
const [SECONDS, ROUNDS, SETTLE_SECONDS] = [options.seconds, options.rounds, options.settle].map((text) => {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Error(`${text} is no whole number above 0`);
  return number;
}) as [number, number, number];

const RUNTIMES = 4;
const PAGES_BYTES = [50_000, 500_000];
/** What its start has cost of the asks that a runtime is to have is saved up again by then. */
const START_MS = Math.min(20_000, SECONDS * 1000);
const LIMIT_MS = 60_000;
const ASK_MS = 2;
const INTERVAL_MS = defaultsOf(watchSettings).intervalMs;
const BASE = "base-model";

const rows: Record<string, number | string | boolean>[] = [];
function record(what: string, measured: number, unit: string, target?: number): void {
  const judged = target === undefined ? {} : { target, met: measured <= target };
  rows.push({ what, measured: Number(measured.toPrecision(4)), unit, ...judged });
  console.log(`${what}: ${measured.toPrecision(4)} ${unit}`);
}

async function cost(pageBytes: number): Promise<void> {
  using servers = await startVllmServers(RUNTIMES, pageBytes);
  const of = `four runtimes of ${pageBytes / 1000} KB`;
  const mesh = await RuntimeMesh.start();
  try {
    const named = servers.ports.map((port, at) => `vllm-${at}:vllm=http://127.0.0.1:${port}`);
    const [bare, full] = await Promise.all([
      mesh.agent("bare", ["none"], "--gpu", "none"),
      mesh.agent("full", named, "--gpu", "none"),
    ]);
    await until(async () => (await mesh.targets("full")).filter(({ routable }) => routable).length === RUNTIMES);
    await Bun.sleep(SETTLE_SECONDS * 1000);
    const pids = [bare, full].map(({ process }) => [process.pid]);
    const [fromMs, fromCpu, fromMb] = [performance.now(), pids.map(cpuSeconds), pids.map(shareMb)];
    const fromAsked = await servers.asked();
    await Bun.sleep(SECONDS * 1000);
    const seconds = (performance.now() - fromMs) / 1000;
    const [ofBare = 0, ofFull = 0] = pids.map((pid, at) => ((cpuSeconds(pid) - fromCpu[at]!) / seconds) * 100);
    const asked = (await servers.asked()).map((count, at) => (count - fromAsked[at]!) / seconds);
    record(`CPU of ${of}, beyond the bare agent`, ofFull - ofBare, "% of a core", 0.5);
    record("CPU of the bare agent", ofBare, "% of a core");
    const grown = pids.map((pid, at) => shareMb(pid) - fromMb[at]!);
    record(`memory of ${of} that grew meanwhile`, grown[1]!, "MB");
    record("memory that grew meanwhile, of the bare agent", grown[0]!, "MB");
    record(`memory of ${of}, beyond the bare agent`, shareMb(pids[1]!) - shareMb(pids[0]!), "MB");
    record(`requests a second that one of ${of} had, the most`, Math.max(...asked), "", 1);
    record(`requests a second that one of ${of} had, the fewest`, Math.min(...asked), "");
  } finally {
    await mesh.end();
  }
}

/** A change, and how a router's row shows it; what is to be so before the next round. */
interface Change {
  readonly what: string;
  readonly targetMs: number | undefined;
  readonly rounds: number;
  /** Before each round, at least: the asks that the round before has cost are to be saved up again. */
  readonly pauseMs: number;
  change(round: number): Promise<void>;
  isKnown(round: number): Promise<boolean>;
  restore(round: number): Promise<void>;
}

async function measure({ what, targetMs, rounds, pauseMs, ...one }: Change): Promise<void> {
  const times: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    await Bun.sleep(pauseMs + ((round * 367) % INTERVAL_MS));
    const fromMs = performance.now();
    // A call that answers when it is done is known before that.
    const changing = one.change(round);
    while (!(await one.isKnown(round))) {
      if (performance.now() - fromMs > LIMIT_MS) throw new Error(`${what}: round ${round} never was in the row`);
      await Bun.sleep(ASK_MS);
    }
    times.push(performance.now() - fromMs);
    await changing;
    await one.restore(round);
  }
  record(`${what}, median`, percentile(times, 0.5), "ms");
  record(`${what}, p95`, percentile(times, 0.95), "ms", targetMs);
  record(`${what}, longest`, Math.max(...times), "ms");
}

async function freshness(): Promise<void> {
  const mesh = await RuntimeMesh.start();
  let fake = await startFake({ models: [BASE] });
  try {
    const agent = await mesh.agent("node", [`vllm=http://127.0.0.1:${fake.port}`], "--gpu", "none");
    await mesh.known("node", "ready");
    await mesh.answers(BASE, 200);
    await Bun.sleep(START_MS);
    const row = (model = BASE) => mesh.model("node", model);
    const serves = async (model: string): Promise<boolean> =>
      (await mesh.targets("node"))[0]?.models.includes(model) === true;
    const restart = async (): Promise<void> => {
      fake = await startFake({ models: [BASE] }, fake.port);
      await mesh.known("node", "ready");
    };
    await measure({
      what: "from another queue to the router's row",
      targetMs: 1200,
      rounds: ROUNDS,
      pauseMs: 1500,
      // Grown by what makes a difference; less waits for the next regular state, a second later at most.
      change: async (round) => void (await fake.set({ waiting: (round % 2) * 40 + round, running: 8 })),
      isKnown: async (round) => (await row())?.waitingRequests === (round % 2) * 40 + round,
      restore: async () => {},
    });
    await measure({
      what: "from kill -9 to the router's row",
      targetMs: 300,
      rounds: ROUNDS,
      pauseMs: 1500,
      change: async () => fake.kill(),
      isKnown: async () => (await mesh.targets("node"))[0]?.routable === false,
      restore: restart,
    });
    await measure({
      what: "from a call that loads a model to the router's row",
      targetMs: 300,
      rounds: Math.min(10, ROUNDS),
      pauseMs: 15_000,
      change: async (round) => load(agent, `adapter-${round}`),
      isKnown: async (round) => serves(`adapter-${round}`),
      restore: async () => {},
    });
    await measure({
      what: "from a model that somebody else loaded to the router's row",
      targetMs: 1200,
      rounds: ROUNDS,
      pauseMs: 15_000,
      change: async (round) => fake.loadAdapter(`by-hand-${round}`),
      isKnown: async (round) => serves(`by-hand-${round}`),
      restore: async () => {},
    });
    await unseen(fake, serves);
  } finally {
    await mesh.end();
    await endFakes();
  }
}

/** Nothing tells of it but the list of models itself, which is looked at as often as the metrics leave a request for it. */
async function unseen(fake: FakeRuntime, serves: (model: string) => Promise<boolean>): Promise<void> {
  await measure({
    what: "from a model of which nothing tells but the list to the router's row",
    targetMs: undefined,
    rounds: Math.min(10, ROUNDS),
    pauseMs: 1500,
    change: async (round) => void (await fake.set({ counts: false, adapters: { [`unseen-${round}`]: BASE } })),
    isKnown: async (round) => serves(`unseen-${round}`),
    restore: async () => {},
  });
}

async function load(agent: Started, model: string): Promise<void> {
  const answer = await fetch(`http://${agent.address("api")}/infermesh.control.v1.ControlPlane/LoadModel`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, source: `/adapters/${model}`, parent: BASE }),
  });
  if (!answer.ok) throw new Error(`${model} was not loaded: ${await answer.text()}`);
  await answer.text();
}

await Promise.all(PAGES_BYTES.map(cost));
await freshness();
await report("runtimes", {
  seconds: SECONDS,
  rounds: ROUNDS,
  settleSeconds: SETTLE_SECONDS,
  runtimes: RUNTIMES,
  pagesBytes: PAGES_BYTES,
  rows,
});
