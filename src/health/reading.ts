/**
 * What is read of one GPU, the same whoever reads it: libnvidia-ml, rocm-smi-lib, the kernel's files, dcgm-exporter, the
 * mock. `undefined` means "not known", never zero: what a card, a driver or a permission does not give must reach nobody
 * as a figure. Fractions are 0..1; counters count since the driver was loaded unless they say otherwise.
 *
 * Figures are read in groups, each at its own pace (what changes fast, what costs much, what hardly ever changes), so a
 * reading is put together from the newest of each group. What each field may hold is in shape.ts.
 */

export const GPU_GROUPS = ["identity", "load", "traffic", "wear"] as const;
export type GpuGroup = (typeof GPU_GROUPS)[number];

export const GPU_VENDORS = ["nvidia", "amd", "intel"] as const;
export type GpuVendor = (typeof GPU_VENDORS)[number];

/** What it is. Read once a minute. */
export interface GpuIdentity {
  /** Its place in the backend's own order, as CUDA_VISIBLE_DEVICES and the vendor's tool count. */
  readonly index: number;
  readonly vendor: GpuVendor;
  readonly name: string;
  readonly serial?: string | undefined;
  /** As in sysfs: "0000:3b:00.0". */
  readonly pciAddress?: string | undefined;
  /** "hopper", "gfx942". */
  readonly architecture?: string | undefined;
  /** CUDA's: "9.0". */
  readonly computeCapability?: string | undefined;
  readonly memoryTotalBytes?: number | undefined;
  /** Part of a processor: its own memory is a small share of the machine's that was set aside, and it uses more than that. */
  readonly isIntegrated?: boolean | undefined;
  readonly graphicsClockMhzMax?: number | undefined;
  readonly smClockMhzMax?: number | undefined;
  readonly memoryClockMhzMax?: number | undefined;
  readonly videoClockMhzMax?: number | undefined;
  readonly pcieGenerationMax?: number | undefined;
  readonly pcieWidthMax?: number | undefined;
  /** Where the clocks are held down, and where the card turns itself off. */
  readonly slowdownCelsius?: number | undefined;
  readonly shutdownCelsius?: number | undefined;
  readonly memoryCelsiusMax?: number | undefined;
  readonly powerLimitWattsMin?: number | undefined;
  readonly powerLimitWattsMax?: number | undefined;
  readonly persistenceMode?: boolean | undefined;
  readonly eccMode?: boolean | undefined;
  readonly migMode?: boolean | undefined;
  /** Whether it would be seen if its driver reported an error (an XID); only NVIDIA's do. */
  readonly reportsXids?: boolean | undefined;
  /** The XGMI hive or NVLink domain that it belongs to. */
  readonly fabric?: string | undefined;
}

/** Share of the time, or of the peak, that a part of the chip was at work. From GPM or its like. */
export interface GpuActivity {
  readonly graphics?: number | undefined;
  readonly sm?: number | undefined;
  readonly smOccupancy?: number | undefined;
  readonly tensor?: number | undefined;
  readonly dram?: number | undefined;
  readonly fp64?: number | undefined;
  readonly fp32?: number | undefined;
  readonly fp16?: number | undefined;
}

/** A MIG device: one compute instance in one GPU instance. */
export interface GpuSlice {
  readonly uuid: string;
  /** "1g.10gb". */
  readonly profile: string;
  readonly gpuInstance: number;
  readonly computeInstance?: number | undefined;
  readonly multiprocessors?: number | undefined;
  readonly memoryTotalBytes?: number | undefined;
  readonly memoryUsedBytes?: number | undefined;
  readonly activity?: GpuActivity | undefined;
}

/** What changes from moment to moment. Read once a second. */
export interface GpuLoad {
  readonly utilization?: number | undefined;
  /** Share of the time in which its memory was read or written. */
  readonly memoryUtilization?: number | undefined;
  readonly encoderUtilization?: number | undefined;
  readonly decoderUtilization?: number | undefined;
  readonly jpegUtilization?: number | undefined;
  readonly ofaUtilization?: number | undefined;
  readonly memoryUsedBytes?: number | undefined;
  readonly memoryFreeBytes?: number | undefined;
  /** Kept by driver and firmware. */
  readonly memoryReservedBytes?: number | undefined;
  /** Of the host, mapped for the GPU: AMD's GTT. */
  readonly hostMemoryUsedBytes?: number | undefined;
  readonly temperatureCelsius?: number | undefined;
  /** Of the hottest spot: AMD's junction. */
  readonly hotspotCelsius?: number | undefined;
  readonly memoryCelsius?: number | undefined;
  /** At this moment; and the mean of about a second. */
  readonly powerWatts?: number | undefined;
  readonly powerWattsMean?: number | undefined;
  /** In force now. */
  readonly powerLimitWatts?: number | undefined;
  /** Since the driver was loaded. */
  readonly energyJoules?: number | undefined;
  readonly graphicsClockMhz?: number | undefined;
  readonly smClockMhz?: number | undefined;
  readonly memoryClockMhz?: number | undefined;
  readonly videoClockMhz?: number | undefined;
  /** 0..1 of each fan's greatest speed. */
  readonly fans?: readonly number[] | undefined;
  readonly fanRpm?: number | undefined;
  /** 0 is the fastest: NVIDIA's P0. */
  readonly performanceState?: number | undefined;
  /** Why the clocks are below what was asked for: words of THROTTLE_REASONS. Undefined where it can't be told. */
  readonly throttleReasons?: readonly string[] | undefined;
  readonly activity?: GpuActivity | undefined;
  /** Undefined without MIG. */
  readonly slices?: readonly GpuSlice[] | undefined;
}

