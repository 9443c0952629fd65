/** An agent's GPUs: which sources read them, what watches them, and which of them its runtime uses. */
import { readBenchRecords } from "./gpu/bench-file.ts";
import { BenchRates } from "./gpu/bench-rates.ts";
import { gpuChoice, type GpuConfig } from "./gpu/settings.ts";
import { RuntimeTies } from "./gpu/runtime-ties.ts";
import { SourceLog } from "./gpu/source-log.ts";
import type { GpuSource } from "./gpu/source.ts";
import { GpuSources } from "./gpu/sources.ts";
import { GpuWatch } from "./gpu/watch.ts";
import type { GpuFault } from "./health/reading.ts";
import type { HealthConfig } from "./health/settings.ts";
import type { Log } from "./obs/log.ts";
import { probeEnvironment, selfCommand } from "./process.ts";
import type { GpuSample, ModelSample } from "./score/sample.ts";

export interface GpuPlaneOptions {
  readonly config: GpuConfig;
  readonly health: HealthConfig;
  /** The simulated GPUs, where they are chosen. */
  readonly mock?: () => GpuSource;
  readonly models: () => readonly string[];
  /** Where the runtime serves, on this machine; undefined while it serves nowhere. */
  readonly port: () => number | undefined;
  /** A GPU is well or not any more. */
  readonly changed: () => void;
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
  const { config, log, port } = options;
  const choice = gpuChoice(config.source) ?? { kind: "none" };
  const ties = new RuntimeTies(port, config.root);
  const watch = new GpuWatch({
    health: options.health,
    models: options.models,
    runtime: () => ties.runtime,
    changed() {
      tellQuarantine();
      options.changed();
    },
    faulted: options.faulted,
  });
  let told = "";
  const tellQuarantine = (): void => {
    const reason = watch.quarantine?.reason ?? "";
    if (reason === told) return;
    if (reason === "") log.info("no GPU of the runtime is quarantined any more: the node serves again");
    else log.warn("the node takes no requests: what it serves runs on a quarantined GPU", { reason });
    told = reason;
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
    if (await ties.look(readings, performance.now())) tellQuarantine();
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
  return (model, on) => (watch.isTied ? rates.rated(model, on) : model);
}
