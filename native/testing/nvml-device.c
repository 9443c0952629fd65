/* What is asked of one card: who it is, and its figures. A MIG device answers to few of them. */
#include <stdio.h>
#include <string.h>
#include "nvml-double.h"

#define OF(leaf) scenarioOf(at.gpu, NO_PART, 0, leaf)

/* A figure of the whole card under one name of the scenario. */
#define CARD_UNSIGNED(name, leaf) \
  EXPORT int name(handle device, unsigned *out) { CALL(name); ON_WHOLE(device); return giveUnsigned(OF(leaf), out); }
#define CARD_LONG(name, leaf) \
  EXPORT int name(handle device, unsigned long long *out) { CALL(name); ON_WHOLE(device); return giveLong(OF(leaf), out); }
#define CARD_TEXT(name, leaf) \
  EXPORT int name(handle device, char *out, unsigned length) { \
    CALL(name); ON_WHOLE(device); return giveText(OF(leaf), at.gpu, out, length); \
  }
/* Two figures, of which the second is optional in the scenario. */
#define CARD_PAIR(name, first, second, otherwise) \
  EXPORT int name(handle device, unsigned *one, unsigned *two) { \
    CALL(name); ON_WHOLE(device); NEEDS(two); \
    int code = giveUnsigned(OF(first), one); \
    if (code == OK) *two = (unsigned)wholeOr(OF(second), otherwise); \
    return code; \
  }

