/**
 * Which sources an agent has: those that were named, or by `auto` one for each vendor whose driver the machine has. A
 * driver that is loaded later is found within a minute; that looks for files of the kernel and costs nothing.
 */
import type { SourceState } from "../health/source-state.ts";
import { DcgmSource } from "./dcgm.ts";
import { detectProbes, type ProbePlan } from "./detect.ts";
import { nvidiaEnvironment } from "./nvidia.ts";
import { probeSpec } from "./probe-spec.ts";
import { Prober } from "./prober.ts";
import type { GpuChoice, GpuConfig } from "./settings.ts";
import type { GpuSource } from "./source.ts";

export interface SourcesOptions {
  readonly config: GpuConfig;
  readonly choice: GpuChoice;
  /** Starts this program again; what the probe is told comes behind it. */
  readonly probeCommand: readonly string[];
  /** Besides this process's own. */
  readonly probeEnvironment?: Readonly<Record<string, string>>;
  /** Those that are no probe, where such a one is chosen. */
  readonly given?: readonly GpuSource[];
  /** There is one more. */
  readonly opened: (source: GpuSource) => void;
}

const DETECT_MS = 60_000;

const PLANS = {
  nvml: { vendors: ["nvidia"], backends: ["nvml"] },
  rocm: { vendors: ["amd"], backends: ["rocm"] },
  sysfs: { vendors: ["amd", "intel"], backends: ["sysfs"] },
} as const satisfies Record<string, ProbePlan>;

export class GpuSources {
  readonly #options: SourcesOptions;
  readonly #sources: GpuSource[] = [];
  readonly #plans = new Set<string>();
  readonly #sinceMs = Date.now();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: SourcesOptions) {
    this.#options = options;
    const { choice, given = [] } = options;
    for (const source of given) this.#add(source);
    if (choice.kind === "nvml" || choice.kind === "rocm" || choice.kind === "sysfs") this.#probe(PLANS[choice.kind]);
    if (choice.kind === "dcgm") this.#add(new DcgmSource({ url: choice.url, config: options.config }));
    if (choice.kind !== "auto") return;
    this.#detect();
    this.#timer = setInterval(() => this.#detect(), DETECT_MS);
    this.#timer.unref();
  }

  get all(): readonly GpuSource[] {
    return this.#sources;
  }

  /** Of each source; where there is none, of that. */
  get states(): readonly SourceState[] {
    if (this.#sources.length > 0) return this.#sources.map(({ state }) => state);
    const { kind } = this.#options.choice;
    const message =
      kind === "auto"
        ? "no driver of NVIDIA, AMD or Intel GPUs is loaded; it is looked for again every minute"
        : `the settings say ${kind}: no GPU is read`;
    return [{ state: "absent", message, sinceMs: this.#sinceMs }];
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#sources.map((source) => source.stop()));
  }

  #detect(): void {
    for (const plan of detectProbes(this.#options.config.root)) this.#probe(plan);
  }

  #probe(plan: ProbePlan): void {
    const key = plan.vendors.join();
    if (this.#plans.has(key)) return;
    this.#plans.add(key);
    const { config, probeCommand, probeEnvironment } = this.#options;
    const libraries = plan.vendors.includes("nvidia") ? nvidiaEnvironment(config.nvmlLibrary) : {};
    const env = { ...probeEnvironment, ...libraries };
    const command = [...probeCommand, JSON.stringify(probeSpec(config, plan))];
    this.#add(new Prober({ command, env, config, name: plan.vendors.join("+") }));
  }

  #add(source: GpuSource): void {
    this.#sources.push(source);
    this.#options.opened(source);
  }
}
