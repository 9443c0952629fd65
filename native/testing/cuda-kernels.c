/* Modules of PTX, their kernels, events and streams. */
#include <stdio.h>
#include <string.h>
#include "cuda-double.h"

/* PTX for a card that is as new at least, or for exactly it where the target ends in a letter; with entries by name. */
static int loadPtx(struct object *module, const char *ptx, unsigned device) {
  const char *version = strstr(ptx, ".version"), *target = strstr(ptx, ".target");
  unsigned major, minor, sm;
  char exact = 0;
  if (version == NULL || target == NULL || strstr(ptx, ".address_size") == NULL) return INVALID_PTX;
  if (sscanf(version, ".version %u.%u", &major, &minor) != 2) return INVALID_PTX;
  if (sscanf(target, ".target sm_%u%c", &sm, &exact) < 1) return INVALID_PTX;
  if (major * 10 + minor > scenarioWhole("ptx_max", 99)) return UNSUPPORTED_PTX_VERSION;
  unsigned own = (unsigned)(wholeOr(scenarioOf(device, NO_PART, 0, "compute_major"), 0) * 10 +
                            wholeOr(scenarioOf(device, NO_PART, 0, "compute_minor"), 0));
  bool isExact = exact == 'a';
  if (sm > own || (isExact && sm != own)) return NO_BINARY_FOR_GPU;
  for (const char *at = ptx; (at = strstr(at, ".entry")) != NULL && module->entryCount < ENTRIES_MAX;) {
    at += 6;
    if (sscanf(at, " %127[A-Za-z0-9_$]", module->entries[module->entryCount]) == 1) module->entryCount += 1;
  }
  return module->entryCount == 0 ? INVALID_PTX : SUCCESS;
}

static int load(void **out, const void *image, unsigned device) {
  if (out == NULL || image == NULL) return wrong(INVALID_VALUE);
  struct object *module = objectMake(MODULE, device);
  if (module == NULL) return NO_MEMORY;
  int code = loadPtx(module, image, device);
  if (code != SUCCESS) module->sort = FREE_SLOT;
  else *out = handleTo(slotOf(module));
  return code;
}

EXPORT int cuModuleLoadData(void **out, const void *image) {
  IN_CONTEXT(cuModuleLoadData);
  return load(out, image, device);
}

/* Of the options only the log's buffers matter to a caller: they end where they begin. */
EXPORT int cuModuleLoadDataEx(void **out, const void *image, unsigned count, int *options, void **values) {
  IN_CONTEXT(cuModuleLoadDataEx);
  if (count > 0 && (options == NULL || values == NULL)) return wrong(INVALID_VALUE);
  for (unsigned i = 0; i < count; i++) {
    if ((options[i] == 3 || options[i] == 5) && values[i] != NULL) *(char *)values[i] = 0;
  }
  return load(out, image, device);
}

EXPORT int cuModuleUnload(void *given) {
  IN_CONTEXT(cuModuleUnload);
  (void)device;
  struct object *module = objectOf(given, MODULE);
  if (module == NULL) return wrong(INVALID_HANDLE);
  for (unsigned i = 0; i < OBJECTS_MAX; i++) {
    if (objects[i].sort == KERNEL && objects[i].module == slotOf(module)) objects[i].sort = FREE_SLOT;
  }
  module->sort = FREE_SLOT;
  return SUCCESS;
}

EXPORT int cuModuleGetFunction(void **out, void *given, const char *name) {
  IN_CONTEXT(cuModuleGetFunction);
  struct object *module = objectOf(given, MODULE);
  if (module == NULL) return wrong(INVALID_HANDLE);
  if (out == NULL || name == NULL) return wrong(INVALID_VALUE);
  for (unsigned i = 0; i < module->entryCount; i++) {
    if (strcmp(module->entries[i], name) != 0) continue;
    struct object *kernel = objectMake(KERNEL, device);
    if (kernel == NULL) return NO_MEMORY;
    kernel->module = slotOf(module);
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    *out = handleTo(slotOf(kernel));
    return SUCCESS;
  }
  return NO_SUCH_NAME;
}

EXPORT int cuFuncSetAttribute(void *given, int attribute, int value) {
  IN_CONTEXT(cuFuncSetAttribute);
  (void)device;
  (void)attribute;
  if (objectOf(given, KERNEL) == NULL) return wrong(INVALID_HANDLE);
  return value < 0 || value > 227 << 10 ? INVALID_VALUE : SUCCESS;
}

