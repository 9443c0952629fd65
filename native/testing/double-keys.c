/* What may stand left of a scenario's `=`; a slip of the pen may not. */
#include <string.h>
#include "cuda-functions.h"
#include "double.h"
#include "nvml-functions.h"

static const char *const KEYS[] = {
  "driver", "nvml", "cuda", "init", "gpus", "present", "enumerate", "report", "process_stride", "recheck_ms",
  "epoch_ms", "sampling_us", "gpm_metrics_max", "include", "cuda_init", "cuda_report", "ptx_max",
  "gpu#.multiprocessors", "gpu#.computes", "gpu#.bandwidth", "gpu#.host_bandwidth", "gpu#.launch_ns", "gpu#.flops_fp#", "gpu#.flops_tensor",
  "gpu#.state", "gpu#.name", "gpu#.uuid", "gpu#.serial", "gpu#.vbios", "gpu#.part_number", "gpu#.pci",
  "gpu#.pci_device", "gpu#.pci_subsystem", "gpu#.brand", "gpu#.architecture", "gpu#.cores", "gpu#.memory_bus_bits",
  "gpu#.compute_major", "gpu#.compute_minor", "gpu#.compute_mode", "gpu#.minor", "gpu#.power_mw",
  "gpu#.power_mean_mw", "gpu#.power_limit_mw", "gpu#.power_set_limit_mw", "gpu#.power_default_limit_mw",
  "gpu#.power_limit_min_mw", "gpu#.power_limit_max_mw", "gpu#.energy_mj", "gpu#.fans", "gpu#.fan#.percent",
  "gpu#.fan#.rpm", "gpu#.performance_state", "gpu#.persistence", "gpu#.celsius", "gpu#.memory_celsius",
  "gpu#.margin_celsius", "gpu#.threshold#.celsius", "gpu#.clock#.mhz", "gpu#.clock#.max_mhz", "gpu#.reasons",
  "gpu#.reasons_supported", "gpu#.memory_total", "gpu#.memory_used", "gpu#.memory_free", "gpu#.memory_reserved",
  "gpu#.util", "gpu#.memory_util", "gpu#.encoder_util", "gpu#.decoder_util", "gpu#.jpeg_util", "gpu#.ofa_util",
  "gpu#.ecc", "gpu#.ecc_pending", "gpu#.ecc_corrected", "gpu#.ecc_uncorrected", "gpu#.ecc_corrected_lifetime",
  "gpu#.ecc_uncorrected_lifetime", "gpu#.retired_corrected", "gpu#.retired_uncorrected", "gpu#.retired_pending",
  "gpu#.remapped_corrected", "gpu#.remapped_uncorrected", "gpu#.remap_pending", "gpu#.remap_failed",
  "gpu#.recovery_action", "gpu#.pcie_generation", "gpu#.pcie_generation_max", "gpu#.pcie_width",
  "gpu#.pcie_width_max", "gpu#.pcie_replays", "gpu#.pcie_tx_kbps", "gpu#.pcie_rx_kbps", "gpu#.pcie_tx_bytes",
  "gpu#.pcie_rx_bytes", "gpu#.links", "gpu#.links_tx_kib", "gpu#.links_rx_kib", "gpu#.link#.state",
  "gpu#.link#.version", "gpu#.link#.replay", "gpu#.link#.recovery", "gpu#.link#.crc", "gpu#.link#.crc_data",
  "gpu#.link#.ecc", "gpu#.link#.tx_kib", "gpu#.link#.rx_kib", "gpu#.link#.tx_bytes", "gpu#.link#.rx_bytes",
  "gpu#.fabric_cluster", "gpu#.fabric_clique", "gpu#.fabric_state", "gpu#.fabric_status", "gpu#.fabric_health",
  "gpu#.field.#", "gpu#.field.#.#", "gpu#.processes_claimed", "gpu#.process#.pid", "gpu#.process#.memory",
  "gpu#.process#.sm", "gpu#.process#.mem", "gpu#.process#.enc", "gpu#.process#.dec", "gpu#.process#.gi",
  "gpu#.process#.ci", "gpu#.process#.kind", "gpu#.events", "gpu#.gpm", "gpu#.gpm.#", "gpu#.gi#.gpm.#",
  "gpu#.mig", "gpu#.mig_pending", "gpu#.mig_max", "gpu#.mig#.uuid", "gpu#.mig#.name", "gpu#.mig#.gi",
  "gpu#.mig#.ci", "gpu#.mig#.sms", "gpu#.mig#.gi_slices", "gpu#.mig#.ci_slices", "gpu#.mig#.memory_mib",
  "gpu#.mig#.memory_total", "gpu#.mig#.memory_used", "gpu#.mig#.memory_free", "gpu#.mig#.memory_reserved",
  "gpu#.gi#.profile", "gpu#.gi#.start", "gpu#.gi#.size", "gpu#.profile#.id", "gpu#.profile#.name",
  "gpu#.profile#.slices", "gpu#.profile#.instances", "gpu#.profile#.sms", "gpu#.profile#.memory_mib",
};

static const char *const FAULTS[] = { "error", "hang", "crash", "delay_us", "silent", "after" };

/* Numbers and `*` become `#`, so that a key can be held against its pattern. */
static void patternOf(const char *key, char *out, size_t size) {
  size_t used = 0;
  for (const char *at = key; *at != 0 && used + 1 < size; at++) {
    if (*at == '*' || (*at >= '0' && *at <= '9')) {
      if (used == 0 || out[used - 1] != '#') out[used++] = '#';
    } else {
      out[used++] = *at;
    }
  }
  out[used] = 0;
}

/* call.NAME.fault, alone or behind gpuI. */
static bool isFault(const char *key) {
  if (strncmp(key, "gpu", 3) == 0) {
    key = strchr(key, '.');
    if (key == NULL) return false;
    key += 1;
  }
  if (strncmp(key, "call.", 5) != 0) return false;
  const char *name = key + 5, *dot = strchr(name, '.');
  if (dot == NULL) return false;
  static const char *const NAMES[] = {
#define NAMED(name) #name,
    NVML_FUNCTIONS(NAMED)
    CUDA_FUNCTIONS(NAMED)
#undef NAMED
  };
  size_t length = (size_t)(dot - name);
  bool isKnown = length == 1 && *name == '*';
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES && !isKnown; i++) {
    isKnown = strlen(NAMES[i]) == length && strncmp(NAMES[i], name, length) == 0;
  }
  for (size_t i = 0; i < sizeof FAULTS / sizeof *FAULTS; i++) {
    if (strcmp(FAULTS[i], dot + 1) == 0) return isKnown;
  }
  return false;
}

bool isKey(const char *key) {
  char pattern[256];
  patternOf(key, pattern, sizeof pattern);
  for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
    if (strcmp(KEYS[i], pattern) == 0) return true;
  }
  return isFault(key);
}