/** NVIDIA's clock event reasons; AMD's are given the nearest of these words. */
export const THROTTLE_REASONS = [
  "idle",
  "app_clocks",
  "sw_power_cap",
  "hw_slowdown",
  "sync_boost",
  "sw_thermal",
  "hw_thermal",
  "power_brake",
  "display_clocks",
] as const;

/** Those that a vendor's drivers can tell: of the others it is not known whether they hold. */
export const THROTTLE_REASONS_OF: Readonly<Record<GpuVendor, readonly (typeof THROTTLE_REASONS)[number][]>> = {
  nvidia: THROTTLE_REASONS,
  amd: ["sw_power_cap", "sw_thermal", "hw_thermal"],
  intel: ["sw_power_cap", "hw_slowdown", "sw_thermal", "hw_thermal"],
};

/** One NVLink or XGMI link. */
export interface GpuLink {
  readonly index: number;
  readonly isActive: boolean;
  readonly crcErrors?: number | undefined;
  readonly replayErrors?: number | undefined;
  readonly recoveryErrors?: number | undefined;
}

/** A process that uses the GPU. */
export interface GpuProcess {
  readonly pid: number;
  readonly memoryBytes?: number | undefined;
  readonly utilization?: number | undefined;
  /** The MIG instance that it runs in. */
  readonly gpuInstance?: number | undefined;
  /** Of /proc/PID/comm, where it can be read. */
  readonly command?: string | undefined;
  /** The container's id, of /proc/PID/cgroup; undefined outside of one. */
  readonly container?: string | undefined;
}

/** Its ways to the others, and who uses it. Read every five seconds. */
export interface GpuTraffic {
  readonly pcieGeneration?: number | undefined;
  readonly pcieWidth?: number | undefined;
  readonly pcieTxBytesPerSecond?: number | undefined;
  readonly pcieRxBytesPerSecond?: number | undefined;
  readonly pcieReplays?: number | undefined;
  readonly linkTxBytesPerSecond?: number | undefined;
  readonly linkRxBytesPerSecond?: number | undefined;
  readonly links?: readonly GpuLink[] | undefined;
  /** Undefined where it can't be told, empty where none runs. */
  readonly processes?: readonly GpuProcess[] | undefined;
}

/** What the driver says should be done with it; "other" is what was made up after this version. */
export const RECOVERY_ACTIONS = ["none", "reset", "reboot", "drain_p2p", "drain_reset", "other"] as const;

/** How worn it is. Read every thirty seconds. */
export interface GpuWear {
  /** Since the driver was loaded. */
  readonly eccCorrected?: number | undefined;
  readonly eccUncorrected?: number | undefined;
  /** Over the card's life. */
  readonly eccCorrectedLifetime?: number | undefined;
  readonly eccUncorrectedLifetime?: number | undefined;
  /** Pages taken out of use, for many corrected errors or one uncorrected one (up to Volta). */
  readonly retiredPagesCorrected?: number | undefined;
  readonly retiredPagesUncorrected?: number | undefined;
  readonly retiredPagesPending?: boolean | undefined;
  /** Rows replaced by spare ones (from Ampere on). */
  readonly remappedRowsCorrected?: number | undefined;
  readonly remappedRowsUncorrected?: number | undefined;
  readonly remapPending?: boolean | undefined;
  readonly remapFailed?: boolean | undefined;
  readonly recoveryAction?: (typeof RECOVERY_ACTIONS)[number] | undefined;
}

/** All that is known of one GPU. A group that was never read is undefined. */
export interface GpuReading {
  /** Names it for good: "GPU-...", or what the backend makes of its PCI address where the card has none. */
  readonly uuid: string;
  readonly identity: GpuIdentity;
  readonly load?: GpuLoad | undefined;
  readonly traffic?: GpuTraffic | undefined;
  readonly wear?: GpuWear | undefined;
}

/** What one look brought of one GPU: any of the groups. */
export type GpuUpdate = { readonly uuid: string } & Partial<Omit<GpuReading, "uuid">>;

/** An error that the hardware or the driver reported: NVIDIA's XID. */
export interface GpuFault {
  readonly uuid: string;
  readonly xid: number;
  /** MIG instances that it is of, where it is of some. */
  readonly gpuInstance?: number | undefined;
  readonly computeInstance?: number | undefined;
}

/** The software between the cards and us. */
export interface GpuStack {
  readonly backend: string;
  /** The library's path, or where the figures come from. */
  readonly source: string;
  readonly driverVersion?: string | undefined;
  readonly libraryVersion?: string | undefined;
  /** "12.8", the newest that the driver runs. */
  readonly cudaVersion?: string | undefined;
}
