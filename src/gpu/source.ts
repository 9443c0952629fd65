/** What an agent has GPUs' figures from, whatever it is: a probe process, another exporter, the mock. */
import type { GpuFault, GpuReading } from "../health/reading.ts";
import type { SourceState } from "../health/source-state.ts";

export interface GpuListener {
  /** The readings or the state are other ones. */
  changed(): void;
  faulted(faults: readonly GpuFault[]): void;
}

/** What a source tells of itself, beside its state. */
export interface SourceFigures {
  /** Tells it from the others of the agent: the vendors that it reads, or "dcgm". */
  readonly name: string;
  /** How many probe processes were started in place of another. */
  readonly restarts: number;
  /** How long the last look took; undefined before the first. */
  readonly lookSeconds: number | undefined;
}

export interface GpuSource {
  readonly state: SourceState;
  /** The newest of each GPU that there is, in the order of their indices; what was known last, where the state is not ok. */
  readonly readings: readonly GpuReading[];
  readonly figures?: SourceFigures;
  /** From now on; there is one listener. */
  watch(listener: GpuListener): void;
  stop(): Promise<void>;
}
