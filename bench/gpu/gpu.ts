/**
 * `npm run bench -- gpu [--seconds 60] [--rounds 20] [--cycles 0] [--samples 0]`: what reading GPUs costs, and how soon
 * what befalls them is known. Against the double of libnvidia-ml, which answers at once: eight H100s at work, all groups at
 * their paces, once a second what changes; dcgm-exporter's names are served too.
 *
 * Cost: an agent that reads them with its probe, less an agent with `--gpu none` beside it, both idle otherwise and left
 * alone for a while first: CPU time of all their threads over the same seconds, and proportional shares of memory. Then
 * /metrics 200 times.
 *
 * An XID: a router and two nodes. The time from the moment at which the scenario tells it to the moment at which the
 * router says that it chooses the node no more, asked every 2 ms; that it does not is tried by requests. The quarantine is
 * ended by hand, and so on.
 *
 * A hang: every call into the library blocks from one moment on. The time until the agent says that the driver is
 * unresponsive; meanwhile its API is asked 50 times a second.
 *
 * `--cycles 10000` starts and ends that many probe processes, `--samples 1000000` reads that many samples of GPUs; they
 * take a quarter of an hour and some minutes. Without them the rest takes two minutes and a half.
 */
import { parseArgs } from "node:util";
import { json, sourceOf } from "../../tests/process/gpu-source.ts";
import { rawChat, type Started, until } from "../../tests/process/harness.ts";
import { report } from "../report.ts";
import { type Endured, cycles, samples } from "./gpu-endurance.ts";
import { GpuNodes, WELL, CALM, cpuSeconds, percentile, pidsOf, shareMb, uncordon } from "./gpu-nodes.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    rounds: { type: "string", default: "20" },
    cycles: { type: "string", default: "0" },
    samples: { type: "string", default: "0" },
  },
});
const [SECONDS, ROUNDS, CYCLES, SAMPLES] = [options.seconds, options.rounds, options.cycles, options.samples].map(
  (text) => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < 0) throw new Error(`${text} is no whole number`);
    return number;
  },
) as [number, number, number, number];

const SCRAPES = 200;
/** What Prometheus asks for. */
const PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
/** Compiling what is hot, and settling, are over by then. */
const SETTLE_MS = Math.min(20_000, SECONDS * 1000);
const KNOWN_MS = 30_000;
const XID_LIMIT_MS = 20_000;
const HANG_LIMIT_MS = 60_000;
const ASK_XID_MS = 2;
const ASK_HANG_MS = 20;
const TRIES = 8;
/** What was grown by less is noise of the collector's. */
const GROWTH_MB_MAX = 32;

const rows: Record<string, number | string | boolean>[] = [];
function record(what: string, measured: number, unit: string, target?: number): void {
  const judged = target === undefined ? {} : { target, met: measured <= target };
  rows.push({ what, measured: Number(measured.toPrecision(4)), unit, ...judged });
  console.log(`${what}: ${measured.toPrecision(4)} ${unit}`);
}

const nodes = new GpuNodes();

async function cost(): Promise<void> {
  const [bare, full] = await Promise.all([
    nodes.agent("bare", null),
    nodes.agent("full", nodes.double("busy", ...CALM), "--dcgm-compat"),
  ]);
  await Bun.sleep(SETTLE_MS);
  const all = [pidsOf(bare), pidsOf(full)];
  const [ofBare, ofFull] = all as [number[], number[]];
  if (ofBare.length !== 1 || ofFull.length !== 2)
    throw new Error(`expected one process and two, not ${JSON.stringify(all)}`);
  const [agent, probe] = ofFull as [number, number];
  const spent = (): number[] => [cpuSeconds(ofBare), cpuSeconds([agent]), cpuSeconds([probe])];
  const [from, fromMs] = [spent(), performance.now()];
  await Bun.sleep(SECONDS * 1000);
  const [to, seconds] = [spent(), (performance.now() - fromMs) / 1000];
  const [bareShare = 0, agentShare = 0, probeShare = 0] = to.map((time, at) => ((time - from[at]!) / seconds) * 100);
  record("CPU of agent and probe beyond the bare agent", agentShare + probeShare - bareShare, "% of a core", 0.5);
  record("CPU of the bare agent", bareShare, "% of a core");
  record("CPU of the agent", agentShare, "% of a core");
  record("CPU of the probe, with the double", probeShare, "% of a core");
  record("memory of agent and probe beyond the bare agent", shareMb(ofFull) - shareMb(ofBare), "MB", 60);
  record("memory of the probe", shareMb([probe]), "MB");
  await scrape(full);
  await Promise.all([bare.stop(), full.stop()]);
}

