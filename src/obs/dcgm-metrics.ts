/**
 * dcgm-exporter's metrics, by its exact names, help, types, units and labels (etc/default-counters.csv and the template of
 * its releases 3.3 to 4.8), so that dashboards made for it keep working: of NVIDIA's GPUs, and of these what is known.
 * Of a card that is cut up, what belongs to a MIG device comes once for each, as it does there.
 *
 * Not served, since nothing here knows it in the exporter's unit: DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL and
 * DCGM_FI_DEV_VGPU_LICENSE_STATUS.
 */
import type { GpuSlice } from "../health/reading.ts";
import { defineMetric, type Metric } from "./exposition.ts";
import { type GpuFigures, type GpuView, viewOf } from "./gpu-figures.ts";
import { GpuPage, joined, label, unique } from "./gpu-page.ts";

const LABELS = ["gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION"] as const;
const MIG_LABELS = [...LABELS, "GPU_I_PROFILE", "GPU_I_ID"] as const;

type Value = number | undefined;
type Row = readonly [metric: Metric, read: (view: GpuView) => Value];

function dcgm(
  type: Metric["type"],
  name: string,
  unit: string,
  help: string,
  labels: readonly string[] = LABELS,
): Metric {
  return defineMetric(type, `DCGM_FI_${name}`, labels, unit, help);
}

/** Whole numbers there, as NVML gives them. */
function percent(share: Value): Value {
  return share === undefined ? undefined : Math.round(share * 100);
}

function mebibytes(bytes: Value): Value {
  return bytes === undefined ? undefined : Math.round(bytes / 2 ** 20);
}

function flag(is: boolean | undefined): Value {
  return is === undefined ? undefined : Number(is);
}

/** Of the card. */
const ROWS: readonly Row[] = [
  [dcgm("gauge", "DEV_SM_CLOCK", "MHz", "SM clock frequency (in MHz)."), ({ load }) => load.smClockMhz],
  [dcgm("gauge", "DEV_MEM_CLOCK", "MHz", "Memory clock frequency (in MHz)."), ({ load }) => load.memoryClockMhz],
  [dcgm("gauge", "DEV_MEMORY_TEMP", "degrees Celsius", "Memory temperature (in C)."), ({ load }) => load.memoryCelsius],
  [dcgm("gauge", "DEV_GPU_TEMP", "degrees Celsius", "GPU temperature (in C)."), ({ load }) => load.temperatureCelsius],
  [dcgm("gauge", "DEV_POWER_USAGE", "W", "Power draw (in W)."), ({ load }) => load.powerWattsMean ?? load.powerWatts],
  [
    dcgm("counter", "DEV_TOTAL_ENERGY_CONSUMPTION", "mJ", "Total energy consumption since boot (in mJ)."),
    ({ load }) => (load.energyJoules === undefined ? undefined : Math.round(load.energyJoules * 1000)),
  ],
  [
    dcgm("counter", "DEV_PCIE_REPLAY_COUNTER", "", "Total number of PCIe retries."),
    ({ traffic }) => traffic.pcieReplays,
  ],
  [dcgm("gauge", "DEV_GPU_UTIL", "%", "GPU utilization (in %)."), ({ load }) => percent(load.utilization)],
  [
    dcgm("gauge", "DEV_MEM_COPY_UTIL", "%", "Memory utilization (in %)."),
    ({ load }) => percent(load.memoryUtilization),
  ],
  [dcgm("gauge", "DEV_ENC_UTIL", "%", "Encoder utilization (in %)."), ({ load }) => percent(load.encoderUtilization)],
  [dcgm("gauge", "DEV_DEC_UTIL", "%", "Decoder utilization (in %)."), ({ load }) => percent(load.decoderUtilization)],
  [
    dcgm("counter", "DEV_ECC_SBE_VOL_TOTAL", "", "Total number of single-bit volatile ECC errors."),
    ({ wear }) => wear.eccCorrected,
  ],
  [
    dcgm("counter", "DEV_ECC_DBE_VOL_TOTAL", "", "Total number of double-bit volatile ECC errors."),
    ({ wear }) => wear.eccUncorrected,
  ],
  [
    dcgm("counter", "DEV_ECC_SBE_AGG_TOTAL", "", "Total number of single-bit persistent ECC errors."),
    ({ wear }) => wear.eccCorrectedLifetime,
  ],
  [
    dcgm("counter", "DEV_ECC_DBE_AGG_TOTAL", "", "Total number of double-bit persistent ECC errors."),
    ({ wear }) => wear.eccUncorrectedLifetime,
  ],
  [
    dcgm("counter", "DEV_RETIRED_SBE", "", "Total number of retired pages due to single-bit errors."),
    ({ wear }) => wear.retiredPagesCorrected,
  ],
  [
    dcgm("counter", "DEV_RETIRED_DBE", "", "Total number of retired pages due to double-bit errors."),
    ({ wear }) => wear.retiredPagesUncorrected,
  ],
  [
    dcgm("counter", "DEV_RETIRED_PENDING", "", "Total number of pages pending retirement."),
    ({ wear }) => flag(wear.retiredPagesPending),
  ],
  [
    dcgm("counter", "DEV_UNCORRECTABLE_REMAPPED_ROWS", "", "Number of remapped rows for uncorrectable errors"),
    ({ wear }) => wear.remappedRowsUncorrected,
  ],
  [
    dcgm("counter", "DEV_CORRECTABLE_REMAPPED_ROWS", "", "Number of remapped rows for correctable errors"),
    ({ wear }) => wear.remappedRowsCorrected,
  ],
  [
    dcgm("gauge", "DEV_ROW_REMAP_FAILURE", "", "Whether remapping of rows has failed"),
    ({ wear }) => flag(wear.remapFailed),
  ],
  [
    dcgm(
      "gauge",
      "PROF_PCIE_TX_BYTES",
      "bytes per second",
      "The rate of data transmitted over the PCIe bus - including both protocol headers and data payloads - in bytes per second.",
    ),
    ({ traffic }) => rounded(traffic.pcieTxBytesPerSecond),
  ],
  [
    dcgm(
      "gauge",
      "PROF_PCIE_RX_BYTES",
      "bytes per second",
      "The rate of data received over the PCIe bus - including both protocol headers and data payloads - in bytes per second.",
    ),
    ({ traffic }) => rounded(traffic.pcieRxBytesPerSecond),
  ],
];

