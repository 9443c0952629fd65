/**
 * One GPU of `nvidia-smi -q -x` in the units of src/health/reading.ts, under the same names. Names of elements differ by the
 * driver's age: each figure is looked for under all that it has had from R470 to R580. "N/A" and its like are no value.
 */
import { type XmlElement, elementsAt } from "./smi-xml.ts";

export type SmiValue = number | string | boolean | readonly string[];
export type SmiFigures = ReadonlyMap<string, SmiValue>;

const NOTHING =
  /^(?:\[?N\/A\]?|\[?Not Supported\]?|Unknown.*|Insufficient Permissions|None|.*Error\]?|.*deprecated.*)?$/i;
const MIB = 2 ** 20;

/** The first path at which there is a value. */
function textAt(gpu: XmlElement, ...paths: readonly string[]): string | undefined {
  return paths.flatMap((path) => elementsAt(gpu, path)).find(({ text }) => !NOTHING.test(text))?.text;
}

function numberAt(gpu: XmlElement, scale: number, ...paths: readonly string[]): number | undefined {
  const found = /^P?(-?\d+(?:\.\d+)?)(?: ?(?:%|C|W|MiB|MHz|KB\/s|x|us|mJ))?$/.exec(textAt(gpu, ...paths) ?? "")?.[1];
  return found === undefined ? undefined : Number(found) * scale;
}

function flagAt(gpu: XmlElement, ...paths: readonly string[]): boolean | undefined {
  const text = textAt(gpu, ...paths);
  return text === undefined
    ? undefined
    : /^(?:Enabled|Yes|Active)$/.test(text)
      ? true
      : /^(?:Disabled|No)$/.test(text)
        ? false
        : undefined;
}

/** What is there of several; undefined where none is. */
function sumAt(gpu: XmlElement, folder: string, names: readonly string[]): number | undefined {
  const all = names.map((name) => numberAt(gpu, 1, `${folder}/${name}`)).filter((count) => count !== undefined);
  return all.length === 0 ? undefined : all.reduce((sum, count) => sum + count, 0);
}

const REASONS: readonly (readonly [string, string])[] = [
  ["gpu_idle", "idle"],
  ["applications_clocks_setting", "app_clocks"],
  ["sw_power_cap", "sw_power_cap"],
  ["hw_slowdown", "hw_slowdown"],
  ["sync_boost", "sync_boost"],
  ["sw_thermal_slowdown", "sw_thermal"],
  ["hw_thermal_slowdown", "hw_thermal"],
  ["hw_power_brake_slowdown", "power_brake"],
  ["display_clocks_setting", "display_clocks"],
  ["display_clock_setting", "display_clocks"],
];

function reasonsOf(gpu: XmlElement): string[] | undefined {
  const isThere = ["clocks_event_reasons", "clocks_throttle_reasons"].some((name) => elementsAt(gpu, name).length > 0);
  if (!isThere) return undefined;
  const found = REASONS.filter(([name]) => {
    const text = textAt(
      gpu,
      `clocks_event_reasons/clocks_event_reason_${name}`,
      `clocks_throttle_reasons/clocks_throttle_reason_${name}`,
    );
    return text === "Active";
  });
  return found.map(([, word]) => word).toSorted();
}

