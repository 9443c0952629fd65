/**
 * What dcgm-exporters of several versions serve, written after the public ones: the templates that print the series
 * (pkg/dcgmexporter/pipeline.go of 2.4 and 3.3, internal/pkg/rendermetrics of 4.2 and later), the lists of counters
 * (etc/default-counters.csv) and the README's example with its blank values.
 */

export const UUIDS = ["GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52", "GPU-5a9a3f0e-30b4-4a57-8f6f-5cbe0d1e7a10"] as const;

interface Series {
  readonly gpu: number;
  readonly value: number | string;
  readonly more?: string;
}

type Head = (gpu: number) => string;

function family(name: string, help: string, type: string, head: Head, series: readonly Series[]): string {
  const lines = series.map(({ gpu, value, more = "" }) => `${name}{${head(gpu)}${more}} ${value}`);
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}

/** 2.4: no bus address, blank values as figures, throughput in KB by NVML. */
export function exporter24(): string {
  const head: Head = (gpu) =>
    `gpu="${gpu}",UUID="${UUIDS[gpu]}",device="nvidia${gpu}",modelName="Tesla T4",Hostname="node-a",DCGM_FI_DRIVER_VERSION="470.57.02"`;
  const both = (name: string, help: string, type: string, ...values: readonly (number | string)[]): string =>
    family(
      `DCGM_FI_${name}`,
      help,
      type,
      head,
      values.map((value, gpu) => ({ gpu, value })),
    );
  return [
    both("DEV_SM_CLOCK", "SM clock frequency (in MHz).", "gauge", 585, 300),
    both("DEV_MEM_CLOCK", "Memory clock frequency (in MHz).", "gauge", 5000, 405),
    both("DEV_MEMORY_TEMP", "Memory temperature (in C).", "gauge", "9223372036854775794", "9223372036854775794"),
    both("DEV_GPU_TEMP", "GPU temperature (in C).", "gauge", 61, 35),
    both("DEV_POWER_USAGE", "Power draw (in W).", "gauge", "27.291000", "9.104000"),
    both("DEV_TOTAL_ENERGY_CONSUMPTION", "Total energy consumption since boot (in mJ).", "counter", 319_159_391, 7000),
    both(
      "DEV_PCIE_TX_THROUGHPUT",
      "Total number of bytes transmitted through PCIe TX (in KB) via NVML.",
      "counter",
      50,
      0,
    ),
    both("DEV_PCIE_REPLAY_COUNTER", "Total number of PCIe retries.", "counter", 3, 0),
    both("DEV_GPU_UTIL", "GPU utilization (in %).", "gauge", 87, 0),
    both("DEV_MEM_COPY_UTIL", "Memory utilization (in %).", "gauge", 41, 0),
    both("DEV_XID_ERRORS", "Value of the last XID error encountered.", "gauge", 0, 0),
    both("DEV_FB_FREE", "Framebuffer memory free (in MiB).", "gauge", 4000, 15_000),
    both("DEV_FB_USED", "Framebuffer memory used (in MiB).", "gauge", 11_109, 109),
    both("DEV_NVLINK_BANDWIDTH_TOTAL", "Total number of NVLink bandwidth counters for all lanes", "counter", 0, 0),
    both(
      "PROF_DRAM_ACTIVE",
      "Ratio of cycles the device memory interface is active.",
      "gauge",
      "0.250000",
      "140737488355328.000000",
    ),
  ].join("");
}

