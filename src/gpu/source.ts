/** What an agent has GPUs' figures from, whatever it is: a probe process, another exporter, the mock. */
import type { GpuFault, GpuReading } from "../health/reading.ts";
import type { SourceState } from "../health/source-state.ts";

export interface GpuListener {
  /** The readings or the state are other ones. */
  changed(): void;
  faulted(faults: readonly GpuFault[]): void;
}

export interface GpuSource {
  readonly state: SourceState;
  /** The newest of each GPU that there is, in the order of their indices; what was known last, where the state is not ok. */
  readonly readings: readonly GpuReading[];
  /** From now on; there is one listener. */
  watch(listener: GpuListener): void;
  stop(): Promise<void>;
}