export function smiFigures(gpu: XmlElement): SmiFigures {
  const power = (name: string): string[] => [`gpu_power_readings/${name}`, `power_readings/${name}`];
  const temperature = (name: string): string => `temperature/${name}`;
  const pids = elementsAt(gpu, "processes/process_info/pid").map(({ text }) => text);
  const pairs: readonly (readonly [string, SmiValue | undefined])[] = [
    ["identity.name", textAt(gpu, "product_name")],
    ["identity.serial", textAt(gpu, "serial")],
    ["identity.pciAddress", pciOf(textAt(gpu, "pci/pci_bus_id") ?? gpu.id)],
    ["identity.architecture", textAt(gpu, "product_architecture")?.toLowerCase().split(" ")[0]],
    ["identity.memoryTotalBytes", numberAt(gpu, MIB, "fb_memory_usage/total")],
    ["identity.graphicsClockMhzMax", numberAt(gpu, 1, "max_clocks/graphics_clock")],
    ["identity.smClockMhzMax", numberAt(gpu, 1, "max_clocks/sm_clock")],
    ["identity.memoryClockMhzMax", numberAt(gpu, 1, "max_clocks/mem_clock")],
    ["identity.videoClockMhzMax", numberAt(gpu, 1, "max_clocks/video_clock")],
    ["identity.pcieGenerationMax", numberAt(gpu, 1, "pci/pci_gpu_link_info/pcie_gen/max_link_gen")],
    ["identity.pcieWidthMax", numberAt(gpu, 1, "pci/pci_gpu_link_info/link_widths/max_link_width")],
    ["identity.slowdownCelsius", numberAt(gpu, 1, temperature("gpu_temp_slow_threshold"))],
    ["identity.shutdownCelsius", numberAt(gpu, 1, temperature("gpu_temp_max_threshold"))],
    ["identity.memoryCelsiusMax", numberAt(gpu, 1, temperature("gpu_temp_max_mem_threshold"))],
    ["identity.powerLimitWattsMin", numberAt(gpu, 1, ...power("min_power_limit"))],
    ["identity.powerLimitWattsMax", numberAt(gpu, 1, ...power("max_power_limit"))],
    ["identity.persistenceMode", flagAt(gpu, "persistence_mode")],
    ["identity.eccMode", flagAt(gpu, "ecc_mode/current_ecc")],
    ["identity.migMode", flagAt(gpu, "mig_mode/current_mig")],
    ["load.utilization", numberAt(gpu, 0.01, "utilization/gpu_util")],
    ["load.memoryUtilization", numberAt(gpu, 0.01, "utilization/memory_util")],
    ["load.encoderUtilization", numberAt(gpu, 0.01, "utilization/encoder_util")],
    ["load.decoderUtilization", numberAt(gpu, 0.01, "utilization/decoder_util")],
    ["load.jpegUtilization", numberAt(gpu, 0.01, "utilization/jpeg_util")],
    ["load.ofaUtilization", numberAt(gpu, 0.01, "utilization/ofa_util")],
    ["load.memoryUsedBytes", numberAt(gpu, MIB, "fb_memory_usage/used")],
    ["load.memoryFreeBytes", numberAt(gpu, MIB, "fb_memory_usage/free")],
    ["load.memoryReservedBytes", numberAt(gpu, MIB, "fb_memory_usage/reserved")],
    ["load.temperatureCelsius", numberAt(gpu, 1, temperature("gpu_temp"))],
    ["load.memoryCelsius", numberAt(gpu, 1, temperature("memory_temp"))],
    ["load.powerWatts", numberAt(gpu, 1, ...power("instant_power_draw"), ...power("power_draw"))],
    ["load.powerWattsMean", numberAt(gpu, 1, ...power("average_power_draw"))],
    ["load.powerLimitWatts", numberAt(gpu, 1, ...power("current_power_limit"), ...power("power_limit"))],
    ["load.graphicsClockMhz", numberAt(gpu, 1, "clocks/graphics_clock")],
    ["load.smClockMhz", numberAt(gpu, 1, "clocks/sm_clock")],
    ["load.memoryClockMhz", numberAt(gpu, 1, "clocks/mem_clock")],
    ["load.videoClockMhz", numberAt(gpu, 1, "clocks/video_clock")],
    ["load.fans", numberAt(gpu, 0.01, "fan_speed")],
    ["load.performanceState", numberAt(gpu, 1, "performance_state")],
    ["load.throttleReasons", reasonsOf(gpu)],
    ["traffic.pcieGeneration", numberAt(gpu, 1, "pci/pci_gpu_link_info/pcie_gen/current_link_gen")],
    ["traffic.pcieWidth", numberAt(gpu, 1, "pci/pci_gpu_link_info/link_widths/current_link_width")],
    ["traffic.pcieReplays", numberAt(gpu, 1, "pci/replay_counter")],
    ["traffic.processes", elementsAt(gpu, "processes").length === 0 ? undefined : [...new Set(pids)].toSorted()],
    ["wear.eccCorrected", sumAt(gpu, "ecc_errors/volatile", CORRECTED)],
    ["wear.eccUncorrected", sumAt(gpu, "ecc_errors/volatile", UNCORRECTED)],
    ["wear.eccCorrectedLifetime", sumAt(gpu, "ecc_errors/aggregate", CORRECTED)],
    ["wear.eccUncorrectedLifetime", sumAt(gpu, "ecc_errors/aggregate", UNCORRECTED)],
    ["wear.retiredPagesCorrected", numberAt(gpu, 1, "retired_pages/multiple_single_bit_retirement/retired_count")],
    ["wear.retiredPagesUncorrected", numberAt(gpu, 1, "retired_pages/double_bit_retirement/retired_count")],
    ["wear.retiredPagesPending", flagAt(gpu, "retired_pages/pending_retirement", "retired_pages/pending_blacklist")],
    ["wear.remappedRowsCorrected", numberAt(gpu, 1, "remapped_rows/remapped_row_corr")],
    ["wear.remappedRowsUncorrected", numberAt(gpu, 1, "remapped_rows/remapped_row_unc")],
    ["wear.remapPending", flagAt(gpu, "remapped_rows/remapped_row_pending")],
    ["wear.remapFailed", flagAt(gpu, "remapped_rows/remapped_row_failure")],
  ];
  const more = [
    ...processMemory(gpu),
    ["load.slices", slicesOf(gpu)],
    ["wear.recoveryAction", recoveryOf(gpu)],
  ] as const;
  return new Map([...pairs, ...more].filter((pair): pair is readonly [string, SmiValue] => pair[1] !== undefined));
}

