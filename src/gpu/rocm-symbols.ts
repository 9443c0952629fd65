/**
 * The functions of librocm_smi64 that are used, by what they take. `d` is a GPU's number, below the count; `out` are
 * buffers of ours. All answer with a code. The layouts that changed with ROCm 6.0 are told apart in rocm-device.ts.
 */
import type { dlopen } from "bun:ffi";

/** (out) */
const OUT = { args: ["ptr"], returns: "i32" } as const;
/** (d, out) */
const GPU_OUT = { args: ["u32", "ptr"], returns: "i32" } as const;
/** (d, which, out) */
const GPU_WHICH_OUT = { args: ["u32", "u32", "ptr"], returns: "i32" } as const;

/** One figure of a GPU, of 32 bits. */
export const WORD_CALLS = {
  rsmi_dev_busy_percent_get: GPU_OUT,
  rsmi_dev_memory_busy_percent_get: GPU_OUT,
} as const;

/** One of 64 bits. */
export const LONG_CALLS = {
  rsmi_dev_pci_id_get: GPU_OUT,
  rsmi_dev_unique_id_get: GPU_OUT,
  rsmi_dev_xgmi_hive_id_get: GPU_OUT,
  rsmi_dev_pci_replay_counter_get: GPU_OUT,
} as const;

/** One of 64 bits, of a choice: a kind of memory, a sensor. */
export const CHOICE_CALLS = {
  rsmi_dev_memory_total_get: GPU_WHICH_OUT,
  rsmi_dev_memory_usage_get: GPU_WHICH_OUT,
  rsmi_dev_power_ave_get: GPU_WHICH_OUT,
  rsmi_dev_power_cap_get: GPU_WHICH_OUT,
  rsmi_dev_fan_rpms_get: GPU_WHICH_OUT,
  rsmi_dev_fan_speed_get: GPU_WHICH_OUT,
  rsmi_dev_fan_speed_max_get: GPU_WHICH_OUT,
} as const;

export const ROCM_SYMBOLS = {
  rsmi_init: { args: ["u64"], returns: "i32" },
  rsmi_shut_down: { args: [], returns: "i32" },
  rsmi_num_monitor_devices: OUT,
  rsmi_version_get: OUT,
  /** (part, text, length) */
  rsmi_version_str_get: { args: ["i32", "ptr", "u32"], returns: "i32" },
  /** (d, text, length) */
  rsmi_dev_name_get: { args: ["u32", "ptr", "u64"], returns: "i32" },
  rsmi_dev_serial_number_get: { args: ["u32", "ptr", "u32"], returns: "i32" },
  /** (d, sensor, what, out) */
  rsmi_dev_temp_metric_get: { args: ["u32", "u32", "i32", "ptr"], returns: "i32" },
  /** (d, power, kind of power): from 6.0 on */
  rsmi_dev_power_get: { args: ["u32", "ptr", "ptr"], returns: "i32" },
  /** (d, sensor, greatest, least) */
  rsmi_dev_power_cap_range_get: { args: ["u32", "u32", "ptr", "ptr"], returns: "i32" },
  /** (d, count, what a step is, time) */
  rsmi_dev_energy_count_get: { args: ["u32", "ptr", "ptr", "ptr"], returns: "i32" },
  rsmi_dev_gpu_clk_freq_get: GPU_WHICH_OUT,
  /** (d, block, out) */
  rsmi_dev_gpu_metrics_info_get: GPU_OUT,
  ...WORD_CALLS,
  ...LONG_CALLS,
  ...CHOICE_CALLS,
} as const;

export const ROCM_NEEDS = ["rsmi_init", "rsmi_shut_down", "rsmi_num_monitor_devices", "rsmi_dev_pci_id_get"] as const;

export type RocmCalls = Partial<ReturnType<typeof dlopen<typeof ROCM_SYMBOLS>>["symbols"]>;
