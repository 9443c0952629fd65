/**
 * bun scripts/gpu-check.ts: holds the GPU plane against a real NVIDIA GPU. It builds nothing and needs only this checkout.
 *
 * Every figure of the NVML backend is compared with `nvidia-smi -q -x`; looks are timed; memory is watched over many looks;
 * the benchmark runs, whose kernels check their results on the card; and while a matrix product runs on it, its process
 * and the activity of its tensor cores must be seen. The report goes to docs/gpu-check.md. Ends with 1 where anything does
 * not fit, with 3 where there is no GPU. It takes two minutes, and wants GPUs that nobody else uses.
 */
import { existsSync, readlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { BackendError, type GpuBackend } from "../src/gpu/backend.ts";
import { burn } from "../src/gpu/bench-measure.ts";
import { type BenchOutcome, runBench } from "../src/gpu/bench-run.ts";
import { openCuda } from "../src/gpu/cuda.ts";
import { openNvml } from "../src/gpu/nvml.ts";
import { GPU_GROUPS, type GpuGroup, type GpuReading } from "../src/health/reading.ts";
import { GpuReadings } from "../src/health/readings.ts";
import { type Comparison, type Difference, compare } from "./gpu-compare.ts";
import { type CheckReport, type Latency, reportText } from "./gpu-report.ts";
import { smiFigures } from "./smi-figures.ts";
import { elementsAt, readXml } from "./smi-xml.ts";

const ROOT = resolve(import.meta.dir, "..");
const MAIN = join(ROOT, "src/main.ts");
const EXIT = { ok: 0, failed: 1, usage: 2, absent: 3 } as const;
const SMI_MS = 30_000;
const WARM_LOOKS = 2000;
const GROWTH_BYTES_MAX = 8 * 2 ** 20;
const LOOKS_MS_MAX = 180_000;
/** What a matrix product does to a card that is its own. */
const SM_MIN = 0.5;
const TENSOR_MIN = 0.15;
/** For opening the card, and the end of what was asked of it. */
const WORK_END_MS = 30_000;
const FIRST_NAMESPACE = "pid:[4026531836]";

const { values: options } = parseArgs({
  options: {
    nvml: { type: "string", default: "" },
    cuda: { type: "string", default: "" },
    root: { type: "string", default: "" },
    smi: { type: "string", default: "nvidia-smi" },
    out: { type: "string", default: join(ROOT, "docs/gpu-check.md") },
    looks: { type: "string", default: "100000" },
    timed: { type: "string", default: "200" },
    "burn-ms": { type: "string", default: "4000" },
    /** The process at work has no number that the driver would tell of: for tests. */
    "foreign-pids": { type: "boolean", default: false },
    burn: { type: "string", default: "" },
  },
});

function open(): GpuBackend {
  return openNvml({ libraryPath: options.nvml || undefined, root: options.root });
}

/** All groups, once; `keep` puts them together. */
function look(backend: GpuBackend, keep: GpuReadings, groups: readonly GpuGroup[] = GPU_GROUPS): readonly GpuReading[] {
  const wanted = new Set(groups);
  keep.take(backend.read(wanted, performance.now()), wanted.has("identity"));
  return keep.all;
}

function smiDocument(): ReturnType<typeof readXml> {
  const done = Bun.spawnSync([options.smi, "-q", "-x"], { stdout: "pipe", stderr: "pipe", timeout: SMI_MS });
  if (done.exitCode !== 0)
    throw new Error(`${options.smi} -q -x ended with ${done.exitCode}: ${done.stderr.toString().trim()}`);
  return readXml(done.stdout.toString());
}

/** Ours are read before and after nvidia-smi. */
async function compareAll(backend: GpuBackend): Promise<{ comparison: Comparison; driver: string; smiGpus: number }> {
  const keep = new GpuReadings();
  const seen: (readonly GpuReading[])[] = [];
  const read = async (): Promise<void> => {
    for (let count = 0; count < 3; count += 1) {
      seen.push(look(backend, keep));
      await Bun.sleep(150);
    }
  };
  await read();
  const document = smiDocument();
  await read();
  const all: Comparison[] = [];
  const gpus = elementsAt(document, "gpu");
  for (const gpu of gpus) {
    const uuid = elementsAt(gpu, "uuid")[0]?.text ?? "";
    const readings = seen.flatMap((moment) => moment.filter((reading) => reading.uuid === uuid));
    all.push(compare(uuid, readings, smiFigures(gpu)));
  }
  const mismatches = all.flatMap((one) => one.mismatches);
  const count = seen.at(-1)?.length ?? 0;
  if (count !== gpus.length)
    mismatches.push({ uuid: "all", figure: "GPUs", ours: String(count), smi: String(gpus.length) });
  const { driverVersion = "", cudaVersion = "" } = backend.stack;
  const versions = [
    ["driver", driverVersion, elementsAt(document, "driver_version")],
    ["CUDA", cudaVersion, elementsAt(document, "cuda_version")],
  ] as const;
  for (const [figure, ours, [element]] of versions) {
    if (element !== undefined && element.text !== ours)
      mismatches.push({ uuid: "all", figure, ours, smi: element.text });
  }
  const comparison = {
    compared: all.reduce((sum, { compared }) => sum + compared, 0),
    mismatches,
    onlyOurs: all.flatMap((one) => one.onlyOurs),
  };
  return { comparison, driver: elementsAt(document, "driver_version")[0]?.text ?? "", smiGpus: gpus.length };
}

function timeLooks(backend: GpuBackend): Latency[] {
  const count = Math.max(1, Number(options.timed));
  const timed = (name: string, ask: () => void): Latency => {
    ask();
    const times = Array.from({ length: count }, () => {
      const from = performance.now();
      ask();
      return (performance.now() - from) * 1000;
    }).toSorted((a, b) => a - b);
    const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
    return { name, count, p50Us: at(0.5), p99Us: at(0.99) };
  };
  const groups = GPU_GROUPS.map((group) => timed(group, () => backend.read(new Set([group]), performance.now())));
  return [...groups, timed("faults", () => backend.faults())];
}

function watchMemory(backend: GpuBackend): { looks: number; growthBytes: number; seconds: number } {
  const wanted = Number(options.looks);
  const only: ReadonlySet<GpuGroup> = new Set(["load"]);
  const several = (count: number, endMs: number): number => {
    let done = 0;
    while (done < count && performance.now() < endMs) {
      backend.read(only, performance.now());
      done += 1;
    }
    return done;
  };
  const resident = (): number => {
    Bun.gc(true);
    return process.memoryUsage.rss();
  };
  const fromMs = performance.now();
  several(Math.min(WARM_LOOKS, wanted), fromMs + LOOKS_MS_MAX);
  const before = resident();
  const looks = several(wanted, fromMs + LOOKS_MS_MAX);
  return { looks, growthBytes: resident() - before, seconds: (performance.now() - fromMs) / 1000 };
}

/** What is seen of a GPU while a process of ours keeps it at work. */
async function watchWork(backend: GpuBackend, uuid: string): Promise<{ facts: string[]; faults: Difference[] }> {
  const places = ["--cuda", options.cuda, "--root", options.root, "--burn-ms", options["burn-ms"]];
  const child = Bun.spawn([process.execPath, import.meta.path, "--burn", uuid, ...places], {
    stdout: "ignore",
    stderr: "inherit",
  });
  const keep = new GpuReadings();
  const moments: GpuReading[] = [];
  let isSeen = false;
  const endMs = performance.now() + Number(options["burn-ms"]) + WORK_END_MS;
  while (child.exitCode === null && child.signalCode === null) {
    if (performance.now() > endMs) child.kill("SIGKILL");
    await Bun.sleep(250);
    const reading = look(backend, keep).find((one) => one.uuid === uuid);
    if (reading === undefined) continue;
    moments.push(reading);
    isSeen ||= reading.traffic?.processes?.some(({ pid }) => pid === child.pid) ?? false;
  }
  const faults: Difference[] = [];
  const fault = (figure: string, ours: string, expected: string): number =>
    faults.push({ uuid, figure, ours, smi: expected });
  const most = (of: (reading: GpuReading) => number | undefined): number | undefined => {
    const known = moments.map(of).filter((value) => value !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  };
  const [sm, tensor] = [most(({ load }) => load?.activity?.sm), most(({ load }) => load?.activity?.tensor)];
  const utilization = most(({ load }) => load?.utilization);
  if (child.exitCode !== 0) fault("a process at work", `ended with ${child.exitCode}`, "0");
  if (utilization !== undefined && utilization < SM_MIN)
    fault("utilization at work", String(utilization), `>= ${SM_MIN}`);
  if (sm !== undefined && sm < SM_MIN) fault("SM activity at work", String(sm), `>= ${SM_MIN}`);
  if (tensor !== undefined && tensor < TENSOR_MIN) fault("tensor activity at work", String(tensor), `>= ${TENSOR_MIN}`);
  // In a pid namespace of one's own the driver may tell of others' numbers.
  const isFirst = existsSync("/proc/self/ns/pid") && readlinkSync("/proc/self/ns/pid") === FIRST_NAMESPACE;
  if (!isSeen && isFirst && !options["foreign-pids"]) fault("the process at work", "not seen", String(child.pid));
  const percent = (share: number | undefined): string =>
    share === undefined ? "not told" : `${(share * 100).toFixed(0)} %`;
  const facts = [
    `${uuid}: utilization up to ${percent(utilization)}, SM activity ${percent(sm)}, tensor activity ${percent(tensor)}, its process ${isSeen ? "seen" : "not seen"}`,
  ];
  return { facts, faults };
}

async function benchmark(): Promise<{ gpus: readonly BenchOutcome[]; faults: Difference[] }> {
  const run = await runBench({
    command: [process.execPath, MAIN],
    only: "",
    force: true,
    limitMs: 60_000,
    nvmlLibrary: options.nvml,
    cudaLibrary: options.cuda,
    root: options.root || "/",
  });
  const fault = (uuid: string, message: string): Difference => ({
    uuid,
    figure: "benchmark",
    ours: message,
    smi: "figures",
  });
  if (run.type === "none") return { gpus: [], faults: [fault("all", run.message)] };
  return {
    gpus: run.gpus,
    faults: run.gpus.filter(({ state }) => state !== "measured").map((one) => fault(one.uuid, one.message)),
  };
}

async function check(): Promise<number> {
  const say = (text: string): void => console.error(`gpu-check: ${text}`);
  let backend: GpuBackend;
  try {
    backend = open();
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    say(error.message);
    return error.trouble === "absent" ? EXIT.absent : EXIT.failed;
  }
  const gpus = look(backend, new GpuReadings(), ["identity"]);
  say(`${gpus.length} GPUs; comparing with ${options.smi}`);
  const { comparison, driver } = await compareAll(backend);
  say("timing looks");
  const latencies = timeLooks(backend);
  say(`watching memory over ${options.looks} looks`);
  const memory = watchMemory(backend);
  say("running the benchmark");
  const bench = await benchmark();
  const faults = [...comparison.mismatches, ...bench.faults];
  if (memory.growthBytes > GROWTH_BYTES_MAX) {
    faults.push({ uuid: "all", figure: "memory", ours: `+${memory.growthBytes} bytes`, smi: `<= ${GROWTH_BYTES_MAX}` });
  }
  const work: string[] = [];
  for (const { uuid } of gpus.filter(({ identity }) => identity.migMode !== true)) {
    say(`watching ${uuid} at work`);
    const seen = await watchWork(backend, uuid);
    work.push(...seen.facts);
    faults.push(...seen.faults);
  }
  const { stack } = backend;
  backend.close();
  const report: CheckReport = {
    date: new Date(),
    stack,
    driver,
    gpus,
    comparison,
    latencies,
    memory,
    bench: bench.gpus,
    work,
    faults,
  };
  writeFileSync(options.out, reportText(report));
  for (const { uuid, figure, ours, smi } of faults) say(`${uuid}: ${figure}: ${ours}, expected ${smi}`);
  say(`${faults.length === 0 ? "all fits" : `${faults.length} do not fit`}; written to ${options.out}`);
  return faults.length === 0 ? EXIT.ok : EXIT.failed;
}

/** The process that keeps a GPU at work. */
function keepAtWork(uuid: string): number {
  const cuda = openCuda({ libraryPath: options.cuda || undefined, root: options.root });
  if (!cuda.use(uuid)) return EXIT.absent;
  burn(cuda, Number(options["burn-ms"]));
  return EXIT.ok;
}

try {
  process.exit(options.burn === "" ? await check() : keepAtWork(options.burn));
} catch (error) {
  console.error(`gpu-check: ${(error as Error).message}; nothing was written`);
  process.exit(EXIT.failed);
}
