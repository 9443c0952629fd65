/*
 * A stand-in for the driver's libcuda.so.1, as far as a benchmark of memory and arithmetic calls it. Hardly anything is
 * computed (cuda-arithmetic.c): each piece of work takes the time that the scenario's rates make of it, on a clock of the device's own, and events read
 * that clock. Large memory is addresses only; kernels are those of the scenario's `kernel` lines (README.md).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cuda-double.h"

static const char *const NAMES[] = {
#define NAMED(name) #name,
  CUDA_FUNCTIONS(NAMED)
#undef NAMED
};

uint64_t launches;
static uint64_t calls[CUDA_CALLS], misuses;
static bool isInitialised;
struct object objects[OBJECTS_MAX];
unsigned retained[DEVICES_MAX];
uint64_t allocated[DEVICES_MAX];
/* Until when each device has work, in seconds of its own. */
double busyUntil[DEVICES_MAX];
_Thread_local unsigned current; /* the device of the current context, plus one */

/* ---- the frame ---- */

static size_t countOf(enum sort sort) {
  size_t count = 0;
  for (size_t i = 0; i < OBJECTS_MAX; i++) count += objects[i].sort == sort;
  return count;
}

static size_t reportInto(char *out, size_t size) {
  unsigned contexts = 0;
  for (size_t i = 0; i < DEVICES_MAX; i++) contexts += retained[i];
  size_t used = (size_t)snprintf(out, size,
    "{\"contexts\":%u,\"memories\":%zu,\"modules\":%zu,\"events\":%zu,\"streams\":%zu,\"launches\":%llu,\"misuses\":%llu,\"calls\":{",
    contexts, countOf(MEMORY) + countOf(HOST_MEMORY), countOf(MODULE), countOf(EVENT), countOf(STREAM),
    (unsigned long long)launches, (unsigned long long)misuses);
  const char *comma = "";
  for (size_t i = 0; i < CUDA_CALLS && used < size; i++) {
    if (calls[i] == 0) continue;
    used += (size_t)snprintf(out + used, size - used, "%s\"%s\":%llu", comma, NAMES[i], (unsigned long long)calls[i]);
    comma = ",";
  }
  if (used < size) used += (size_t)snprintf(out + used, size - used, "}}\n");
  return used;
}

static void writeReport(void) {
  char text[8192];
  reportWrite("cuda_report", text, reportInto(text, sizeof text));
}

void scenarioChanged(void) { writeReport(); }

EXPORT const char *infermeshDoubleReport(void) {
  static char text[8192];
  callsLock();
  scenarioRefresh();
  reportInto(text, sizeof text);
  callsUnlock();
  return text;
}

__attribute__((destructor)) static void atExit(void) { writeReport(); }

struct frame frameBegin(enum cudaFunction function, bool needsInit) {
  callsLock();
  if (scenarioRefresh()) scenarioChanged();
  calls[function] += 1;
  struct frame frame = { .isOver = true };
  if (needsInit && !isInitialised) {
    misuses += 1;
    frame.code = NOT_INITIALIZED;
  } else if (!faultsPlay(-1, NAMES[function], calls[function], &frame.code)) {
    frame.isOver = false;
  }
  return frame;
}

void frameEnd(struct frame *frame) {
  (void)frame;
  callsUnlock();
}

int wrong(int code) {
  misuses += 1;
  return code;
}

int misuse(const char *what) {
  (void)what;
  return wrong(INVALID_VALUE);
}

static unsigned deviceCount(void) {
  uint64_t count = scenarioWhole("gpus", 0);
  return count > DEVICES_MAX ? DEVICES_MAX : (unsigned)count;
}

/* CUDA tells of a card that is gone as of an unknown error; of its ECC errors by their own code. */
int stateOf(unsigned device) {
  return wholeOr(scenarioOf(device, NO_PART, 0, "state"), 0) == 0 ? SUCCESS : 999;
}

double rateOf(unsigned device, const char *leaf) {
  const struct value *value = scenarioOf(device, NO_PART, 0, leaf);
  double rate = value == NULL || value->kind == FAILURE || value->kind == TEXT ? 0 : valueReal(value);
  return rate > 0 ? rate : 1;
}

/* The work begins when what was asked before is done. */
void work(unsigned device, double seconds) {
  busyUntil[device] += seconds + (double)wholeOr(scenarioOf(device, NO_PART, 0, "launch_ns"), 0) / 1e9;
}

/* ---- objects ---- */

void *handleTo(unsigned slot) {
  return (void *)(uintptr_t)(0x600000000000u | (uint64_t)objects[slot].sort << 40 | (uint64_t)objects[slot].turn << 16 | slot << 4 | 8);
}

struct object *objectOf(const void *given, enum sort sort) {
  unsigned slot = (unsigned)((uintptr_t)given >> 4) & (OBJECTS_MAX - 1);
  return objects[slot].sort == sort && handleTo(slot) == given ? &objects[slot] : NULL;
}