/** 4.5 with an H100 that has everything on; the label of the host is written small from then on. */
export function exporter45({
  xid = 0,
  hostLabel = "hostname",
  counts = [] as readonly (readonly [number, number])[],
} = {}): string {
  const head: Head = (gpu) =>
    `gpu="${gpu}",UUID="${UUIDS[gpu]}",pci_bus_id="00000000:3B:00.0",device="nvidia${gpu}",modelName="NVIDIA H100 80GB HBM3",${hostLabel}="node-b",DCGM_FI_DRIVER_VERSION="570.86.15",container="vllm",namespace="ml",pod="vllm-0"`;
  const one = (name: string, value: number | string, type = "gauge", more = ""): string =>
    family(`DCGM_${name}`, `What ${name} is.`, type, head, [{ gpu: 0, value, more }]);
  return [
    one("FI_DEV_SM_CLOCK", 1980),
    one("FI_DEV_MAX_SM_CLOCK", 1980),
    one("FI_DEV_GPU_TEMP", 67),
    one("FI_DEV_MEMORY_TEMP", 74),
    one("FI_DEV_SLOWDOWN_TEMP", 87),
    one("FI_DEV_POWER_USAGE", "512.250000"),
    one("FI_DEV_POWER_USAGE_INSTANT", "540.500000"),
    one("FI_DEV_ENFORCED_POWER_LIMIT", "700.000000"),
    one("FI_DEV_TOTAL_ENERGY_CONSUMPTION", "251885217371", "counter"),
    one("FI_DEV_CLOCKS_EVENT_REASONS", 0x4 + 0x40),
    one(
      "FI_DEV_XID_ERRORS",
      xid,
      "gauge",
      `,err_code="${xid}",err_msg="${xid === 0 ? "No Error" : 'GPU has "fallen" off the bus'.replaceAll('"', '\\"')}"`,
    ),
    ...counts.map(([code, count]) =>
      one("EXP_XID_ERRORS_COUNT", count, "gauge", `,window_size_in_ms="300000",xid="${code}"`),
    ),
    one("FI_DEV_FB_USED", 70_000),
    one("FI_DEV_FB_FREE", 11_000),
    one("FI_DEV_FB_RESERVED", 559),
    one("FI_DEV_ECC_DBE_VOL_TOTAL", 1, "counter"),
    one("FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", 2, "counter"),
    one("FI_DEV_CORRECTABLE_REMAPPED_ROWS", 0, "counter"),
    one("FI_DEV_ROW_REMAP_FAILURE", 1),
    one("FI_DEV_ROW_REMAP_PENDING", 0),
    one("FI_DEV_PCIE_LINK_GEN", 5),
    one("FI_DEV_FAN_SPEED", "2147483634"),
    one("FI_PROF_GR_ENGINE_ACTIVE", "0.912345"),
    one("FI_PROF_PIPE_TENSOR_ACTIVE", "0.500000"),
    one("FI_PROF_PCIE_TX_BYTES", 123_456_789),
    one("FI_PROF_NVLINK_RX_BYTES", 5_000_000),
  ].join("");
}

/** 3.3 with an A100 cut into two instances, which all series come for. */
export function exporterMig({ profiles = ["1g.5gb", "2g.10gb"] as readonly string[], xid = 0 } = {}): string {
  const head: Head = () =>
    `gpu="0",UUID="${UUIDS[0]}",pci_bus_id="00000000:07:00.0",device="nvidia0",modelName="NVIDIA A100-SXM4-40GB"`;
  const each = (name: string, value: (instance: number) => number | string): string =>
    family(
      `DCGM_FI_${name}`,
      "Of instances.",
      "gauge",
      head,
      profiles.map((profile, instance) => ({
        gpu: 0,
        value: value(instance),
        more: `,GPU_I_PROFILE="${profile}",GPU_I_ID="${instance + 3}",Hostname="node-c"`,
      })),
    );
  return [
    each("DEV_GPU_TEMP", () => 44),
    each("DEV_POWER_USAGE", () => "101.000000"),
    each("DEV_XID_ERRORS", () => xid),
    each("DEV_FB_USED", (instance) => 1000 + instance),
    each("DEV_FB_FREE", (instance) => 3864 * (instance + 1)),
    each("PROF_GR_ENGINE_ACTIVE", (instance) => `0.${instance + 1}00000`),
  ].join("");
}