/** By its number, for each process that is there once. */
function processMemory(gpu: XmlElement): (readonly [string, number | undefined])[] {
  const all = elementsAt(gpu, "processes/process_info");
  const pidOf = (one: XmlElement): string => elementsAt(one, "pid")[0]?.text ?? "";
  return all
    .filter((one) => all.filter((other) => pidOf(other) === pidOf(one)).length === 1)
    .map((one) => [`traffic.processes.${pidOf(one)}`, numberAt(one, MIB, "used_memory")]);
}

/** GPU instance and compute instance of each MIG device. */
function slicesOf(gpu: XmlElement): string[] | undefined {
  const found = elementsAt(gpu, "mig_devices/mig_device").map((slice) => {
    const of = (name: string): string => elementsAt(slice, name)[0]?.text ?? "";
    return `${of("gpu_instance_id")}/${of("compute_instance_id")}`;
  });
  return found.length === 0 ? undefined : found.toSorted();
}

const RECOVERY: Readonly<Record<string, string>> = {
  None: "none",
  "GPU Reset": "reset",
  Reset: "reset",
  "Node Reboot": "reboot",
  Reboot: "reboot",
  "Drain P2P": "drain_p2p",
  "Drain and Reset": "drain_reset",
};

function recoveryOf(gpu: XmlElement): string | undefined {
  const written = elementsAt(gpu, "gpu_recovery_action")[0]?.text;
  return written === undefined ? undefined : RECOVERY[written];
}

/** Up to Volta there are totals; Turing has one count of SRAM, later cards two. */
const CORRECTED = ["sram_correctable", "dram_correctable", "single_bit/total"];
const UNCORRECTED = [
  "sram_uncorrectable",
  "sram_uncorrectable_parity",
  "sram_uncorrectable_secded",
  "dram_uncorrectable",
  "double_bit/total",
];

/** "00000000:3B:00.0" as sysfs writes it. */
function pciOf(written: string): string | undefined {
  const [, domain, rest] = /^([0-9A-Fa-f]{4,8}):([0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])$/.exec(written) ?? [];
  return rest === undefined ? undefined : `${domain!.slice(-4)}:${rest}`.toLowerCase();
}
