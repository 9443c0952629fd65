/* Cards that are cut into instances: MIG devices at sparse indices, their GPU and compute instances, and profiles. */
#include <string.h>
#include "nvml-double.h"

#define OF(leaf) scenarioOf(at.gpu, NO_PART, 0, leaf)
#define PROFILES 18

unsigned migMode(unsigned gpu) {
  return (unsigned)wholeOr(scenarioOf(gpu, NO_PART, 0, "mig"), 0);
}

unsigned migInstance(unsigned gpu, unsigned index, const char *which) {
  return (unsigned)wholeOr(scenarioOf(gpu, "mig", index, which), 0);
}

/* A MIG device is there when the scenario gives it a GPU instance. */
bool migIsThere(unsigned gpu, unsigned index) {
  const struct value *instance = scenarioOf(gpu, "mig", index, "gi");
  return migMode(gpu) == 1 && instance != NULL && instance->kind != FAILURE;
}

EXPORT int nvmlDeviceGetMigMode(handle device, unsigned *current, unsigned *pending) {
  CALL(nvmlDeviceGetMigMode);
  ON_WHOLE(device);
  NEEDS(pending);
  int code = giveUnsigned(OF("mig"), current);
  if (code == OK) *pending = (unsigned)wholeOr(OF("mig_pending"), migMode(at.gpu));
  return code;
}

EXPORT int nvmlDeviceGetMaxMigDeviceCount(handle device, unsigned *out) {
  CALL(nvmlDeviceGetMaxMigDeviceCount);
  ON(device);
  NEEDS(out);
  *out = !at.isMig && MIG_ON(at.gpu) ? (unsigned)wholeOr(OF("mig_max"), 7) : 0;
  return OK;
}

EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(handle device, unsigned index, handle *out) {
  CALL(nvmlDeviceGetMigDeviceHandleByIndex);
  ON_WHOLE(device);
  NEEDS(out);
  if (!MIG_ON(at.gpu)) return NOT_SUPPORTED;
  if (index >= wholeOr(OF("mig_max"), 7)) return INVALID_ARGUMENT;
  if (!migIsThere(at.gpu, index)) return NOT_FOUND;
  *out = handleOf(MIG_DEVICE, at.gpu, index);
  return OK;
}

EXPORT int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle device, handle *out) {
  CALL(nvmlDeviceGetDeviceHandleFromMigDeviceHandle);
  ON(device);
  NEEDS(out);
  if (!at.isMig) return INVALID_ARGUMENT;
  *out = handleOf(DEVICE, at.gpu, 0);
  return OK;
}

EXPORT int nvmlDeviceIsMigDeviceHandle(handle device, unsigned *out) {
  CALL(nvmlDeviceIsMigDeviceHandle);
  ON(device);
  NEEDS(out);
  *out = at.isMig;
  return OK;
}

EXPORT int nvmlDeviceGetGpuInstanceId(handle device, unsigned *out) {
  CALL(nvmlDeviceGetGpuInstanceId);
  ON(device);
  return at.isMig ? giveUnsigned(scenarioOf(at.gpu, "mig", at.mig, "gi"), out) : NOT_SUPPORTED;
}

EXPORT int nvmlDeviceGetComputeInstanceId(handle device, unsigned *out) {
  CALL(nvmlDeviceGetComputeInstanceId);
  ON(device);
  return at.isMig ? giveUnsigned(scenarioOf(at.gpu, "mig", at.mig, "ci"), out) : NOT_SUPPORTED;
}

struct attributes {
  unsigned multiprocessors, copyEngines, decoders, encoders, jpegs, ofas, gpuSlices, computeSlices;
  unsigned long long memoryMib;
};
_Static_assert(sizeof(struct attributes) == 40, "nvmlDeviceAttributes_t");

EXPORT int nvmlDeviceGetAttributes_v2(handle device, struct attributes *out) {
  CALL(nvmlDeviceGetAttributes_v2);
  ON(device);
  NEEDS(out);
  if (!at.isMig) return NOT_SUPPORTED;
  struct attributes attributes = { .copyEngines = 1, .decoders = 1 };
  int code = giveUnsigned(scenarioOf(at.gpu, "mig", at.mig, "sms"), &attributes.multiprocessors);
  if (code != OK) return code;
  attributes.gpuSlices = migInstance(at.gpu, at.mig, "gi_slices");
  attributes.computeSlices = migInstance(at.gpu, at.mig, "ci_slices");
  attributes.memoryMib = wholeOr(scenarioOf(at.gpu, "mig", at.mig, "memory_mib"), 0);
  *out = attributes;
  return OK;
}