CARD_TEXT(nvmlDeviceGetSerial, "serial")
CARD_TEXT(nvmlDeviceGetVbiosVersion, "vbios")
CARD_TEXT(nvmlDeviceGetBoardPartNumber, "part_number")
CARD_UNSIGNED(nvmlDeviceGetMinorNumber, "minor")
CARD_UNSIGNED(nvmlDeviceGetBrand, "brand")
CARD_UNSIGNED(nvmlDeviceGetArchitecture, "architecture")
CARD_UNSIGNED(nvmlDeviceGetNumGpuCores, "cores")
CARD_UNSIGNED(nvmlDeviceGetMemoryBusWidth, "memory_bus_bits")
CARD_UNSIGNED(nvmlDeviceGetComputeMode, "compute_mode")
CARD_PAIR(nvmlDeviceGetCudaComputeCapability, "compute_major", "compute_minor", 0)
CARD_UNSIGNED(nvmlDeviceGetEnforcedPowerLimit, "power_limit_mw")
CARD_UNSIGNED(nvmlDeviceGetPowerManagementLimit, "power_set_limit_mw")
CARD_UNSIGNED(nvmlDeviceGetPowerManagementDefaultLimit, "power_default_limit_mw")
CARD_PAIR(nvmlDeviceGetPowerManagementLimitConstraints, "power_limit_min_mw", "power_limit_max_mw", 0)
CARD_LONG(nvmlDeviceGetTotalEnergyConsumption, "energy_mj")
CARD_UNSIGNED(nvmlDeviceGetNumFans, "fans")
CARD_UNSIGNED(nvmlDeviceGetPerformanceState, "performance_state")
CARD_UNSIGNED(nvmlDeviceGetPowerState, "performance_state")
CARD_UNSIGNED(nvmlDeviceGetPersistenceMode, "persistence")
CARD_LONG(nvmlDeviceGetCurrentClocksEventReasons, "reasons")
CARD_LONG(nvmlDeviceGetCurrentClocksThrottleReasons, "reasons")
CARD_LONG(nvmlDeviceGetSupportedClocksEventReasons, "reasons_supported")
CARD_UNSIGNED(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation")
CARD_UNSIGNED(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation_max")
CARD_UNSIGNED(nvmlDeviceGetGpuMaxPcieLinkGeneration, "pcie_generation_max")
CARD_UNSIGNED(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
CARD_UNSIGNED(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
CARD_UNSIGNED(nvmlDeviceGetPcieReplayCounter, "pcie_replays")
CARD_UNSIGNED(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pending")
CARD_PAIR(nvmlDeviceGetEccMode, "ecc", "ecc_pending", wholeOr(OF("ecc"), 0))

/* Of the last second since Ampere; of this moment before. */
EXPORT int nvmlDeviceGetPowerUsage(handle device, unsigned *out) {
  CALL(nvmlDeviceGetPowerUsage);
  ON_WHOLE(device);
  const struct value *mean = OF("power_mean_mw");
  return giveUnsigned(mean == NULL || mean->kind == FAILURE ? OF("power_mw") : mean, out);
}

EXPORT int nvmlDeviceGetName(handle device, char *out, unsigned length) {
  CALL(nvmlDeviceGetName);
  ON(device);
  return giveText(at.isMig ? scenarioOf(at.gpu, "mig", at.mig, "name") : OF("name"), at.gpu, out, length);
}

EXPORT int nvmlDeviceGetUUID(handle device, char *out, unsigned length) {
  CALL(nvmlDeviceGetUUID);
  ON(device);
  return giveText(at.isMig ? scenarioOf(at.gpu, "mig", at.mig, "uuid") : OF("uuid"), at.gpu, out, length);
}

struct pci { char legacy[16]; unsigned domain, bus, device, pciDevice, subsystem; char id[32]; };
_Static_assert(sizeof(struct pci) == 68, "nvmlPciInfo_t");

EXPORT int nvmlDeviceGetPciInfo_v3(handle device, struct pci *out) {
  CALL(nvmlDeviceGetPciInfo_v3);
  ON_WHOLE(device);
  NEEDS(out);
  char text[32] = "";
  int code = giveText(OF("pci"), at.gpu, text, sizeof text);
  if (code != OK) return code;
  const struct value *pci = OF("pci");
  struct pci info = { 0 };
  unsigned function = 0;
  if (!pci->isRaw && sscanf(text, "%x:%x:%x.%x", &info.domain, &info.bus, &info.device, &function) == 4) {
    snprintf(info.id, sizeof info.id, "%08X:%02X:%02X.%X", info.domain, info.bus, info.device, function);
    snprintf(info.legacy, sizeof info.legacy, "%04X:%02X:%02X.%X", info.domain & 0xFFFF, info.bus & 0xFF, info.device & 0xFF, function & 7);
  } else {
    memcpy(info.id, text, sizeof info.id);
    memcpy(info.legacy, text, sizeof info.legacy);
  }
  info.pciDevice = (unsigned)wholeOr(OF("pci_device"), 0);
  info.subsystem = (unsigned)wholeOr(OF("pci_subsystem"), 0);
  *out = info;
  return OK;
}

/* ---- fans, temperatures, clocks ---- */

EXPORT int nvmlDeviceGetFanSpeed_v2(handle device, unsigned fan, unsigned *out) {
  CALL(nvmlDeviceGetFanSpeed_v2);
  ON_WHOLE(device);
  if (fan >= wholeOr(OF("fans"), 0)) return OF("fans") == NULL ? NOT_SUPPORTED : INVALID_ARGUMENT;
  return giveUnsigned(scenarioOf(at.gpu, "fan", fan, "percent"), out);
}

EXPORT int nvmlDeviceGetFanSpeed(handle device, unsigned *out) {
  CALL(nvmlDeviceGetFanSpeed);
  ON_WHOLE(device);
  return wholeOr(OF("fans"), 0) == 0 ? NOT_SUPPORTED : giveUnsigned(scenarioOf(at.gpu, "fan", 0, "percent"), out);
}

struct fanSpeed { unsigned version, fan, rpm; };

EXPORT int nvmlDeviceGetFanSpeedRPM(handle device, struct fanSpeed *out) {
  CALL(nvmlDeviceGetFanSpeedRPM);
  ON_WHOLE(device);
  NEEDS(out);
  if (out->version != (sizeof *out | 1u << 24)) return ARGUMENT_VERSION_MISMATCH;
  return giveUnsigned(scenarioOf(at.gpu, "fan", out->fan, "rpm"), &out->rpm);
}

EXPORT int nvmlDeviceGetTemperature(handle device, int sensor, unsigned *out) {
  CALL(nvmlDeviceGetTemperature);
  ON_WHOLE(device);
  return sensor != 0 ? INVALID_ARGUMENT : giveUnsigned(OF("celsius"), out);
}

struct temperature { unsigned version; int sensor; unsigned celsius; };

EXPORT int nvmlDeviceGetTemperatureV(handle device, struct temperature *out) {
  CALL(nvmlDeviceGetTemperatureV);
  ON_WHOLE(device);
  NEEDS(out);
  if (out->version != 0x0100000Cu) return ARGUMENT_VERSION_MISMATCH;
  return out->sensor != 0 ? INVALID_ARGUMENT : giveUnsigned(OF("celsius"), &out->celsius);
}

struct margin { unsigned version, celsius; };

EXPORT int nvmlDeviceGetMarginTemperature(handle device, struct margin *out) {
  CALL(nvmlDeviceGetMarginTemperature);
  ON_WHOLE(device);
  NEEDS(out);
  if (out->version != (sizeof *out | 1u << 24)) return ARGUMENT_VERSION_MISMATCH;
  return giveUnsigned(OF("margin_celsius"), &out->celsius);
}

EXPORT int nvmlDeviceGetTemperatureThreshold(handle device, int threshold, unsigned *out) {
  CALL(nvmlDeviceGetTemperatureThreshold);
  ON_WHOLE(device);
  if (threshold < 0 || threshold > 8) return INVALID_ARGUMENT;
  return giveUnsigned(scenarioOf(at.gpu, "threshold", (unsigned)threshold, "celsius"), out);
}

EXPORT int nvmlDeviceGetClockInfo(handle device, int clock, unsigned *out) {
  CALL(nvmlDeviceGetClockInfo);
  ON_WHOLE(device);
  if (clock < 0 || clock > 3) return INVALID_ARGUMENT;
  return giveUnsigned(scenarioOf(at.gpu, "clock", (unsigned)clock, "mhz"), out);
}

EXPORT int nvmlDeviceGetMaxClockInfo(handle device, int clock, unsigned *out) {
  CALL(nvmlDeviceGetMaxClockInfo);
  ON_WHOLE(device);
  if (clock < 0 || clock > 3) return INVALID_ARGUMENT;
  return giveUnsigned(scenarioOf(at.gpu, "clock", (unsigned)clock, "max_mhz"), out);
}

/* ---- memory and utilisation ---- */

struct memory { unsigned long long total, free, used; };
struct memory2 { unsigned version; unsigned long long total, reserved, free, used; };
_Static_assert(sizeof(struct memory) == 24 && sizeof(struct memory2) == 40, "nvmlMemory_t, nvmlMemory_v2_t");

static const struct value *memoryOf(struct target at, const char *leaf) {
  return at.isMig ? scenarioOf(at.gpu, "mig", at.mig, leaf) : OF(leaf);
}

/* What is free is the rest, unless the scenario says otherwise. */
static int memoryInto(struct target at, struct memory2 *out) {
  int code = giveLong(memoryOf(at, "memory_total"), &out->total);
  if (code == OK) code = giveLong(memoryOf(at, "memory_used"), &out->used);
  out->reserved = wholeOr(memoryOf(at, "memory_reserved"), 0);
  out->free = wholeOr(memoryOf(at, "memory_free"), out->total - out->used - out->reserved);
  return code;
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(handle device, struct memory2 *out) {
  CALL(nvmlDeviceGetMemoryInfo_v2);
  ON(device);
  NEEDS(out);
  if (out->version != 0x02000028u) return ARGUMENT_VERSION_MISMATCH;
  struct memory2 memory = { .version = out->version };
  int code = memoryInto(at, &memory);
  if (code == OK) *out = memory;
  return code;
}

/* The first version counts what is reserved among what is used. */
EXPORT int nvmlDeviceGetMemoryInfo(handle device, struct memory *out) {
  CALL(nvmlDeviceGetMemoryInfo);
  ON(device);
  NEEDS(out);
  struct memory2 memory = { 0 };
  int code = memoryInto(at, &memory);
  if (code == OK) *out = (struct memory){ memory.total, memory.free, memory.used + memory.reserved };
  return code;
}

struct rates { unsigned gpu, memory; };

EXPORT int nvmlDeviceGetUtilizationRates(handle device, struct rates *out) {
  CALL(nvmlDeviceGetUtilizationRates);
  ON_WHOLE(device);
  NEEDS(out);
  if (MIG_ON(at.gpu)) return NOT_SUPPORTED;
  struct rates rates = { 0 };
  int code = giveUnsigned(OF("util"), &rates.gpu);
  if (code != OK) return code;
  rates.memory = (unsigned)wholeOr(OF("memory_util"), 0);
  *out = rates;
  return OK;
}

#define ENGINE(name, leaf) \
  EXPORT int name(handle device, unsigned *out, unsigned *period) { \
    CALL(name); ON_WHOLE(device); NEEDS(period); \
    if (MIG_ON(at.gpu)) return NOT_SUPPORTED; \
    int code = giveUnsigned(OF(leaf), out); \
    if (code == OK) *period = (unsigned)scenarioWhole("sampling_us", 166666); \
    return code; \
  }

ENGINE(nvmlDeviceGetEncoderUtilization, "encoder_util")
ENGINE(nvmlDeviceGetDecoderUtilization, "decoder_util")
ENGINE(nvmlDeviceGetJpgUtilization, "jpeg_util")
ENGINE(nvmlDeviceGetOfaUtilization, "ofa_util")

/* ---- wear ---- */

EXPORT int nvmlDeviceGetTotalEccErrors(handle device, int kind, int counter, unsigned long long *out) {
  static const char *const LEAVES[] = { "ecc_corrected", "ecc_corrected_lifetime", "ecc_uncorrected", "ecc_uncorrected_lifetime" };
  CALL(nvmlDeviceGetTotalEccErrors);
  ON_WHOLE(device);
  if (kind < 0 || kind > 1 || counter < 0 || counter > 1) return INVALID_ARGUMENT;
  if (wholeOr(OF("ecc"), 0) == 0) return NOT_SUPPORTED;
  return giveLong(OF(LEAVES[kind * 2 + counter]), out);
}

EXPORT int nvmlDeviceGetRetiredPages_v2(handle device, int cause, unsigned *count, unsigned long long *pages, unsigned long long *times) {
  CALL(nvmlDeviceGetRetiredPages_v2);
  ON_WHOLE(device);
  NEEDS(count);
  if (cause < 0 || cause > 1) return INVALID_ARGUMENT;
  unsigned there, room = *count;
  int code = giveUnsigned(OF(cause == 0 ? "retired_corrected" : "retired_uncorrected"), &there);
  if (code != OK) return code;
  *count = there;
  if (room < there || (there > 0 && (pages == NULL || times == NULL))) return INSUFFICIENT_SIZE;
  for (unsigned i = 0; i < there; i++) {
    pages[i] = 0x1000ull * (i + 1);
    times[i] = 1700000000ull + i;
  }
  return OK;
}

EXPORT int nvmlDeviceGetRemappedRows(handle device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed) {
  CALL(nvmlDeviceGetRemappedRows);
  ON_WHOLE(device);
  NEEDS(uncorrected);
  NEEDS(pending);
  NEEDS(failed);
  if (MIG_ON(at.gpu)) return NOT_SUPPORTED;
  int code = giveUnsigned(OF("remapped_corrected"), corrected);
  if (code != OK) return code;
  *uncorrected = (unsigned)wholeOr(OF("remapped_uncorrected"), 0);
  *pending = (unsigned)wholeOr(OF("remap_pending"), 0);
  *failed = (unsigned)wholeOr(OF("remap_failed"), 0);
  return OK;
}

/* ---- ways out ---- */

/* Counted over 20 ms, in which the real one sleeps. */
EXPORT int nvmlDeviceGetPcieThroughput(handle device, int counter, unsigned *out) {
  CALL(nvmlDeviceGetPcieThroughput);
  ON_WHOLE(device);
  if (counter < 0 || counter > 1) return INVALID_ARGUMENT;
  return giveUnsigned(OF(counter == 0 ? "pcie_tx_kbps" : "pcie_rx_kbps"), out);
}

static int linkFigure(struct target at, unsigned link, const char *leaf, unsigned *out) {
  if (link >= wholeOr(OF("links"), 0)) return OF("links") == NULL ? NOT_SUPPORTED : INVALID_ARGUMENT;
  return giveUnsigned(scenarioOf(at.gpu, "link", link, leaf), out);
}

EXPORT int nvmlDeviceGetNvLinkState(handle device, unsigned link, unsigned *out) {
  CALL(nvmlDeviceGetNvLinkState);
  ON_WHOLE(device);
  return linkFigure(at, link, "state", out);
}

EXPORT int nvmlDeviceGetNvLinkVersion(handle device, unsigned link, unsigned *out) {
  CALL(nvmlDeviceGetNvLinkVersion);
  ON_WHOLE(device);
  return linkFigure(at, link, "version", out);
}

EXPORT int nvmlDeviceGetNvLinkErrorCounter(handle device, unsigned link, int counter, unsigned long long *out) {
  static const char *const LEAVES[] = { "replay", "recovery", "crc", "crc_data", "ecc" };
  CALL(nvmlDeviceGetNvLinkErrorCounter);
  ON_WHOLE(device);
  if (counter < 0 || counter > 4) return INVALID_ARGUMENT;
  if (link >= wholeOr(OF("links"), 0)) return OF("links") == NULL ? NOT_SUPPORTED : INVALID_ARGUMENT;
  return giveLong(scenarioOf(at.gpu, "link", link, LEAVES[counter]), out);
}

struct fabric1 { unsigned char cluster[16]; int status; unsigned clique; unsigned char state; };
struct fabric3 { unsigned version; unsigned char cluster[16]; int status; unsigned clique; unsigned char state; unsigned health; unsigned char summary; };
_Static_assert(sizeof(struct fabric1) == 28 && sizeof(struct fabric3) == 40, "nvmlGpuFabricInfo_t and v3");

static int fabricInto(struct target at, struct fabric3 *out) {
  unsigned state;
  int code = giveUnsigned(OF("fabric_state"), &state);
  if (code != OK) return code;
  const struct value *cluster = OF("fabric_cluster");
  if (cluster != NULL && cluster->kind == TEXT) {
    for (size_t i = 0; i < 16 && i < cluster->length; i++) out->cluster[i] = (unsigned char)cluster->text[i];
  }
  out->state = (unsigned char)state;
  out->status = (int)wholeOr(OF("fabric_status"), 0);
  out->clique = (unsigned)wholeOr(OF("fabric_clique"), 0);
  out->health = (unsigned)wholeOr(OF("fabric_health"), 0);
  return OK;
}

EXPORT int nvmlDeviceGetGpuFabricInfo(handle device, struct fabric1 *out) {
  CALL(nvmlDeviceGetGpuFabricInfo);
  ON_WHOLE(device);
  NEEDS(out);
  struct fabric3 info = { 0 };
  int code = fabricInto(at, &info);
  if (code != OK) return code;
  memcpy(out->cluster, info.cluster, sizeof out->cluster);
  out->status = info.status;
  out->clique = info.clique;
  out->state = info.state;
  return OK;
}

EXPORT int nvmlDeviceGetGpuFabricInfoV(handle device, struct fabric3 *out) {
  CALL(nvmlDeviceGetGpuFabricInfoV);
  ON_WHOLE(device);
  NEEDS(out);
  if (out->version != 0x02000024u && out->version != 0x03000028u) return ARGUMENT_VERSION_MISMATCH;
  struct fabric3 info = { .version = out->version };
  int code = fabricInto(at, &info);
  // The second version ends before the summary.
  if (code == OK) memcpy(out, &info, out->version & 0xFFFFFF);
  return code;
}
