/** What the metrics of GPUs read, described by what is asked of it, since this room knows no other. */

interface Activity {
  readonly graphics?: number | undefined;
  readonly sm?: number | undefined;
  readonly smOccupancy?: number | undefined;
  readonly tensor?: number | undefined;
  readonly dram?: number | undefined;
  readonly fp64?: number | undefined;
  readonly fp32?: number | undefined;
  readonly fp16?: number | undefined;
}

export interface SliceFigures {
  readonly uuid: string;
  readonly profile: string;
  readonly gpuInstance: number;
  readonly memoryTotalBytes?: number | undefined;
  readonly memoryUsedBytes?: number | undefined;
  readonly multiprocessors?: number | undefined;
  readonly activity?: Activity | undefined;
}

interface Identity {
  readonly index: number;
  readonly vendor: string;
  readonly name: string;
  readonly serial?: string | undefined;
  readonly pciAddress?: string | undefined;
  readonly architecture?: string | undefined;
  readonly computeCapability?: string | undefined;
  readonly fabric?: string | undefined;
  readonly memoryTotalBytes?: number | undefined;
  readonly graphicsClockMhzMax?: number | undefined;
  readonly smClockMhzMax?: number | undefined;
  readonly memoryClockMhzMax?: number | undefined;
  readonly videoClockMhzMax?: number | undefined;
  readonly pcieGenerationMax?: number | undefined;
  readonly pcieWidthMax?: number | undefined;
  readonly slowdownCelsius?: number | undefined;
  readonly shutdownCelsius?: number | undefined;
  readonly memoryCelsiusMax?: number | undefined;
  readonly powerLimitWattsMin?: number | undefined;
  readonly powerLimitWattsMax?: number | undefined;
  readonly persistenceMode?: boolean | undefined;
  readonly eccMode?: boolean | undefined;
  readonly migMode?: boolean | undefined;
}

interface Load {
  readonly utilization?: number | undefined;
  readonly memoryUtilization?: number | undefined;
  readonly encoderUtilization?: number | undefined;
  readonly decoderUtilization?: number | undefined;
  readonly jpegUtilization?: number | undefined;
  readonly ofaUtilization?: number | undefined;
  readonly memoryUsedBytes?: number | undefined;
  readonly memoryFreeBytes?: number | undefined;
  readonly memoryReservedBytes?: number | undefined;
  readonly hostMemoryUsedBytes?: number | undefined;
  readonly temperatureCelsius?: number | undefined;
  readonly hotspotCelsius?: number | undefined;
  readonly memoryCelsius?: number | undefined;
  readonly powerWatts?: number | undefined;
  readonly powerWattsMean?: number | undefined;
  readonly powerLimitWatts?: number | undefined;
  readonly energyJoules?: number | undefined;
  readonly graphicsClockMhz?: number | undefined;
  readonly smClockMhz?: number | undefined;
  readonly memoryClockMhz?: number | undefined;
  readonly videoClockMhz?: number | undefined;
  readonly fans?: readonly number[] | undefined;
  readonly fanRpm?: number | undefined;
  readonly performanceState?: number | undefined;
  readonly throttleReasons?: readonly string[] | undefined;
  readonly activity?: Activity | undefined;
  readonly slices?: readonly SliceFigures[] | undefined;
}

interface Traffic {
  readonly pcieGeneration?: number | undefined;
  readonly pcieWidth?: number | undefined;
  readonly pcieTxBytesPerSecond?: number | undefined;
  readonly pcieRxBytesPerSecond?: number | undefined;
  readonly pcieReplays?: number | undefined;
  readonly linkTxBytesPerSecond?: number | undefined;
  readonly linkRxBytesPerSecond?: number | undefined;
  readonly links?:
    | readonly {
        readonly index: number;
        readonly isActive: boolean;
        readonly crcErrors?: number | undefined;
        readonly replayErrors?: number | undefined;
        readonly recoveryErrors?: number | undefined;
      }[]
    | undefined;
  readonly processes?:
    | readonly {
        readonly pid: number;
        readonly memoryBytes?: number | undefined;
        readonly utilization?: number | undefined;
        readonly gpuInstance?: number | undefined;
        readonly command?: string | undefined;
      }[]
    | undefined;
}

interface Wear {
  readonly eccCorrected?: number | undefined;
  readonly eccUncorrected?: number | undefined;
  readonly eccCorrectedLifetime?: number | undefined;
  readonly eccUncorrectedLifetime?: number | undefined;
  readonly retiredPagesCorrected?: number | undefined;
  readonly retiredPagesUncorrected?: number | undefined;
  readonly retiredPagesPending?: boolean | undefined;
  readonly remappedRowsCorrected?: number | undefined;
  readonly remappedRowsUncorrected?: number | undefined;
  readonly remapPending?: boolean | undefined;
  readonly remapFailed?: boolean | undefined;
  readonly recoveryAction?: string | undefined;
}

interface SourceStanding {
  readonly state: string;
  readonly stack?: { readonly backend: string; readonly driverVersion?: string | undefined } | undefined;
}

/** One GPU, and what is made of it. */
export interface GpuFigures {
  readonly reading: {
    readonly uuid: string;
    readonly identity: Identity;
    readonly load?: Load | undefined;
    readonly traffic?: Traffic | undefined;
    readonly wear?: Wear | undefined;
  };
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
  readonly identity: Identity;
  readonly load: Load;
  readonly traffic: Traffic;
  readonly wear: Wear;
}

const NOTHING = {};

export function viewOf(gpu: GpuFigures): GpuView {
  const { identity, load = NOTHING, traffic = NOTHING, wear = NOTHING } = gpu.reading;
  return gpu.isFresh
    ? { gpu, identity, load, traffic, wear }
    : { gpu, identity, load: NOTHING, traffic: NOTHING, wear: NOTHING };
}