struct object *objectMake(enum sort sort, unsigned device) {
  for (unsigned i = 0; i < OBJECTS_MAX; i++) {
    if (objects[i].sort != FREE_SLOT) continue;
    objects[i] = (struct object){ .sort = sort, .turn = (objects[i].turn + 1) & 0xFFFFFF, .device = device };
    return &objects[i];
  }
  return NULL;
}

unsigned slotOf(const struct object *object) { return (unsigned)(object - objects); }

/* The memory in which all of these bytes lie. */
struct object *memoryAt(uint64_t address, uint64_t size) {
  for (unsigned i = 0; i < OBJECTS_MAX; i++) {
    struct object *it = &objects[i];
    if (it->sort == MEMORY && address >= it->address && address - it->address <= it->size &&
        size <= it->size - (address - it->address)) return it;
  }
  return NULL;
}

/* ---- the driver and its devices ---- */

EXPORT int cuInit(unsigned flags) {
  FRAME_OF(cuInit, false);
  if (flags != 0) return wrong(INVALID_VALUE);
  if (!scenarioExists() || deviceCount() == 0) return NO_DEVICE;
  const struct value *init = scenarioGet("cuda_init");
  if (init != NULL && init->kind == FAILURE) return init->code;
  isInitialised = true;
  return SUCCESS;
}

EXPORT int cuDriverGetVersion(int *out) {
  FRAME_OF(cuDriverGetVersion, false);
  if (out == NULL) return wrong(INVALID_VALUE);
  *out = (int)scenarioWhole("cuda", 0);
  return SUCCESS;
}