async function scrape(agent: Started): Promise<void> {
  const times: number[] = [];
  let bytes = 0;
  for (let count = 0; count < SCRAPES; count += 1) {
    const fromMs = performance.now();
    const response = await fetch(`http://${agent.address("metrics")}/metrics`, { headers: { accept: PROMETHEUS } });
    const text = await response.text();
    times.push(performance.now() - fromMs);
    bytes = text.length;
    const isWhole = response.status === 200 && /^infermesh_gpu_/m.test(text) && /^DCGM_FI_DEV_/m.test(text);
    if (!isWhole) throw new Error(`/metrics answered ${response.status} and not all GPUs: ${text.slice(0, 200)}`);
    await Bun.sleep(5);
  }
  record("a scrape of /metrics, median", percentile(times, 0.5), "ms", 5);
  record("a scrape of /metrics, p99", percentile(times, 0.99), "ms");
  record("a scrape of /metrics, size", bytes / 1000, "kB");
}

interface Shown {
  readonly id?: string;
  readonly routable?: boolean;
  readonly sample?: { readonly gpus: readonly unknown[] } | null;
}

/** Who answers some requests. */
async function answerers(router: Started, model: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (let count = 0; count < TRIES; count += 1) {
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 1 });
    const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, { method: "POST", body });
    await response.text();
    found.add(response.headers.get("x-infermesh-node") ?? "");
  }
  return found;
}

async function xids(): Promise<void> {
  const router = await nodes.bench.router("--workers", "1", "--swim-profile", "local");
  const join = ["--join", String(router.ready["gossip"])];
  const double = nodes.double("h100", "gpus = 8");
  const [ill, well] = await Promise.all([
    nodes.agent("ill", double, ...join),
    nodes.agent("well", nodes.double("h100", "gpus = 8"), ...join),
  ]);
  const isRoutable = async (id: string, isIt: boolean): Promise<boolean> => {
    const node = (await json(router, `/nodes/${id}`)) as Shown;
    return node.id === id && node.sample?.gpus.length === 8 && node.routable === isIt;
  };
  await until(async () => (await isRoutable("ill", true)) && (await isRoutable("well", true)), KNOWN_MS);
  await rawChat(router);
  const [model = ""] = ill.ready["models"] as string[];
  const times: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    // Not in step with the looks for faults, of which there are four a second.
    await Bun.sleep(100 + ((round * 67) % 250));
    const fromMs = performance.now();
    double.play("h100", "gpus = 8", ...WELL, `xid = ${round} 3 79`);
    while (!(await isRoutable("ill", false))) {
      if (performance.now() - fromMs > XID_LIMIT_MS) throw new Error(`XID ${round} was not noticed`);
      await Bun.sleep(ASK_XID_MS);
    }
    times.push(performance.now() - fromMs);
    const chosen = await answerers(router, model);
    if (chosen.has("ill")) throw new Error("the router says that the node is out, and chooses it");
    await uncordon(ill, "ill");
    await until(() => isRoutable("ill", true), KNOWN_MS);
  }
  record("from an XID to a router that chooses the node no more, median", percentile(times, 0.5), "ms", 1500);
  record("from an XID to a router that chooses the node no more, longest", Math.max(...times), "ms", 1500);
  await Promise.all([router.stop(), ill.stop(), well.stop()]);
}

async function hang(): Promise<void> {
  const double = nodes.double("busy");
  const agent = await nodes.agent("hangs", double);
  await Bun.sleep(2000);
  const times: number[] = [];
  const fromMs = performance.now();
  double.play("busy", ...WELL, "call.*.hang = forever");
  for (;;) {
    const askedMs = performance.now();
    const { state } = await sourceOf(agent);
    times.push(performance.now() - askedMs);
    if (state === "unresponsive") break;
    if (askedMs - fromMs > HANG_LIMIT_MS) throw new Error("the hang was not noticed");
    await Bun.sleep(ASK_HANG_MS);
  }
  record("a driver's hang is noticed after", (performance.now() - fromMs) / 1000, "s", 12);
  record("answers of the agent's API meanwhile, median", percentile(times, 0.5), "ms");
  record("answers of the agent's API meanwhile, p99", percentile(times, 0.99), "ms", 20);
  double.play("busy", ...WELL);
  await until(async () => (await sourceOf(agent)).state === "ok", KNOWN_MS);
  await agent.stop();
}

function endured(what: string, { before, after, seconds }: Endured): void {
  record(`${what}: memory grew by`, after.residentMb - before.residentMb, "MB", GROWTH_MB_MAX);
  record(`${what}: memory at the end`, after.residentMb, "MB");
  record(`${what}: descriptors more than before`, after.descriptors - before.descriptors, "", 0);
  record(`${what}: took`, seconds, "s");
}

try {
  await cost();
  await xids();
  await hang();
  if (CYCLES > 0) endured(`${CYCLES} probes`, await cycles(nodes.double("busy", ...CALM), CYCLES));
  if (SAMPLES > 0) endured(`${SAMPLES} samples`, await samples(nodes.double("busy", ...CALM), SAMPLES));
} finally {
  await nodes.end();
}
await report("gpu", { seconds: SECONDS, rounds: ROUNDS, cycles: CYCLES, samples: SAMPLES, rows });
