/*
 * A stand-in for the vendor's libnvidia-ml.so.1: this file has its lifecycle, the frame of each call with its faults and
 * counts, handles, and what is asked of the system. What the cards are and do stands in a scenario (README.md).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include "nvml-double.h"

#define GPUS_MAX 64
#define GENERATION_BITS 10

static uint64_t calls[FUNCTIONS];
static unsigned references, generation;
static uint64_t misuses, inits, leakedSets, leakedSamples;
static char lastMisuse[128], ownDriver[80];
/* The GPUs in their order, as nvmlInit found them. */
static unsigned enumerated[GPUS_MAX];
static size_t enumeratedCount;

static const char *const NAMES[] = {
#define NAMED(name) #name,
  NVML_FUNCTIONS(NAMED)
#undef NAMED
};

int misuse(const char *what) {
  misuses += 1;
  snprintf(lastMisuse, sizeof lastMisuse, "%s", what);
  return INVALID_ARGUMENT;
}

/* ---- the report ---- */

static size_t reportInto(char *out, size_t size) {
  size_t used = (size_t)snprintf(out, size,
    "{\"references\":%u,\"inits\":%llu,\"eventSets\":%u,\"gpmSamples\":%u,\"eventSetsLeaked\":%llu,"
    "\"gpmSamplesLeaked\":%llu,\"eventsDropped\":%llu,\"misuses\":%llu,\"lastMisuse\":\"%s\",\"calls\":{",
    references, (unsigned long long)inits, eventSetsOpen(), gpmSamplesOpen(), (unsigned long long)leakedSets,
    (unsigned long long)leakedSamples, (unsigned long long)eventsDropped(), (unsigned long long)misuses, lastMisuse);
  const char *comma = "";
  for (size_t i = 0; i < FUNCTIONS && used < size; i++) {
    if (calls[i] == 0) continue;
    used += (size_t)snprintf(out + used, size - used, "%s\"%s\":%llu", comma, NAMES[i], (unsigned long long)calls[i]);
    comma = ",";
  }
  if (used < size) used += (size_t)snprintf(out + used, size - used, "}}\n");
  return used;
}

static void writeReport(void) {
  char text[16384];
  reportWrite("report", text, reportInto(text, sizeof text));
}

/* Not of NVML: the counts of this library in this process, as JSON. Reads the scenario again first. */
EXPORT const char *infermeshDoubleReport(void) {
  static char text[16384];
  callsLock();
  if (scenarioRefresh()) scenarioChanged();
  reportInto(text, sizeof text);
  callsUnlock();
  return text;
}

void scenarioChanged(void) {
  eventsSettle();
  writeReport();
}

__attribute__((destructor)) static void atExit(void) {
  writeReport();
}

/* ---- the frame of a call ---- */

/* A library keeps the version that it was loaded as; a driver that has changed since does not talk to it. */
static bool isStale(void) {
  const struct value *driver = scenarioGet("driver");
  if (driver == NULL || driver->kind != TEXT) return false;
  if (ownDriver[0] == 0) snprintf(ownDriver, sizeof ownDriver, "%s", driver->text);
  return strncmp(ownDriver, driver->text, sizeof ownDriver - 1) != 0;
}

struct call callBegin(enum function function, bool needsInit) {
  callsLock();
  struct call call = { .function = function };
  if (scenarioRefresh()) scenarioChanged();
  calls[function] += 1;
  call.isOver = true;
  if (needsInit && references == 0) {
    misuse(NAMES[function]);
    call.code = UNINITIALIZED;
  } else if (!faultsPlay(-1, NAMES[function], calls[function], &call.code)) {
    call.code = function != CALL_nvmlShutdown && isStale() ? VERSION_MISMATCH : OK;
    call.isOver = call.code != OK;
  }
  return call;
}

void callEnd(struct call *call) {
  (void)call;
  callsUnlock();
}

/* ---- handles ---- */

handle handleOf(enum object object, unsigned first, unsigned second) {
  uint64_t word = 0x700000000000u | (uint64_t)object << 40 | (uint64_t)(generation % (1u << GENERATION_BITS)) << 30 |
    (uint64_t)first << 14 | (uint64_t)second << 4;
  return (handle)(uintptr_t)word;
}