static const struct { int code; const char *name, *text; } ERRORS[] = {
  { 0, "CUDA_SUCCESS", "no error" }, { 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
  { 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" }, { 3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error" },
  { 100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected" },
  { 101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal" },
  { 200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid" },
  { 201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context" },
  { 209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device" },
  { 214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered" },
  { 218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed" },
  { 222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the provided PTX was compiled with an unsupported toolchain." },
  { 400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle" },
  { 500, "CUDA_ERROR_NOT_FOUND", "named symbol not found" }, { 600, "CUDA_ERROR_NOT_READY", "device not ready" },
  { 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered" },
  { 701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch" },
  { 719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure" },
  { 803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination" },
  { 999, "CUDA_ERROR_UNKNOWN", "unknown error" },
};

/* An address of a text that is for ever; NULL, and an error, for a code that is none. */
static int errorText(int code, bool isName, const char **out) {
  if (out == NULL) return wrong(INVALID_VALUE);
  for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++) {
    if (ERRORS[i].code != code) continue;
    *out = isName ? ERRORS[i].name : ERRORS[i].text;
    return SUCCESS;
  }
  *out = NULL;
  return INVALID_VALUE;
}

EXPORT int cuGetErrorString(int code, const char **out) { FRAME_OF(cuGetErrorString, false); return errorText(code, false, out); }
EXPORT int cuGetErrorName(int code, const char **out) { FRAME_OF(cuGetErrorName, false); return errorText(code, true, out); }

EXPORT int cuDeviceGetCount(int *out) {
  CUDA(cuDeviceGetCount);
  if (out == NULL) return wrong(INVALID_VALUE);
  *out = (int)deviceCount();
  return SUCCESS;
}

EXPORT int cuDeviceGet(int *out, int ordinal) {
  CUDA(cuDeviceGet);
  if (out == NULL) return wrong(INVALID_VALUE);
  if (ordinal < 0 || (unsigned)ordinal >= deviceCount()) return INVALID_DEVICE;
  *out = ordinal;
  return SUCCESS;
}

#define ON_DEVICE(name, out) \
  CUDA(name); \
  if ((out) == NULL) return wrong(INVALID_VALUE); \
  if (device < 0 || (unsigned)device >= deviceCount()) return wrong(INVALID_DEVICE)
#define OF(leaf) scenarioOf((unsigned)device, NO_PART, 0, leaf)

/* Cut to its length, unlike NVML's. */
EXPORT int cuDeviceGetName(char *out, int length, int device) {
  ON_DEVICE(cuDeviceGetName, out);
  char text[512] = "";
  if (length < 1) return wrong(INVALID_VALUE);
  if (giveText(OF("name"), (unsigned)device, text, sizeof text) != OK) return 999;
  snprintf(out, (size_t)length, "%s", text);
  return SUCCESS;
}

EXPORT int cuDeviceGetPCIBusId(char *out, int length, int device) {
  ON_DEVICE(cuDeviceGetPCIBusId, out);
  char text[32] = "";
  unsigned domain, bus, slot, function;
  if (giveText(OF("pci"), (unsigned)device, text, sizeof text) != OK) return 999;
  if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) return 999;
  if (length < 13) return wrong(INVALID_VALUE);
  snprintf(out, (size_t)length, "%04X:%02X:%02X.%X", domain, bus, slot, function);
  return SUCCESS;
}

/* The 16 bytes of "GPU-6a0f1c2e-...". */
static int uuidInto(int device, unsigned char *out) {
  char text[96] = "";
  unsigned count = 0;
  if (giveText(OF("uuid"), (unsigned)device, text, sizeof text) != OK || strncmp(text, "GPU-", 4) != 0) return 999;
  for (const char *at = text + 4; *at != 0 && count < 16; at++) {
    unsigned byte;
    if (*at == '-' || sscanf(at, "%2x", &byte) != 1) continue;
    out[count++] = (unsigned char)byte;
    at += 1;
  }
  return count == 16 ? SUCCESS : 999;
}

EXPORT int cuDeviceGetUuid_v2(unsigned char *out, int device) { ON_DEVICE(cuDeviceGetUuid_v2, out); return uuidInto(device, out); }
EXPORT int cuDeviceGetUuid(unsigned char *out, int device) { ON_DEVICE(cuDeviceGetUuid, out); return uuidInto(device, out); }

uint64_t totalOf(int device) {
  return wholeOr(OF("memory_total"), 0) - wholeOr(OF("memory_reserved"), 0);
}

EXPORT int cuDeviceTotalMem_v2(size_t *out, int device) {
  ON_DEVICE(cuDeviceTotalMem_v2, out);
  *out = totalOf(device);
  return SUCCESS;
}

EXPORT int cuDeviceGetAttribute(int *out, int attribute, int device) {
  ON_DEVICE(cuDeviceGetAttribute, out);
  unsigned domain = 0, bus = 0, slot = 0;
  char pci[32] = "";
  if (giveText(OF("pci"), (unsigned)device, pci, sizeof pci) == OK) sscanf(pci, "%x:%x:%x", &domain, &bus, &slot);
  switch (attribute) {
    case 1: *out = 1024; break;                                               /* threads a block */
    case 8: *out = 49152; break;                                              /* shared memory a block */
    case 10: *out = 32; break;                                                /* threads a warp */
    case 12: *out = 65536; break;                                             /* registers a block */
    case 13: *out = (int)wholeOr(scenarioOf((unsigned)device, "clock", 1, "max_mhz"), 0) * 1000; break;      /* kHz */
    case 16: *out = (int)wholeOr(OF("multiprocessors"), 1); break;
    case 33: *out = (int)bus; break;
    case 34: *out = (int)slot; break;
    case 36: *out = (int)wholeOr(scenarioOf((unsigned)device, "clock", 2, "max_mhz"), 0) * 1000; break;
    case 37: *out = (int)wholeOr(OF("memory_bus_bits"), 0); break;
    case 38: *out = 50 << 20; break;                                          /* L2 cache */
    case 39: *out = 2048; break;                                              /* threads a multiprocessor */
    case 50: *out = (int)domain; break;
    case 75: *out = (int)wholeOr(OF("compute_major"), 0); break;
    case 76: *out = (int)wholeOr(OF("compute_minor"), 0); break;
    case 81: *out = 228 << 10; break;                                         /* shared memory a multiprocessor */
    case 97: *out = 227 << 10; break;                                         /* shared memory a block, asked for */
    default:
      if (attribute < 1 || attribute > 160) return wrong(INVALID_VALUE);
      *out = 0;
  }
  return SUCCESS;
}

bool isStream(const void *stream) {
  return (uintptr_t)stream <= 2 || objectOf(stream, STREAM) != NULL;
}

/* ---- contexts ---- */

static void *contextOf(unsigned device) { return (void *)(uintptr_t)(0x500000000000u | (uint64_t)(device + 1) << 12); }

EXPORT int cuDevicePrimaryCtxRetain(void **out, int device) {
  ON_DEVICE(cuDevicePrimaryCtxRetain, out);
  int code = stateOf((unsigned)device);
  if (code != SUCCESS) return code;
  retained[device] += 1;
  *out = contextOf((unsigned)device);
  return SUCCESS;
}

/* With the last hold on it, all that was made in it goes. */
EXPORT int cuDevicePrimaryCtxRelease_v2(int device) {
  CUDA(cuDevicePrimaryCtxRelease_v2);
  if (device < 0 || (unsigned)device >= DEVICES_MAX || retained[device] == 0) return wrong(INVALID_CONTEXT);
  retained[device] -= 1;
  if (retained[device] > 0) return SUCCESS;
  for (unsigned i = 0; i < OBJECTS_MAX; i++) {
    if (objects[i].sort == FREE_SLOT || objects[i].device != (unsigned)device) continue;
    free(objects[i].host);
    objects[i].host = NULL;
    objects[i].sort = FREE_SLOT;
  }
  allocated[device] = 0;
  return SUCCESS;
}

EXPORT int cuCtxSetCurrent(void *context) {
  CUDA(cuCtxSetCurrent);
  current = 0;
  if (context == NULL) return SUCCESS;
  for (unsigned i = 0; i < DEVICES_MAX; i++) {
    if (contextOf(i) != context || retained[i] == 0) continue;
    current = i + 1;
    return SUCCESS;
  }
  return wrong(INVALID_CONTEXT);
}

EXPORT int cuCtxGetCurrent(void **out) {
  CUDA(cuCtxGetCurrent);
  if (out == NULL) return wrong(INVALID_VALUE);
  *out = current == 0 ? NULL : contextOf(current - 1);
  return SUCCESS;
}

EXPORT int cuCtxSynchronize(void) { IN_CONTEXT(cuCtxSynchronize); (void)device; return SUCCESS; }
