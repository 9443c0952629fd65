/** Every metric of an agent's GPUs but for those in gpu-wear-names.ts, and of what reads them. docs/metrics.md lists the same. */
import { defineMetric, type Metric } from "./exposition.ts";

/** Of every one: the node's id, the GPU's name for good, its place, how it is cut where it is a MIG device, its model. */
const GPU = ["node", "gpu_uuid", "index", "mig_profile", "name"] as const;

export function gpuMetric(
  type: Metric["type"],
  name: string,
  more: readonly string[],
  unit: string,
  help: string,
): Metric {
  return defineMetric(type, name, [...GPU, ...more], unit, help);
}

/** Of each GPU on an agent's node; memory, multiprocessors and activity also of each MIG device, under its own UUID. */
export const GPU_METRICS = {
  info: gpuMetric(
    "gauge",
    "infermesh_gpu_info",
    ["vendor", "serial", "pci_address", "architecture", "compute_capability", "fabric", "backend", "driver"],
    "",
    "Always 1; tells what the GPU is, and what reads it.",
  ),
  fresh: gpuMetric(
    "gauge",
    "infermesh_gpu_fresh",
    [],
    "",
    "1 while its figures are of now; 0 when it is lost or its source does not answer.",
  ),
  health: gpuMetric(
    "gauge",
    "infermesh_gpu_health",
    ["state"],
    "",
    "1 for the state that it is in, 0 for the others: healthy, degraded, quarantined.",
  ),
  healthReasons: gpuMetric(
    "gauge",
    "infermesh_gpu_health_reasons",
    [],
    "",
    "How many rules find something wrong with it.",
  ),
  xids: gpuMetric(
    "counter",
    "infermesh_gpu_xid_errors_total",
    ["xid"],
    "",
    "Errors that the driver reported since the agent started, by XID.",
  ),
  utilization: gpuMetric("gauge", "infermesh_gpu_utilization_ratio", [], "ratio", "Busy fraction, 0 to 1."),
  memoryUtilization: gpuMetric(
    "gauge",
    "infermesh_gpu_memory_utilization_ratio",
    [],
    "ratio",
    "Share of the time in which its memory was read or written, 0 to 1.",
  ),
  encoder: gpuMetric(
    "gauge",
    "infermesh_gpu_encoder_utilization_ratio",
    [],
    "ratio",
    "Busy fraction of the video encoders, 0 to 1.",
  ),
  decoder: gpuMetric(
    "gauge",
    "infermesh_gpu_decoder_utilization_ratio",
    [],
    "ratio",
    "Busy fraction of the video decoders, 0 to 1.",
  ),
  jpeg: gpuMetric(
    "gauge",
    "infermesh_gpu_jpeg_utilization_ratio",
    [],
    "ratio",
    "Busy fraction of the JPEG decoders, 0 to 1.",
  ),
  ofa: gpuMetric(
    "gauge",
    "infermesh_gpu_ofa_utilization_ratio",
    [],
    "ratio",
    "Busy fraction of the optical flow accelerators, 0 to 1.",
  ),
  activity: gpuMetric(
    "gauge",
    "infermesh_gpu_activity_ratio",
    ["part"],
    "ratio",
    "Share of the time, or of the peak, that a part of the chip was at work, 0 to 1.",
  ),
  memoryTotal: gpuMetric("gauge", "infermesh_gpu_memory_total_bytes", [], "bytes", "Memory there is."),
  memoryUsed: gpuMetric("gauge", "infermesh_gpu_memory_used_bytes", [], "bytes", "Memory in use."),
  memoryFree: gpuMetric("gauge", "infermesh_gpu_memory_free_bytes", [], "bytes", "Memory that is free."),
  memoryReserved: gpuMetric(
    "gauge",
    "infermesh_gpu_memory_reserved_bytes",
    [],
    "bytes",
    "Memory that driver and firmware keep.",
  ),
  hostMemoryUsed: gpuMetric(
    "gauge",
    "infermesh_gpu_host_memory_used_bytes",
    [],
    "bytes",
    "Memory of the host that is mapped for it.",
  ),
  multiprocessors: gpuMetric("gauge", "infermesh_gpu_multiprocessors", [], "", "Multiprocessors of a MIG device."),
  temperature: gpuMetric(
    "gauge",
    "infermesh_gpu_temperature_celsius",
    [],
    "degrees Celsius",
    "Temperature of the GPU.",
  ),
  hotspot: gpuMetric(
    "gauge",
    "infermesh_gpu_hotspot_celsius",
    [],
    "degrees Celsius",
    "Temperature of its hottest spot.",
  ),
  memoryTemperature: gpuMetric(
    "gauge",
    "infermesh_gpu_memory_temperature_celsius",
    [],
    "degrees Celsius",
    "Temperature of its memory.",
  ),
  slowdown: gpuMetric(
    "gauge",
    "infermesh_gpu_slowdown_celsius",
    [],
    "degrees Celsius",
    "Temperature at which its clocks are held down.",
  ),
  shutdown: gpuMetric(
    "gauge",
    "infermesh_gpu_shutdown_celsius",
    [],
    "degrees Celsius",
    "Temperature at which it turns itself off.",
  ),
  memoryTemperatureMax: gpuMetric(
    "gauge",
    "infermesh_gpu_memory_max_celsius",
    [],
    "degrees Celsius",
    "Highest temperature that its memory is made for.",
  ),
  power: gpuMetric("gauge", "infermesh_gpu_power_watts", [], "watts", "Power drawn at this moment."),
  powerMean: gpuMetric(
    "gauge",
    "infermesh_gpu_power_mean_watts",
    [],
    "watts",
    "Power drawn, the mean of about a second.",
  ),
  powerLimit: gpuMetric(
    "gauge",
    "infermesh_gpu_power_limit_watts",
    [],
    "watts",
    "Power at which the clocks are held down.",
  ),
  powerLimitMin: gpuMetric(
    "gauge",
    "infermesh_gpu_power_limit_min_watts",
    [],
    "watts",
    "Lowest limit of power that can be set.",
  ),
  powerLimitMax: gpuMetric(
    "gauge",
    "infermesh_gpu_power_limit_max_watts",
    [],
    "watts",
    "Highest limit of power that can be set.",
  ),
  energy: gpuMetric(
    "counter",
    "infermesh_gpu_energy_joules_total",
    [],
    "joules",
    "Energy used since the driver was loaded.",
  ),
  clock: gpuMetric("gauge", "infermesh_gpu_clock_hertz", ["clock"], "hertz", "What its clocks run at."),
  clockMax: gpuMetric("gauge", "infermesh_gpu_clock_max_hertz", ["clock"], "hertz", "What its clocks run at most."),
  fan: gpuMetric("gauge", "infermesh_gpu_fan_speed_ratio", ["fan"], "ratio", "Speed of a fan, 0 to 1 of its greatest."),
  fanRpm: gpuMetric("gauge", "infermesh_gpu_fan_rpm", [], "revolutions per minute", "Speed of its fan."),
  performanceState: gpuMetric("gauge", "infermesh_gpu_performance_state", [], "", "0 is the fastest."),
  throttle: gpuMetric(
    "gauge",
    "infermesh_gpu_throttle_reason",
    ["reason"],
    "",
    "1 for each reason for which its clocks are below what was asked for, else 0.",
  ),
  persistence: gpuMetric(
    "gauge",
    "infermesh_gpu_persistence_mode",
    [],
    "",
    "1 when the driver stays loaded without a program that uses the GPU, else 0.",
  ),
  ecc: gpuMetric("gauge", "infermesh_gpu_ecc_mode", [], "", "1 when errors of its memory are corrected, else 0."),
  mig: gpuMetric("gauge", "infermesh_gpu_mig_mode", [], "", "1 when it can be cut into MIG devices, else 0."),
} as const;

/** Of what reads GPUs: a vendor's probe process, another exporter, the mock. */
export const GPU_SOURCE_METRICS = {
  state: defineMetric(
    "gauge",
    "infermesh_gpu_source_state",
    ["node", "source", "state"],
    "",
    "1 for the state of what reads GPUs, 0 for the others.",
  ),
  restarts: defineMetric(
    "counter",
    "infermesh_gpu_probe_restarts_total",
    ["node", "source"],
    "",
    "Probe processes that were started in place of another.",
  ),
  look: defineMetric(
    "gauge",
    "infermesh_gpu_look_duration_seconds",
    ["node", "source"],
    "seconds",
    "How long the last look at the GPUs took.",
  ),
} as const;
