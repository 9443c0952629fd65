/**
 * A nvidia-smi for tests: `bun smi-stub.ts SCENARIO -q -x` writes what nvidia-smi would of the GPUs of a scenario of the
 * double of libnvidia-ml, as R570 writes it. It reads the scenario itself, and knows nothing of our backend.
 */
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

const MIB = 2 ** 20;

function readScenario(path: string, into = new Map<string, string>()): Map<string, string> {
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const [, key = "", value = ""] = /^\s*([\w.*]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key === "include") readScenario(resolve(dirname(path), value.slice(1, -1)), into);
    else if (key !== "") into.set(key, value);
  }
  return into;
}

class Gpu {
  readonly #lines: ReadonlyMap<string, string>;
  readonly #number: number;

  constructor(lines: ReadonlyMap<string, string>, number: number) {
    this.#lines = lines;
    this.#number = number;
  }

  raw(leaf: string): string | undefined {
    const any = leaf.replace(/\d+(?=\.)/, "*");
    const keys = [`gpu${this.#number}.${leaf}`, `gpu*.${leaf}`, `gpu*.${any}`];
    const found = keys.map((key) => this.#lines.get(key)).find((value) => value !== undefined);
    return found === "none" ? undefined : found;
  }

  text(leaf: string): string {
    const number = this.#number;
    const written = this.raw(leaf)?.replace(/^"(.*)"$/, "$1");
    return written?.replace("{x}", number.toString(16).padStart(2, "0")).replace("{i}", String(number)) ?? "N/A";
  }

  number(leaf: string): number | undefined {
    const [, digits, unit] = /^(\d+(?:\.\d+)?|0x[0-9A-F]+)(?: (MiB))?$/.exec(this.raw(leaf) ?? "") ?? [];
    return digits === undefined ? undefined : Number(digits) * (unit === "MiB" ? MIB : 1);
  }

  figure(leaf: string, unit = "", scale = 1, digits = 0): string {
    const number = this.number(leaf);
    return number === undefined ? "N/A" : `${(number * scale).toFixed(digits)}${unit}`;
  }

  word(leaf: string, [no, yes]: readonly [string, string]): string {
    const number = this.number(leaf);
    return number === undefined ? "N/A" : number === 0 ? no : yes;
  }
}

const element = (name: string, ...inner: readonly string[]): string => `<${name}>${inner.join("")}</${name}>`;
const REASONS = [
  "gpu_idle",
  "applications_clocks_setting",
  "sw_power_cap",
  "hw_slowdown",
  "sync_boost",
  "sw_thermal_slowdown",
  "hw_thermal_slowdown",
  "hw_power_brake_slowdown",
  "display_clocks_setting",
];
const ARCHITECTURES: Readonly<Record<number, string>> = {
  6: "Turing",
  7: "Ampere",
  8: "Ada Lovelace",
  9: "Hopper",
  10: "Blackwell",
};
const SWITCH = ["Disabled", "Enabled"] as const;
const ANSWER = ["No", "Yes"] as const;

function processes(gpu: Gpu): string {
  const found: string[] = [];
  for (let at = 0; gpu.number(`process${at}.pid`) !== undefined; at += 1) {
    const memory = gpu.figure(`process${at}.memory`, " MiB", 1 / MIB);
    const name = element("process_name", "a &amp; b &lt;c&gt;");
    found.push(
      element(
        "process_info",
        element("pid", gpu.figure(`process${at}.pid`)),
        element("type", "C"),
        name,
        element("used_memory", memory),
      ),
    );
  }
  return element("processes", ...found);
}

function migDevices(gpu: Gpu): string {
  const all = Array.from({ length: 16 }, (_, at) => at).filter((at) => gpu.raw(`mig${at}.gi`) !== undefined);
  const one = (at: number): string =>
    element(
      "mig_device",
      element("gpu_instance_id", gpu.figure(`mig${at}.gi`)),
      element("compute_instance_id", gpu.figure(`mig${at}.ci`)),
    );
  return element("mig_devices", ...all.map(one));
}

function reasons(gpu: Gpu): string {
  const bits = gpu.number("reasons") ?? 0;
  return element(
    "clocks_event_reasons",
    ...REASONS.map((name, bit) => element(`clocks_event_reason_${name}`, (bits >> bit) & 1 ? "Active" : "Not Active")),
  );
}

/** The totals stand in the counts of DRAM: a scenario has no more than totals. */
function errors(gpu: Gpu, scope: string, suffix: string): string {
  const count = (leaf: string): string => gpu.figure(`${leaf}${suffix}`);
  return element(
    scope,
    element("sram_correctable", "0"),
    element("sram_uncorrectable_parity", "0"),
    element("sram_uncorrectable_secded", "0"),
    element("dram_correctable", count("ecc_corrected")),
    element("dram_uncorrectable", count("ecc_uncorrected")),
  );
}

function gpuXml(gpu: Gpu): string {
  const clock = (leaf: string): string =>
    ["graphics_clock", "sm_clock", "mem_clock", "video_clock"]
      .map((name, at) => element(name, gpu.figure(`clock${at}.${leaf}`, " MHz")))
      .join("");
  const percent = (name: string, leaf: string): string => element(name, gpu.figure(leaf, " %"));
  const bytes = (name: string, leaf: string): string => element(name, gpu.figure(leaf, " MiB", 1 / MIB));
  const watts = (name: string, leaf: string): string => element(name, gpu.figure(leaf, " W", 1 / 1000, 2));
  const celsius = (name: string, leaf: string): string => element(name, gpu.figure(leaf, " C"));
  const free =
    (gpu.number("memory_total") ?? 0) - (gpu.number("memory_reserved") ?? 0) - (gpu.number("memory_used") ?? 0);
  const generation = element(
    "pcie_gen",
    element("max_link_gen", gpu.figure("pcie_generation_max")),
    element("current_link_gen", gpu.figure("pcie_generation")),
  );
  const width = element(
    "link_widths",
    element("max_link_width", gpu.figure("pcie_width_max", "x")),
    element("current_link_width", gpu.figure("pcie_width", "x")),
  );
  const retired = (name: string, leaf: string): string =>
    element(name, element("retired_count", gpu.figure(leaf)), "<retired_pages_list/>");
  return [
    element("product_name", gpu.text("name")),
    element("product_architecture", ARCHITECTURES[gpu.number("architecture") ?? 0] ?? "N/A"),
    element("persistence_mode", gpu.word("persistence", SWITCH)),
    element("mig_mode", element("current_mig", gpu.word("mig", SWITCH))),
    migDevices(gpu),
    element("gpu_recovery_action", gpu.word("recovery_action", ["None", "GPU Reset"])),
    element("serial", gpu.text("serial")),
    element("uuid", gpu.text("uuid")),
    element(
      "pci",
      element("pci_bus_id", gpu.text("pci").toUpperCase()),
      element("pci_gpu_link_info", generation, width),
      element("replay_counter", gpu.figure("pcie_replays")),
    ),
    element("fan_speed", "N/A"),
    element("performance_state", `P${gpu.figure("performance_state")}`),
    reasons(gpu),
    element(
      "fb_memory_usage",
      bytes("total", "memory_total"),
      bytes("reserved", "memory_reserved"),
      bytes("used", "memory_used"),
      element("free", `${(free / MIB).toFixed(0)} MiB`),
    ),
    element(
      "utilization",
      percent("gpu_util", "util"),
      percent("memory_util", "memory_util"),
      percent("encoder_util", "encoder_util"),
      percent("decoder_util", "decoder_util"),
      percent("jpeg_util", "jpeg_util"),
      percent("ofa_util", "ofa_util"),
    ),
    element("ecc_mode", element("current_ecc", gpu.word("ecc", SWITCH))),
    element("ecc_errors", errors(gpu, "volatile", ""), errors(gpu, "aggregate", "_lifetime")),
    element(
      "retired_pages",
      retired("multiple_single_bit_retirement", "retired_corrected"),
      retired("double_bit_retirement", "retired_uncorrected"),
      element("pending_retirement", gpu.word("retired_pending", ANSWER)),
    ),
    element(
      "remapped_rows",
      element("remapped_row_corr", gpu.figure("remapped_corrected")),
      element("remapped_row_unc", gpu.figure("remapped_uncorrected")),
      element("remapped_row_pending", gpu.word("remap_pending", ANSWER)),
      element("remapped_row_failure", gpu.word("remap_failed", ANSWER)),
    ),
    element(
      "temperature",
      celsius("gpu_temp", "celsius"),
      celsius("gpu_temp_max_threshold", "threshold0.celsius"),
      celsius("gpu_temp_slow_threshold", "threshold1.celsius"),
      celsius("gpu_temp_max_mem_threshold", "threshold2.celsius"),
      celsius("memory_temp", "memory_celsius"),
    ),
    element(
      "gpu_power_readings",
      watts("average_power_draw", "power_mean_mw"),
      watts("instant_power_draw", "power_mw"),
      watts("current_power_limit", "power_limit_mw"),
      watts("min_power_limit", "power_limit_min_mw"),
      watts("max_power_limit", "power_limit_max_mw"),
    ),
    element("clocks", clock("mhz")),
    element("max_clocks", clock("max_mhz")),
    processes(gpu),
  ].join("\n");
}

const [path = "", ...args] = process.argv.slice(2);
if (args.join(" ") !== "-q -x") throw new Error(`this nvidia-smi knows -q -x only, not ${args.join(" ")}`);
const lines = readScenario(path);
const count = Number(lines.get("gpus") ?? 0);
const gpus = Array.from({ length: count }, (_, number) => {
  const gpu = new Gpu(lines, number);
  return `<gpu id="${gpu.text("pci").toUpperCase()}">\n${gpuXml(gpu)}\n</gpu>`;
});
const driver = (lines.get("driver") ?? "").replaceAll('"', "");
const cudaNumber = Number(lines.get("cuda") ?? 0);
const cuda = `${Math.floor(cudaNumber / 1000)}.${(cudaNumber % 1000) / 10}`;
process.stdout.write(
  `<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n<driver_version>${driver}</driver_version>\n<cuda_version>${cuda}</cuda_version>\n${gpus.join("\n")}\n</nvidia_smi_log>\n`,
);
