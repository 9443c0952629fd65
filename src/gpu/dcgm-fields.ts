/**
 * What dcgm-exporter's metrics mean: where in a reading each goes, and in what unit it comes. Names, units and labels by
 * the public dcgm-exporter (etc/default-counters.csv, versions 2.4 to 4.8) and DCGM (dcgm_fields.h), whose newer names
 * are taken too.
 */
import type { GpuActivity, GpuIdentity, GpuLoad, GpuTraffic, GpuWear } from "../health/reading.ts";
import { RECOVERY_ACTIONS } from "../health/reading.ts";
import { throttleReasonsOf } from "./nvml-decode.ts";

/** Kept for the whole card, or, where a MIG instance has its own, for that. */
type Place =
  | readonly ["identity", keyof GpuIdentity]
  | readonly ["load", keyof GpuLoad]
  | readonly ["activity", keyof GpuActivity]
  | readonly ["traffic", keyof GpuTraffic]
  | readonly ["wear", keyof GpuWear]
  | readonly ["memory", "total" | "used" | "free" | "reserved"];

export interface DcgmField {
  readonly family: string;
  readonly place: Place;
  /** From what the exporter writes to what a reading holds. */
  readonly convert: (value: number) => unknown;
}

/** The last XID, by which of its names it comes. */
export const XID_FAMILIES = ["DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_XID_ERROR"];
/** How often each XID came in the exporter's window. */
export const XID_COUNT_FAMILY = "DCGM_EXP_XID_ERRORS_COUNT";

const same = (value: number): number => value;
const percent = (value: number): number => value / 100;
const mebibytes = (value: number): number => value * 2 ** 20;
const millijoules = (value: number): number => value / 1000;
/** Of NVML, whose kilobytes are thousands. */
const kilobytes = (value: number): number => value * 1000;
const flag = (value: number): boolean => value !== 0;
/** A fan may be driven beyond its rated speed. */
const fan = (value: number): number[] => [Math.min(1, value / 100)];
const hertz = (value: number): number => value / 1e6;
const capability = (value: number): string => `${Math.floor(value / 2 ** 16)}.${value % 2 ** 16}`;

function fields(place: Place, convert: (value: number) => unknown, ...names: readonly string[]): DcgmField[] {
  return names.map((name) => ({ family: `DCGM_FI_${name}`, place, convert }));
}