const XID = dcgm("gauge", "DEV_XID_ERRORS", "", "Value of the last XID error encountered.", [
  ...LABELS,
  "err_code",
  "err_msg",
]);

/** Of the card, or of each MIG device of one that is cut up. */
interface Part {
  readonly labels: string;
  readonly used: Value;
  readonly free: Value;
  readonly reserved: Value;
  readonly activity: NonNullable<GpuSlice["activity"]>;
}

function ofPart(type: Metric["type"], name: string, unit: string, help: string): Metric {
  return dcgm(type, name, unit, help, MIG_LABELS);
}

const PART_ROWS: readonly (readonly [Metric, (part: Part) => Value])[] = [
  [ofPart("gauge", "DEV_FB_FREE", "MiB", "Framebuffer memory free (in MiB)."), ({ free }) => mebibytes(free)],
  [ofPart("gauge", "DEV_FB_USED", "MiB", "Framebuffer memory used (in MiB)."), ({ used }) => mebibytes(used)],
  [
    ofPart("gauge", "DEV_FB_RESERVED", "MiB", "Framebuffer memory reserved (in MiB)."),
    ({ reserved }) => mebibytes(reserved),
  ],
  [
    ofPart("gauge", "PROF_GR_ENGINE_ACTIVE", "", "Ratio of time the graphics engine is active."),
    ({ activity }) => activity.graphics,
  ],
  [
    ofPart("gauge", "PROF_SM_ACTIVE", "", "The ratio of cycles an SM has at least 1 warp assigned."),
    ({ activity }) => activity.sm,
  ],
  [
    ofPart("gauge", "PROF_SM_OCCUPANCY", "", "The ratio of number of warps resident on an SM."),
    ({ activity }) => activity.smOccupancy,
  ],
  [
    ofPart("gauge", "PROF_PIPE_TENSOR_ACTIVE", "", "Ratio of cycles the tensor (HMMA) pipe is active."),
    ({ activity }) => activity.tensor,
  ],
  [
    ofPart(
      "gauge",
      "PROF_DRAM_ACTIVE",
      "",
      "Ratio of cycles the device memory interface is active sending or receiving data.",
    ),
    ({ activity }) => activity.dram,
  ],
  [
    ofPart("gauge", "PROF_PIPE_FP64_ACTIVE", "", "Ratio of cycles the fp64 pipes are active."),
    ({ activity }) => activity.fp64,
  ],
  [
    ofPart("gauge", "PROF_PIPE_FP32_ACTIVE", "", "Ratio of cycles the fp32 pipes are active."),
    ({ activity }) => activity.fp32,
  ],
  [
    ofPart("gauge", "PROF_PIPE_FP16_ACTIVE", "", "Ratio of cycles the fp16 pipes are active."),
    ({ activity }) => activity.fp16,
  ],
];