/* The slower of its arithmetic and its traffic; a kernel that the scenario does not know takes a launch alone. */
static double kernelSeconds(unsigned device, const char *name, double threads, void **parameters) {
  const struct kernel *kernel = scenarioKernel(name);
  if (kernel == NULL) return 0;
  double loops = 1;
  if (kernel->loops >= 0 && parameters != NULL && parameters[kernel->loops] != NULL) {
    uint32_t count;
    memcpy(&count, parameters[kernel->loops], sizeof count);
    loops = count;
  }
  double arithmetic = threads * loops * kernel->flops / rateOf(device, kernel->rate);
  double traffic = threads * loops * kernel->bytes / rateOf(device, "bandwidth");
  return arithmetic > traffic ? arithmetic : traffic;
}

EXPORT int cuLaunchKernel(void *given, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                          unsigned shared, void *stream, void **parameters, void **extra) {
  IN_CONTEXT(cuLaunchKernel);
  (void)extra;
  struct object *kernel = objectOf(given, KERNEL);
  if (kernel == NULL || !isStream(stream)) return wrong(INVALID_HANDLE);
  if (gx == 0 || gy == 0 || gz == 0 || bx == 0 || by == 0 || bz == 0) return wrong(INVALID_VALUE);
  if ((uint64_t)bx * by * bz > 1024 || shared > 227u << 10) return wrong(INVALID_VALUE);
  launches += 1;
  compute(device, kernel->name, (const unsigned[3]){ gx, gy, gz }, parameters);
  work(device, kernelSeconds(device, kernel->name, (double)gx * gy * gz * bx * by * bz, parameters));
  return SUCCESS;
}

EXPORT int cuEventCreate(void **out, unsigned flags) {
  IN_CONTEXT(cuEventCreate);
  if (out == NULL || flags > 7) return wrong(INVALID_VALUE);
  struct object *event = objectMake(EVENT, device);
  if (event == NULL) return NO_MEMORY;
  *out = handleTo(slotOf(event));
  return SUCCESS;
}

#define EVENT_CALL(name, given) \
  IN_CONTEXT(name); \
  (void)device; \
  struct object *event = objectOf(given, EVENT); \
  if (event == NULL) return wrong(INVALID_HANDLE)

EXPORT int cuEventDestroy_v2(void *given) {
  EVENT_CALL(cuEventDestroy_v2, given);
  event->sort = FREE_SLOT;
  return SUCCESS;
}

EXPORT int cuEventRecord(void *given, void *stream) {
  EVENT_CALL(cuEventRecord, given);
  if (!isStream(stream)) return wrong(INVALID_HANDLE);
  event->seconds = busyUntil[event->device];
  event->isRecorded = true;
  return SUCCESS;
}

EXPORT int cuEventQuery(void *given) { EVENT_CALL(cuEventQuery, given); return SUCCESS; }
EXPORT int cuEventSynchronize(void *given) { EVENT_CALL(cuEventSynchronize, given); return SUCCESS; }

static int elapsed(float *out, void *from, void *to) {
  const struct object *start = objectOf(from, EVENT), *end = objectOf(to, EVENT);
  if (out == NULL) return wrong(INVALID_VALUE);
  if (start == NULL || end == NULL || !start->isRecorded || !end->isRecorded) return wrong(INVALID_HANDLE);
  *out = (float)((end->seconds - start->seconds) * 1000);
  return SUCCESS;
}

EXPORT int cuEventElapsedTime(float *out, void *from, void *to) { IN_CONTEXT(cuEventElapsedTime); (void)device; return elapsed(out, from, to); }
EXPORT int cuEventElapsedTime_v2(float *out, void *from, void *to) { IN_CONTEXT(cuEventElapsedTime_v2); (void)device; return elapsed(out, from, to); }

EXPORT int cuStreamCreate(void **out, unsigned flags) {
  IN_CONTEXT(cuStreamCreate);
  if (out == NULL || flags > 1) return wrong(INVALID_VALUE);
  struct object *stream = objectMake(STREAM, device);
  if (stream == NULL) return NO_MEMORY;
  *out = handleTo(slotOf(stream));
  return SUCCESS;
}

EXPORT int cuStreamSynchronize(void *stream) {
  IN_CONTEXT(cuStreamSynchronize);
  (void)device;
  return isStream(stream) ? SUCCESS : wrong(INVALID_HANDLE);
}

EXPORT int cuStreamDestroy_v2(void *given) {
  IN_CONTEXT(cuStreamDestroy_v2);
  (void)device;
  struct object *stream = objectOf(given, STREAM);
  if (stream == NULL) return wrong(INVALID_HANDLE);
  stream->sort = FREE_SLOT;
  return SUCCESS;
}
