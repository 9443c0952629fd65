/** An agent's GPUs: which sources read them, what watches them, and which of them its runtimes use. */
import { networkInterfaces } from "node:os";
import { readBenchRecords } from "./gpu/bench-file.ts";
import { BenchRates } from "./gpu/bench-rates.ts";
import { gpuChoice, type GpuConfig } from "./gpu/settings.ts";
import { RuntimeTies } from "./gpu/runtime-ties.ts";
import type { WantedRuntime } from "./gpu/runtime-processes.ts";
import { SourceLog } from "./gpu/source-log.ts";
import type { GpuSource } from "./gpu/source.ts";
import { GpuSources } from "./gpu/sources.ts";
import { GpuWatch } from "./gpu/watch.ts";
import type { GpuFault } from "./health/reading.ts";
import type { HealthConfig } from "./health/settings.ts";
import { isLoopback, isWildcard, parseIpv4, parseIpv6 } from "./net/ip.ts";
import type { Log } from "./obs/log.ts";
import { probeEnvironment, selfCommand } from "./process.ts";
import type { GpuSample, ModelSample } from "./score/sample.ts";
import type { Runtime } from "./telemetry/runtime.ts";

export interface GpuPlaneOptions {
  readonly config: GpuConfig;
  readonly health: HealthConfig;
  /** The simulated GPUs, where they are chosen. */
  readonly mock?: () => GpuSource;
  /** The runtimes that the agent looks after. */
  readonly runtimes: () => readonly Pick<Runtime, "name" | "models" | "endpoints">[];
  /** The process that the agent started, and the name of its runtime; undefined where it started none. */
  readonly started: () => { readonly runtime: string; readonly pid: number } | undefined;
  /** A GPU is well or not any more, or it is known which runtimes are on it. */
  readonly changed: () => void;
  /** The GPUs were read again. */
  readonly moved: () => void;
  /** The driver reported errors. */
  readonly faulted: (faults: readonly GpuFault[]) => void;
  readonly log: Log;
}

/** Between two looks whether the runtime's processes are still known, and whether the sources read. */
const TIES_MS = 5000;
const FIRST_TIES_MS = 3000;

export interface GpuPlane {
  readonly watch: GpuWatch;
  readonly sources: GpuSources;
  stop(): Promise<void>;
}

export function openGpuPlane(options: GpuPlaneOptions): GpuPlane {
  const { config, log } = options;
  const choice = gpuChoice(config.source) ?? { kind: "none" };
  const ties = new RuntimeTies(() => wantedOf(options), config.root);
  const watch = new GpuWatch({
    health: options.health,
    runtimes: () => options.runtimes().map(({ name, models }) => ({ name, models, processes: ties.found.get(name) })),
    changed() {
      tellQuarantine();
      options.changed();
    },
    moved: options.moved,
    faulted: options.faulted,
  });
  let told: ReadonlyMap<string, string> = new Map();
  const tellQuarantine = (): void => {
    const now = new Map([...watch.quarantines].map(([runtime, { reason }]) => [runtime, reason]));
    for (const [runtime, reason] of now) {
      if (told.get(runtime) === reason) continue;
      log.warn(`runtime ${runtime} gets no requests: it is on a quarantined GPU, or may be`, { reason });
    }
    for (const runtime of told.keys()) {
      if (!now.has(runtime)) log.info(`runtime ${runtime}: no GPU that it is on is quarantined any more`);
    }
    told = now;
  };
  const sources = new GpuSources({
    config,
    choice,
    probeCommand: [...selfCommand(), "gpu-probe"],
    probeEnvironment: probeEnvironment(process.env),
    given: choice.kind === "mock" && options.mock !== undefined ? [options.mock()] : [],
    opened: (source) => watch.add(source),
  });
  const sourceLog = new SourceLog(log);
  const look = async (): Promise<void> => {
    sourceLog.look(sources.states);
    const readings = watch.all.map(({ reading }) => reading);
    if (!(await ties.look(readings, performance.now()))) return;
    tellQuarantine();
    options.changed();
  };
  // The first readings have come by then.
  const first = setTimeout(() => void look(), FIRST_TIES_MS);
  const timer = setInterval(() => void look(), TIES_MS);
  timer.unref();
  return {
    watch,
    sources,
    async stop() {
      clearTimeout(first);
      clearInterval(timer);
      watch.stop();
      await sources.stop();
    },
  };
}

/** What `infermesh agent bench-gpu` measured here, as rates for models whose runtime tells none; undefined where nothing was. */
export async function measuredRates(
  dataDir: string,
  watch: Pick<GpuWatch, "isTied">,
  log: Log,
): Promise<((model: ModelSample, gpus: readonly GpuSample[]) => ModelSample) | undefined> {
  const { gpus, fault } = await readBenchRecords(dataDir);
  if (fault !== undefined) {
    const why = `${fault}; measure again with \`infermesh agent bench-gpu\``;
    log.warn("some figures of the GPU benchmark are not used", { why });
  }
  if (gpus.size === 0) return undefined;
  const rates = new BenchRates(gpus);
  // A model that may be on any GPU is told of all, whose rates together it would hardly have.
  return (model, on) => (watch.isTied(model.runtime) ? rates.rated(model, on) : model);
}

/** By its own ports, not by those of what stands before it; a unix socket has none. */
function wantedOf({ runtimes, started }: GpuPlaneOptions): WantedRuntime[] {
  const own = started();
  return runtimes().map(({ name, endpoints }) => ({
    name,
    ports: endpoints.filter(({ host }) => isHere(host)).map(({ port }) => port),
    ...(own?.runtime === name ? { started: own.pid } : {}),
  }));
}

/** A name may be this machine's. */
function isHere(host: string): boolean {
  if (host.startsWith("/")) return false;
  if (isLoopback(host) || isWildcard(host) || (parseIpv4(host) === null && parseIpv6(host) === null)) return true;
  const plain = host.replace(/^\[|\]$/g, "");
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === plain));
}