/** Every one that is served; docs/metrics.md lists the same. */
export const DCGM_METRICS: readonly Metric[] = [...ROWS, ...PART_ROWS].map(([metric]) => metric).concat(XID);

/** Prometheus' text of these GPUs as dcgm-exporter would write it. */
export function dcgmText(hostname: string, gpus: readonly GpuFigures[]): string {
  const page = new GpuPage();
  const theirs = gpus.filter(({ reading }) => reading.identity.vendor === "nvidia");
  const views = unique(theirs, ({ reading }) => reading.uuid).map(viewOf);
  const written = new Map(views.map((view) => [view, dcgmLabels(hostname, view)]));
  const labels = (view: GpuView): string => written.get(view) ?? "";
  for (const [metric, read] of ROWS) page.family(metric, views, labels, (view, put) => put(read(view)));
  page.family(XID, views, labels, ({ gpu: { isFresh, xids }, identity: { reportsXids } }, put) => {
    // Where none would be seen, it is not known that there was none.
    const last = xids.last ?? (reportsXids === true ? { code: 0, meaning: "No Error" } : undefined);
    if (isFresh && last !== undefined)
      put(last.code, joined(label("err_code", last.code), label("err_msg", last.meaning)));
  });
  const parts = unique(
    views.flatMap((view) => partsOf(hostname, view)),
    (part) => part.labels,
  );
  for (const [metric, read] of PART_ROWS)
    page.family(
      metric,
      parts,
      (part) => part.labels,
      (part, put) => put(read(part)),
    );
  return page.text;
}

function rounded(value: Value): Value {
  return value === undefined ? undefined : Math.round(value);
}

function dcgmLabels(hostname: string, { gpu, identity }: GpuView, slice?: GpuSlice): string {
  return joined(
    label("gpu", identity.index),
    label("UUID", gpu.reading.uuid),
    label("pci_bus_id", busId(identity.pciAddress)),
    label("device", `nvidia${identity.index}`),
    label("modelName", identity.name),
    label("GPU_I_PROFILE", slice?.profile),
    label("GPU_I_ID", slice?.gpuInstance),
    label("Hostname", hostname),
    label("DCGM_FI_DRIVER_VERSION", gpu.source.stack?.driverVersion),
  );
}

/** "0000:3b:00.0" as NVML writes it, "00000000:3B:00.0". */
function busId(address: string | undefined): string | undefined {
  return address === undefined ? undefined : `0000${address.toUpperCase()}`.slice(-16);
}

function partsOf(hostname: string, view: GpuView): Part[] {
  const { load } = view;
  const whole: Part = {
    labels: dcgmLabels(hostname, view),
    used: load.memoryUsedBytes,
    free: load.memoryFreeBytes,
    reserved: load.memoryReservedBytes,
    activity: load.activity ?? {},
  };
  const slices = load.slices ?? [];
  if (slices.length === 0) return [whole];
  return slices.map((slice) => ({
    labels: dcgmLabels(hostname, view, slice),
    used: slice.memoryUsedBytes,
    free: freeOf(slice),
    reserved: undefined,
    activity: slice.activity ?? {},
  }));
}

function freeOf({ memoryTotalBytes, memoryUsedBytes }: GpuSlice): Value {
  return memoryTotalBytes === undefined || memoryUsedBytes === undefined
    ? undefined
    : memoryTotalBytes - memoryUsedBytes;
}