bool handleRead(handle given, enum object object, unsigned *first, unsigned *second) {
  uint64_t word = (uint64_t)(uintptr_t)given;
  *first = (unsigned)(word >> 14) & 0xFFFF;
  *second = (unsigned)(word >> 4) & 0x3FF;
  return given == handleOf(object, *first, *second);
}

static size_t enumerate(unsigned *out) {
  const struct value *present = scenarioGet("present");
  size_t count = 0;
  if (present == NULL || present->kind != TEXT) {
    size_t gpus = (size_t)scenarioWhole("gpus", 0);
    for (; count < gpus && count < GPUS_MAX; count++) out[count] = (unsigned)count;
    return count;
  }
  const char *at = present->text;
  int used;
  while (count < GPUS_MAX && sscanf(at, "%u%n", &out[count], &used) == 1) {
    at += used;
    count += 1;
  }
  return count;
}

/* `enumerate = "init"`: a GPU put in later is not seen before the next nvmlInit. */
static void enumerateAgain(bool isInit) {
  const struct value *when = scenarioGet("enumerate");
  if (isInit || when == NULL || when->kind != TEXT || strcmp(when->text, "init") != 0) {
    enumeratedCount = enumerate(enumerated);
  }
}

bool gpuIsThere(unsigned gpu) {
  unsigned now[GPUS_MAX];
  size_t count = enumerate(now);
  for (size_t i = 0; i < count; i++) {
    if (now[i] == gpu) return true;
  }
  return false;
}

int gpuState(unsigned gpu) {
  if (!gpuIsThere(gpu)) return GPU_IS_LOST;
  switch (wholeOr(scenarioOf(gpu, NO_PART, 0, "state"), 0)) {
    case 1: return GPU_IS_LOST;
    case 2: return RESET_REQUIRED;
    case 3: return NO_PERMISSION;
    default: return OK;
  }
}

int deviceOf(struct call *call, handle given, struct target *target) {
  *target = (struct target){ 0 };
  if (!handleRead(given, DEVICE, &target->gpu, &target->mig)) {
    if (!handleRead(given, MIG_DEVICE, &target->gpu, &target->mig)) return misuse(NAMES[call->function]);
    target->isMig = true;
  }
  int code;
  if (faultsPlay((int)target->gpu, NAMES[call->function], calls[call->function], &code)) return code == OK ? SILENCE : code;
  code = gpuState(target->gpu);
  if (code == OK && target->isMig && !migIsThere(target->gpu, target->mig)) return INVALID_ARGUMENT;
  return code;
}

/* ---- lifecycle ---- */

static int initialise(void) {
  if (!scenarioExists()) return DRIVER_NOT_LOADED;
  const struct value *init = scenarioGet("init");
  if (init != NULL && init->kind == FAILURE) return init->code;
  if (references == 0) {
    generation += 1;
    enumerateAgain(true);
  }
  references += 1;
  inits += 1;
  return OK;
}

EXPORT int nvmlInit_v2(void) { FRAME(nvmlInit_v2, false); return initialise(); }
EXPORT int nvmlInit(void) { FRAME(nvmlInit, false); return initialise(); }
EXPORT int nvmlInitWithFlags(unsigned flags) {
  FRAME(nvmlInitWithFlags, false);
  return flags > 3 ? INVALID_ARGUMENT : initialise();
}

EXPORT int nvmlShutdown(void) {
  FRAME(nvmlShutdown, true);
  references -= 1;
  if (references == 0) {
    leakedSets += eventSetsOpen();
    leakedSamples += gpmSamplesOpen();
    eventsForget();
    gpmForget();
  }
  writeReport();
  return OK;
}

EXPORT const char *nvmlErrorString(int code) {
  static const char *const TEXTS[] = {
    "The operation was successful", "Uninitialized", "Invalid Argument", "Not Supported", "Insufficient Permissions",
    "Already Initialized", "Not Found", "Insufficient Size", "Insufficient External Power", "Driver Not Loaded",
    "Timeout", "Interrupt Request Issue", "NVML Shared Library Not Found", "Function Not Found", "Corrupted infoROM",
    "GPU is lost", "GPU requires reset", "GPU access blocked by the operating system", "Driver/library version mismatch",
    "In use", "Insufficient Memory", "No data", "VGPU ECC not supported", "Insufficient resources",
    "Frequency not supported", "Argument version mismatch", "Deprecated", "Not ready", "GPU not found",
    "Invalid state", "Reset type not supported",
  };
  callsLock();
  calls[CALL_nvmlErrorString] += 1;
  callsUnlock();
  return code >= 0 && (size_t)code < sizeof TEXTS / sizeof *TEXTS ? TEXTS[code] : "Unknown Error";
}