EXPORT int nvmlDeviceGetGpuInstanceById(handle device, unsigned id, handle *out) {
  CALL(nvmlDeviceGetGpuInstanceById);
  ON_WHOLE(device);
  NEEDS(out);
  if (!MIG_ON(at.gpu)) return NOT_SUPPORTED;
  const struct value *profile = scenarioOf(at.gpu, "gi", id, "profile");
  if (profile == NULL) return NOT_FOUND;
  if (profile->kind == FAILURE) return profile->code;
  *out = handleOf(GPU_INSTANCE, at.gpu, id);
  return OK;
}

struct instance { handle device; unsigned id, profile, start, size; };
_Static_assert(sizeof(struct instance) == 24, "nvmlGpuInstanceInfo_t");

EXPORT int nvmlGpuInstanceGetInfo(handle instance, struct instance *out) {
  CALL(nvmlGpuInstanceGetInfo);
  unsigned gpu, id;
  if (!handleRead(instance, GPU_INSTANCE, &gpu, &id)) return misuse("nvmlGpuInstanceGetInfo");
  NEEDS(out);
  int code = gpuState(gpu);
  if (code != OK) return code;
  struct instance info = { .device = handleOf(DEVICE, gpu, 0), .id = id };
  code = giveUnsigned(scenarioOf(gpu, "gi", id, "profile"), &info.profile);
  if (code != OK) return code;
  info.start = (unsigned)wholeOr(scenarioOf(gpu, "gi", id, "start"), 0);
  info.size = (unsigned)wholeOr(scenarioOf(gpu, "gi", id, "size"), 1);
  *out = info;
  return OK;
}

/* Of the first version, and of the second from `id` on but for the hole before the memory. */
struct profile1 {
  unsigned id, isP2p, slices, instances, multiprocessors, copyEngines, decoders, encoders, jpegs, ofas;
  unsigned long long memoryMib;
};
struct profile2 {
  unsigned version, id, isP2p, slices, instances, multiprocessors, copyEngines, decoders, encoders, jpegs, ofas;
  unsigned long long memoryMib;
  char name[96];
};
/* Without peer-to-peer support among its fields, and with capabilities behind them. */
struct profile3 {
  unsigned version, id, slices, instances, multiprocessors, copyEngines, decoders, encoders, jpegs, ofas;
  unsigned long long memoryMib;
  char name[96];
  unsigned capabilities;
};
_Static_assert(sizeof(struct profile1) == 48 && sizeof(struct profile2) == 152 && sizeof(struct profile3) == 152,
               "nvmlGpuInstanceProfileInfo_t, v2, v3");

static int profileInto(struct target at, unsigned profile, struct profile2 *out) {
  if (!MIG_ON(at.gpu)) return NOT_SUPPORTED;
  if (profile >= PROFILES) return INVALID_ARGUMENT;
  int code = giveUnsigned(scenarioOf(at.gpu, "profile", profile, "id"), &out->id);
  if (code != OK) return code;
  out->slices = (unsigned)wholeOr(scenarioOf(at.gpu, "profile", profile, "slices"), 1);
  out->instances = (unsigned)wholeOr(scenarioOf(at.gpu, "profile", profile, "instances"), 1);
  out->multiprocessors = (unsigned)wholeOr(scenarioOf(at.gpu, "profile", profile, "sms"), 0);
  out->memoryMib = wholeOr(scenarioOf(at.gpu, "profile", profile, "memory_mib"), 0);
  out->copyEngines = out->decoders = 1;
  const struct value *name = scenarioOf(at.gpu, "profile", profile, "name");
  return name == NULL ? OK : giveText(name, at.gpu, out->name, sizeof out->name);
}

EXPORT int nvmlDeviceGetGpuInstanceProfileInfo(handle device, unsigned profile, struct profile1 *out) {
  CALL(nvmlDeviceGetGpuInstanceProfileInfo);
  ON_WHOLE(device);
  NEEDS(out);
  struct profile2 info = { 0 };
  int code = profileInto(at, profile, &info);
  if (code != OK) return code;
  memcpy(out, &info.id, 10 * sizeof info.id);
  out->memoryMib = info.memoryMib;
  return OK;
}

EXPORT int nvmlDeviceGetGpuInstanceProfileInfoV(handle device, unsigned profile, struct profile2 *out) {
  CALL(nvmlDeviceGetGpuInstanceProfileInfoV);
  ON_WHOLE(device);
  NEEDS(out);
  if (out->version != 0x02000098u && out->version != 0x03000098u) return INVALID_ARGUMENT;
  struct profile2 info = { .version = out->version };
  int code = profileInto(at, profile, &info);
  if (code != OK) return code;
  if (out->version == 0x02000098u) {
    *out = info;
    return OK;
  }
  struct profile3 third = { .version = info.version, .id = info.id, .memoryMib = info.memoryMib };
  memcpy(&third.slices, &info.slices, 8 * sizeof info.slices);
  memcpy(third.name, info.name, sizeof third.name);
  memcpy(out, &third, sizeof third);
  return OK;
}
