/**
 * The benchmark of a machine's GPUs: looks at them by a probe process, as an agent does, and has each that is idle
 * measured by a process of its own, all at the same time. Nothing here waits for a driver: what has not answered by the
 * limit is ended, and what can't be ended is left behind.
 */
import type { GpuReading } from "../health/reading.ts";
import { defaultsOf } from "../base/settings-reading.ts";
import type { SourceState } from "../health/source-state.ts";
import { OR_NONE } from "./backend.ts";
import { whyBusy } from "./bench-busy.ts";
import { type BenchFigures, readAnswer } from "./bench-figures.ts";
import type { BenchSpec } from "./bench-process.ts";
import { type Child, spawnChild } from "./child.ts";
import { Lines } from "./lines.ts";
import { nvidiaEnvironment } from "./nvidia.ts";
import { probeSpec } from "./probe-spec.ts";
import { Prober } from "./prober.ts";
import { gpuSettings } from "./settings.ts";

export interface BenchOptions {
  /** Runs this program again. */
  readonly command: readonly string[];
  /** An index or a UUID; "" for all. */
  readonly only: string;
  readonly force: boolean;
  readonly limitMs: number;
  readonly nvmlLibrary: string;
  readonly cudaLibrary: string;
  readonly root: string;
  /** For tests: how long each kernel runs. */
  readonly runs?: Pick<BenchSpec, "warmMs" | "measureMs">;
}

/** How it went with one GPU. */
export interface BenchOutcome {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly state: "measured" | "busy" | "failed";
  /** Why it was not measured; what it was busy with where it was measured all the same. */
  readonly message: string;
  readonly figures: BenchFigures | undefined;
}

export type BenchRun =
  | {
      readonly type: "run";
      readonly driverVersion: string;
      readonly gpus: readonly BenchOutcome[];
      /** Which GPUs there are besides that can't be read at all, and why; "" for none. */
      readonly note: string;
    }
  /** `absent`: no GPU or no driver; `unknown`: no GPU of that name; `broken`: the driver does not answer. */
  | { readonly type: "none"; readonly why: "absent" | "unknown" | "broken"; readonly message: string };

const ANSWER_BYTES_MAX = 64 * 1024;
const LOOK_MS = 20;
/** What one GPU has not told by then, after the others, it will hardly tell; its processes are looked at every 5 s. */
const PARTLY_MS = 6000;
/** Between SIGKILL and the end of waiting for it. */
const KILL_MS = 2000;

export async function runBench(options: BenchOptions): Promise<BenchRun> {
  const endMs = performance.now() + options.limitMs;
  const seen = await lookAtGpus(options, endMs);
  if ("why" in seen) return seen;
  const { readings, driverVersion, note } = seen;
  const chosen = readings.filter(({ uuid, identity }) => isNamed(options.only, uuid, identity.index));
  if (chosen.length === 0) {
    const all = readings.map(({ uuid, identity }) => `${identity.index} (${uuid})`).join(", ");
    const message = `there is no GPU ${options.only}; there are ${all}${note === "" ? "" : `; ${note}`}`;
    return { type: "none", why: "unknown", message };
  }
  const gpus = await Promise.all(chosen.map((reading) => one(reading, options, endMs)));
  return { type: "run", driverVersion, gpus, note: options.only === "" ? note : "" };
}

function isNamed(only: string, uuid: string, index: number): boolean {
  return only === "" || only.toLowerCase() === uuid.toLowerCase() || only === String(index);
}

type Seen = { readonly readings: readonly GpuReading[]; readonly driverVersion: string; readonly note: string };