/** Of two fields for one place the one that stands first here counts. */
export const DCGM_FIELDS: readonly DcgmField[] = [
  ...fields(["identity", "smClockMhzMax"], same, "DEV_MAX_SM_CLOCK"),
  ...fields(["identity", "memoryClockMhzMax"], same, "DEV_MAX_MEM_CLOCK"),
  ...fields(["identity", "videoClockMhzMax"], same, "DEV_MAX_VIDEO_CLOCK"),
  ...fields(["identity", "pcieGenerationMax"], same, "DEV_PCIE_MAX_LINK_GEN"),
  ...fields(["identity", "pcieWidthMax"], same, "DEV_PCIE_MAX_LINK_WIDTH"),
  ...fields(["identity", "slowdownCelsius"], same, "DEV_SLOWDOWN_TEMP", "DEV_GPU_TEMP_SLOWDOWN_CELSIUS"),
  ...fields(["identity", "shutdownCelsius"], same, "DEV_SHUTDOWN_TEMP", "DEV_GPU_TEMP_SHUTDOWN_CELSIUS"),
  ...fields(["identity", "memoryCelsiusMax"], same, "DEV_MEM_MAX_OP_TEMP", "DEV_MEMORY_MAX_OP_TEMP_CELSIUS"),
  ...fields(["identity", "powerLimitWattsMin"], same, "DEV_POWER_MGMT_LIMIT_MIN", "DEV_BOARD_POWER_LIMIT_MIN_WATTS"),
  ...fields(["identity", "powerLimitWattsMax"], same, "DEV_POWER_MGMT_LIMIT_MAX", "DEV_BOARD_POWER_LIMIT_MAX_WATTS"),
  ...fields(["identity", "persistenceMode"], flag, "DEV_PERSISTENCE_MODE", "DEV_GPU_PERSISTENCE_MODE"),
  ...fields(["identity", "eccMode"], flag, "DEV_ECC_CURRENT", "DEV_ECC_MODE"),
  ...fields(["identity", "migMode"], flag, "DEV_MIG_MODE"),
  ...fields(
    ["identity", "computeCapability"],
    capability,
    "DEV_CUDA_COMPUTE_CAPABILITY",
    "CUDA_GPU_COMPUTE_CAPABILITY",
  ),

  ...fields(["load", "utilization"], percent, "DEV_GPU_UTIL"),
  ...fields(["load", "utilization"], same, "DEV_GPU_UTIL_RATIO"),
  ...fields(["load", "memoryUtilization"], percent, "DEV_MEM_COPY_UTIL"),
  ...fields(["load", "encoderUtilization"], percent, "DEV_ENC_UTIL"),
  ...fields(["load", "decoderUtilization"], percent, "DEV_DEC_UTIL"),
  ...fields(["load", "temperatureCelsius"], same, "DEV_GPU_TEMP", "DEV_GPU_TEMP_CELSIUS"),
  ...fields(["load", "memoryCelsius"], same, "DEV_MEMORY_TEMP", "DEV_MEMORY_TEMP_CELSIUS"),
  ...fields(["load", "powerWatts"], same, "DEV_POWER_USAGE_INSTANT", "DEV_BOARD_POWER_RAW_WATTS"),
  ...fields(["load", "powerWattsMean"], same, "DEV_POWER_USAGE", "DEV_BOARD_POWER_WATTS"),
  ...fields(["load", "powerLimitWatts"], same, "DEV_ENFORCED_POWER_LIMIT", "DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS"),
  ...fields(["load", "powerLimitWatts"], same, "DEV_POWER_MGMT_LIMIT", "DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS"),
  ...fields(["load", "energyJoules"], millijoules, "DEV_TOTAL_ENERGY_CONSUMPTION"),
  ...fields(["load", "energyJoules"], same, "DEV_GPU_ENERGY_JOULES_TOTAL"),
  ...fields(["load", "smClockMhz"], same, "DEV_SM_CLOCK"),
  ...fields(["load", "smClockMhz"], hertz, "DEV_SM_CLOCK_HERTZ"),
  ...fields(["load", "memoryClockMhz"], same, "DEV_MEM_CLOCK"),
  ...fields(["load", "memoryClockMhz"], hertz, "DEV_MEMORY_CLOCK_HERTZ"),
  ...fields(["load", "videoClockMhz"], same, "DEV_VIDEO_CLOCK"),
  ...fields(["load", "fans"], fan, "DEV_FAN_SPEED"),
  ...fields(["load", "performanceState"], same, "DEV_PSTATE", "DEV_GPU_PSTATE"),
  ...fields(["load", "throttleReasons"], throttleReasonsOf, "DEV_CLOCKS_EVENT_REASONS", "DEV_CLOCK_THROTTLE_REASONS"),

  ...fields(["memory", "total"], mebibytes, "DEV_FB_TOTAL"),
  ...fields(["memory", "used"], mebibytes, "DEV_FB_USED"),
  ...fields(["memory", "free"], mebibytes, "DEV_FB_FREE"),
  ...fields(["memory", "reserved"], mebibytes, "DEV_FB_RESERVED"),

  ...fields(["activity", "graphics"], same, "PROF_GR_ENGINE_ACTIVE"),
  ...fields(["activity", "sm"], same, "PROF_SM_ACTIVE"),
  ...fields(["activity", "smOccupancy"], same, "PROF_SM_OCCUPANCY"),
  ...fields(["activity", "tensor"], same, "PROF_PIPE_TENSOR_ACTIVE"),
  ...fields(["activity", "dram"], same, "PROF_DRAM_ACTIVE"),
  ...fields(["activity", "fp64"], same, "PROF_PIPE_FP64_ACTIVE"),
  ...fields(["activity", "fp32"], same, "PROF_PIPE_FP32_ACTIVE"),
  ...fields(["activity", "fp16"], same, "PROF_PIPE_FP16_ACTIVE"),

  ...fields(["traffic", "pcieGeneration"], same, "DEV_PCIE_LINK_GEN"),
  ...fields(["traffic", "pcieWidth"], same, "DEV_PCIE_LINK_WIDTH"),
  // Rates, also where the exporter's own list calls them counters.
  ...fields(["traffic", "pcieTxBytesPerSecond"], same, "PROF_PCIE_TX_BYTES"),
  ...fields(["traffic", "pcieTxBytesPerSecond"], kilobytes, "DEV_PCIE_TX_THROUGHPUT"),
  ...fields(["traffic", "pcieRxBytesPerSecond"], same, "PROF_PCIE_RX_BYTES"),
  ...fields(["traffic", "pcieRxBytesPerSecond"], kilobytes, "DEV_PCIE_RX_THROUGHPUT"),
  ...fields(["traffic", "pcieReplays"], same, "DEV_PCIE_REPLAY_COUNTER", "DEV_PCIE_REPLAY_TOTAL"),
  ...fields(["traffic", "linkTxBytesPerSecond"], same, "PROF_NVLINK_TX_BYTES"),
  ...fields(["traffic", "linkRxBytesPerSecond"], same, "PROF_NVLINK_RX_BYTES"),

  ...fields(["wear", "eccCorrected"], same, "DEV_ECC_SBE_VOL_TOTAL"),
  ...fields(["wear", "eccUncorrected"], same, "DEV_ECC_DBE_VOL_TOTAL"),
  ...fields(["wear", "eccCorrectedLifetime"], same, "DEV_ECC_SBE_AGG_TOTAL"),
  ...fields(["wear", "eccUncorrectedLifetime"], same, "DEV_ECC_DBE_AGG_TOTAL"),
  ...fields(["wear", "retiredPagesCorrected"], same, "DEV_RETIRED_SBE", "DEV_PAGE_RETIRED_SBE_TOTAL"),
  ...fields(["wear", "retiredPagesUncorrected"], same, "DEV_RETIRED_DBE", "DEV_PAGE_RETIRED_DBE_TOTAL"),
  ...fields(["wear", "retiredPagesPending"], flag, "DEV_RETIRED_PENDING", "DEV_PAGE_RETIRED_PENDING"),
  ...fields(
    ["wear", "remappedRowsCorrected"],
    same,
    "DEV_CORRECTABLE_REMAPPED_ROWS",
    "DEV_ROW_REMAP_CORRECTABLE_TOTAL",
  ),
  ...fields(
    ["wear", "remappedRowsUncorrected"],
    same,
    "DEV_UNCORRECTABLE_REMAPPED_ROWS",
    "DEV_ROW_REMAP_UNCORRECTABLE_TOTAL",
  ),
  ...fields(["wear", "remapPending"], flag, "DEV_ROW_REMAP_PENDING"),
  ...fields(["wear", "remapFailed"], flag, "DEV_ROW_REMAP_FAILURE", "DEV_ROW_REMAP_FAILED"),
  ...fields(
    ["wear", "recoveryAction"],
    (value) => RECOVERY_ACTIONS[value],
    "DEV_GET_GPU_RECOVERY_ACTION",
    "DEV_GPU_RECOVERY_ACTION",
  ),
];

/**
 * DCGM's "no value", "not found", "not supported" and "not permitted", in 32 and 64 bits and as doubles. Exporters write
 * them as figures up to 2.x, and leave them out later.
 */
export function isBlank(value: number): boolean {
  return (
    Number.isNaN(value) ||
    value >= 0x7fff_ffff_ffff_f000 ||
    (value >= 0x7fff_fff0 && value <= 0x7fff_ffff) ||
    (value >= 2 ** 47 && value < 2 ** 47 + 16)
  );
}

/** The same of texts: "<<<NULL>>>" and its like. */
export function wordOf(label: string | undefined): string | undefined {
  return label === undefined || label === "" || label.startsWith("<<<") ? undefined : label;
}
