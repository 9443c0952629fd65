/**
 * What AMD's gpu_metrics say in our units, whoever read them. Only figures whose unit is the same on every chip are taken:
 * of the integrated ones (versions 2 and 3) that is little, and their other figures come of other files.
 */
import type { GpuLink } from "../health/reading.ts";
import type { RawMetrics } from "./amd-metrics.ts";
import { shareOf } from "./nvml-decode.ts";

/** Joules in a step of the energy counter. */
const ENERGY_STEP = 2 ** -16;
const KIB = 1024;

export interface AmdFigures {
  readonly edgeCelsius?: number | undefined;
  readonly hotspotCelsius?: number | undefined;
  readonly memoryCelsius?: number | undefined;
  readonly utilization?: number | undefined;
  readonly memoryUtilization?: number | undefined;
  /** Of the video engines, which decode and encode. */
  readonly videoUtilization?: number | undefined;
  readonly jpegUtilization?: number | undefined;
  readonly powerWatts?: number | undefined;
  readonly powerWattsMean?: number | undefined;
  readonly energyJoules?: number | undefined;
  readonly graphicsClockMhz?: number | undefined;
  readonly memoryClockMhz?: number | undefined;
  readonly videoClockMhz?: number | undefined;
  readonly fanRpm?: number | undefined;
  readonly pcieGeneration?: number | undefined;
  readonly pcieWidth?: number | undefined;
  readonly pcieReplays?: number | undefined;
  /** Counters of all XGMI links together. */
  readonly linkReadBytes?: number | undefined;
  readonly linkWrittenBytes?: number | undefined;
  readonly links?: readonly GpuLink[] | undefined;
}

/** Undefined for metrics that are not there. */
export function amdFiguresOf(raw: RawMetrics | undefined): AmdFigures {
  if (raw === undefined) return {};
  return {
    edgeCelsius: warm(first(raw, "temperature_edge")),
    hotspotCelsius: warm(first(raw, "temperature_hotspot")),
    memoryCelsius: warm(first(raw, "temperature_mem")) ?? warm(most(raw, "temperature_hbm")),
    ...utilizations(raw),
    powerWatts: first(raw, "curr_socket_power"),
    powerWattsMean: isApu(raw)
      ? thousandths(first(raw, "average_socket_milliwatts"))
      : first(raw, "average_socket_power"),
    energyJoules: energyOf(first(raw, "energy_accumulator")),
    graphicsClockMhz: first(raw, "current_gfxclk"),
    memoryClockMhz: first(raw, "current_uclk"),
    videoClockMhz: first(raw, "current_vclk0"),
    fanRpm: first(raw, "current_fan_speed"),
    ...pcieOf(raw),
    linkReadBytes: sum(raw, "xgmi_read_data_acc", KIB),
    linkWrittenBytes: sum(raw, "xgmi_write_data_acc", KIB),
    links: linksOf(raw),
  };
}

/** Versions 2 and 3: a chip with processor cores. */
function isApu(raw: RawMetrics): boolean {
  return raw.has("temperature_core");
}

function utilizations(raw: RawMetrics): AmdFigures {
  // Per cent on most of these, hundredths of one on others.
  if (isApu(raw)) return {};
  return {
    utilization: shareOf(first(raw, "average_gfx_activity")),
    memoryUtilization: shareOf(first(raw, "average_umc_activity")),
    videoUtilization:
      shareOf(first(raw, "average_mm_activity")) ?? shareOf(mean(raw, "vcn_activity") ?? mean(raw, "vcn_busy")),
    jpegUtilization: shareOf(mean(raw, "jpeg_activity") ?? mean(raw, "jpeg_busy")),
  };
}

function pcieOf(raw: RawMetrics): AmdFigures {
  const tenthsOfTransfers = first(raw, "pcie_link_speed");
  return {
    pcieGeneration: tenthsOfTransfers === undefined ? undefined : generationOf(tenthsOfTransfers / 10),
    pcieWidth: lanesOf(first(raw, "pcie_link_width")),
    pcieReplays: first(raw, "pcie_replay_count_acc"),
  };
}

/** Links that are 0, down, or 1, up; what is 2 is no link. */
function linksOf(raw: RawMetrics): GpuLink[] | undefined {
  const links = (raw.get("xgmi_link_status") ?? []).flatMap((status, index) =>
    status === 0 || status === 1 ? [{ index, isActive: status === 1 }] : [],
  );
  return links.length === 0 ? undefined : links;
}

const GENERATIONS = [2.5, 5, 8, 16, 32, 64, 128] as const;

/** Of billions of transfers a second; undefined for what is no generation's. */
export function generationOf(gigatransfers: number): number | undefined {
  const at = GENERATIONS.findIndex((speed) => Math.abs(speed - gigatransfers) < 0.5);
  return at < 0 ? undefined : at + 1;
}

/** Widths that PCIe has. */
const LANES = new Set([1, 2, 4, 8, 12, 16, 32]);

/** 0 and 255 are the width of a link that is none, 63 (all ones) that of a port that did not answer. */
export function lanesOf(width: number | undefined): number | undefined {
  return width !== undefined && LANES.has(width) ? width : undefined;
}

function energyOf(steps: number | undefined): number | undefined {
  // Cards that do not count tell of nothing.
  return steps === undefined || steps === 0 ? undefined : steps * ENERGY_STEP;
}

/** A sensor that is not there is exactly nothing. */
function warm(celsius: number | undefined): number | undefined {
  return celsius === 0 ? undefined : celsius;
}

function thousandths(value: number | undefined): number | undefined {
  return value === undefined ? undefined : value / 1000;
}

function known(raw: RawMetrics, name: string): number[] {
  return (raw.get(name) ?? []).filter((value) => !Number.isNaN(value));
}

function first(raw: RawMetrics, name: string): number | undefined {
  return known(raw, name)[0];
}

function most(raw: RawMetrics, name: string): number | undefined {
  const values = known(raw, name);
  return values.length === 0 ? undefined : Math.max(...values);
}

function mean(raw: RawMetrics, name: string): number | undefined {
  const values = known(raw, name);
  return values.length === 0 ? undefined : values.reduce((all, value) => all + value, 0) / values.length;
}

function sum(raw: RawMetrics, name: string, unit: number): number | undefined {
  const values = known(raw, name);
  const all = values.reduce((total, value) => total + value, 0) * unit;
  return values.length === 0 || !Number.isSafeInteger(all) ? undefined : all;
}