/* ---- the system ---- */

EXPORT int nvmlSystemGetDriverVersion(char *out, unsigned length) {
  CALL(nvmlSystemGetDriverVersion);
  return giveText(scenarioGet("driver"), 0, out, length);
}

EXPORT int nvmlSystemGetNVMLVersion(char *out, unsigned length) {
  // Works before nvmlInit, as the real one does.
  FRAME(nvmlSystemGetNVMLVersion, false);
  return giveText(scenarioGet("nvml"), 0, out, length);
}

EXPORT int nvmlSystemGetCudaDriverVersion(int *out) {
  FRAME(nvmlSystemGetCudaDriverVersion, false);
  return giveUnsigned(scenarioGet("cuda"), (unsigned *)out);
}

EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *out) {
  FRAME(nvmlSystemGetCudaDriverVersion_v2, false);
  return giveUnsigned(scenarioGet("cuda"), (unsigned *)out);
}

EXPORT int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned length) {
  CALL(nvmlSystemGetProcessName);
  char path[64], name[4096] = "";
  NEEDS(out);
  if (length == 0) return misuse("no room");
  snprintf(path, sizeof path, "/proc/%u/cmdline", pid);
  FILE *stream = fopen(path, "re");
  if (stream == NULL) return NOT_FOUND;
  name[fread(name, 1, sizeof name - 1, stream)] = 0;
  fclose(stream);
  snprintf(out, length, "%s", name);
  return OK;
}

static int count(unsigned *out) {
  NEEDS(out);
  enumerateAgain(false);
  *out = (unsigned)enumeratedCount;
  return OK;
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *out) { CALL(nvmlDeviceGetCount_v2); return count(out); }
EXPORT int nvmlDeviceGetCount(unsigned *out) { CALL(nvmlDeviceGetCount); return count(out); }

static int giveHandle(struct call *call, unsigned gpu, handle *out) {
  struct target at;
  int code = deviceOf(call, handleOf(DEVICE, gpu, 0), &at);
  if (code != OK) return code;
  *out = handleOf(DEVICE, gpu, 0);
  return OK;
}

static int handleByIndex(struct call *call, unsigned index, handle *out) {
  NEEDS(out);
  enumerateAgain(false);
  if (index >= enumeratedCount) return INVALID_ARGUMENT;
  return giveHandle(call, enumerated[index], out);
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *out) {
  CALL(nvmlDeviceGetHandleByIndex_v2);
  return handleByIndex(&call, index, out);
}

EXPORT int nvmlDeviceGetHandleByIndex(unsigned index, handle *out) {
  CALL(nvmlDeviceGetHandleByIndex);
  return handleByIndex(&call, index, out);
}

/* The first GPU whose text it is. */
static int handleByText(struct call *call, const char *leaf, const char *text, handle *out) {
  NEEDS(out);
  NEEDS(text);
  char own[128];
  enumerateAgain(false);
  for (size_t i = 0; i < enumeratedCount; i++) {
    unsigned gpu = enumerated[i];
    if (giveText(scenarioOf(gpu, NO_PART, 0, leaf), gpu, own, sizeof own) == OK && strcasecmp(own, text) == 0) {
      return giveHandle(call, gpu, out);
    }
  }
  return NOT_FOUND;
}

EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, handle *out) {
  CALL(nvmlDeviceGetHandleByUUID);
  return handleByText(&call, "uuid", uuid, out);
}

EXPORT int nvmlDeviceGetHandleBySerial(const char *serial, handle *out) {
  CALL(nvmlDeviceGetHandleBySerial);
  return handleByText(&call, "serial", serial, out);
}

EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *pci, handle *out) {
  CALL(nvmlDeviceGetHandleByPciBusId_v2);
  return handleByText(&call, "pci", pci, out);
}

EXPORT int nvmlDeviceGetIndex(handle device, unsigned *out) {
  CALL(nvmlDeviceGetIndex);
  ON(device);
  NEEDS(out);
  enumerateAgain(false);
  for (size_t i = 0; i < enumeratedCount; i++) {
    if (enumerated[i] != at.gpu) continue;
    *out = at.isMig ? at.mig : (unsigned)i;
    return OK;
  }
  return GPU_IS_LOST;
}