/** As the first whole look of a probe process finds them; without what one GPU does not tell while others do. */
async function lookAtGpus(options: BenchOptions, endMs: number): Promise<Seen | Extract<BenchRun, { type: "none" }>> {
  const { nvmlLibrary, root, limitMs, command } = options;
  const config = { ...defaultsOf(gpuSettings), nvmlLibrary, root, silentMaxMs: Math.min(10_000, limitMs) };
  const spec = probeSpec(config, { backends: ["nvml"], vendors: ["nvidia"] });
  const env = nvidiaEnvironment(nvmlLibrary);
  const prober = new Prober({ command: [...command, "gpu-probe", JSON.stringify(spec)], env, config });
  let partlyEndMs = Infinity;
  try {
    while (performance.now() < endMs) {
      const { state, readings } = prober;
      if (state.state === "ok" && readings.some(isWhole)) {
        partlyEndMs = Math.min(partlyEndMs, performance.now() + Math.min(PARTLY_MS, limitMs / 3));
        if (readings.every(isWhole) || performance.now() >= partlyEndMs) {
          return { readings, driverVersion: state.stack?.driverVersion ?? "", note: state.message };
        }
      }
      if (state.state !== "ok" && state.state !== "starting") return noneOf(state);
      await Bun.sleep(LOOK_MS);
    }
    return { type: "none", why: "broken", message: `the driver told nothing of its GPUs within ${limitMs} ms` };
  } finally {
    await prober.stop();
  }
}

function isWhole({ load, traffic }: GpuReading): boolean {
  return load !== undefined && traffic !== undefined;
}

function noneOf({ state, message }: SourceState): Extract<BenchRun, { type: "none" }> {
  // That is for agents.
  return { type: "none", why: state === "absent" ? "absent" : "broken", message: message.replace(OR_NONE, "") };
}

async function one(reading: GpuReading, options: BenchOptions, endMs: number): Promise<BenchOutcome> {
  const { uuid, identity } = reading;
  const of = { index: identity.index, uuid, name: identity.name, figures: undefined };
  if (identity.migMode === true) {
    const message = "it is cut into MIG devices, which are not measured; measure it before, or a whole one of its kind";
    return { ...of, state: "failed", message };
  }
  const busy = isWhole(reading) ? whyBusy(reading) : "its driver does not tell what uses it";
  if (busy !== "" && !options.force) return { ...of, state: "busy", message: busy };
  const measured = await measureOne(uuid, options, endMs);
  if (typeof measured === "string") return { ...of, state: "failed", message: measured };
  return { ...of, state: "measured", message: busy, figures: measured };
}

/** The figures, or why there are none. */
async function measureOne(uuid: string, options: BenchOptions, endMs: number): Promise<BenchFigures | string> {
  const { command, cudaLibrary, root, runs, limitMs } = options;
  const spec: BenchSpec = { uuid, cudaLibrary, root, ...runs };
  let child: Child;
  try {
    // The driver then opens no other card, which saves seconds where there are eight.
    const env = { CUDA_VISIBLE_DEVICES: uuid, ...nvidiaEnvironment(cudaLibrary) };
    child = spawnChild([...command, "gpu-bench", JSON.stringify(spec)], env);
  } catch (error) {
    return `no process can be started: ${(error as Error).message}`;
  }
  const said = firstLine(child).catch(() => undefined);
  const exit = await within(child.exited, endMs - performance.now());
  if (exit === undefined) {
    child.kill("SIGKILL");
    const isGone = (await within(child.exited, KILL_MS)) !== undefined;
    const left = isGone ? "" : `, and its process ${child.pid} can't be ended: it waits in the kernel`;
    return `the driver did not answer within ${limitMs} ms${left}; look at dmesg and nvidia-smi`;
  }
  const line = await within(said, KILL_MS);
  const answer = line === undefined ? undefined : readAnswer(line);
  if (answer?.type === "figures") return answer.figures;
  if (answer?.type === "trouble") return answer.message;
  const how = exit.signal === null ? `ended with code ${exit.code}` : `was ended by ${exit.signal}`;
  return `the process that measures ${how}${exit.lastWords === "" ? "" : `: ${exit.lastWords}`}; look at dmesg`;
}

async function firstLine({ output }: Child): Promise<string | undefined> {
  const lines = new Lines(ANSWER_BYTES_MAX);
  let first: string | undefined;
  // To the end: a pipe that nobody reads holds up whoever writes to it.
  for await (const chunk of output) {
    const found = lines.push(chunk);
    if (found === "too long") return undefined;
    first ??= found[0];
  }
  return first;
}

/** Undefined when it took longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise: over, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), Math.max(0, ms));
  const first = await Promise.race([promise, over]);
  clearTimeout(timer);
  return first;
}
