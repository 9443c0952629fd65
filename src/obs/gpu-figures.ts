/** What the metrics of GPUs read: readings as health/ has them, and of all else what is asked of it. */
import type { GpuIdentity, GpuLoad, GpuReading, GpuTraffic, GpuWear } from "../health/reading.ts";

interface SourceStanding {
  readonly state: string;
  readonly stack?: { readonly backend: string; readonly driverVersion?: string | undefined } | undefined;
}

/** One GPU, and what is made of it. */
export interface GpuFigures {
  readonly reading: GpuReading;
  readonly verdict: { readonly health: string; readonly reasons: readonly unknown[] };
  /** The figures are of now. */
  readonly isFresh: boolean;
  readonly source: SourceStanding;
  /** Errors that the driver reported since the process started. */
  readonly xids: XidFigures;
}

export interface XidFigures {
  readonly counts: ReadonlyMap<number, number>;
  /** The newest; undefined where there was none. */
  readonly last: { readonly code: number; readonly meaning: string } | undefined;
}

/** What reads GPUs. */
export interface GpuSourceFigures {
  readonly state: SourceStanding;
  readonly figures?:
    | {
        readonly name: string;
        /** Of its probe process. */
        readonly restarts: number;
        /** How long the last look took. */
        readonly lookSeconds: number | undefined;
      }
    | undefined;
}

/** One GPU, or one MIG device of it, with its labels written: what is not of now is not there. */
export interface GpuView {
  readonly gpu: GpuFigures;
  readonly identity: GpuIdentity;
  readonly load: GpuLoad;
  readonly traffic: GpuTraffic;
  readonly wear: GpuWear;
}

const NOTHING = {};

export function viewOf(gpu: GpuFigures): GpuView {
  const { identity, load = NOTHING, traffic = NOTHING, wear = NOTHING } = gpu.reading;
  return gpu.isFresh
    ? { gpu, identity, load, traffic, wear }
    : { gpu, identity, load: NOTHING, traffic: NOTHING, wear: NOTHING };
}
