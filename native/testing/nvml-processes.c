/* Who uses a card: lists of processes, and what each made of it in the last sample. */
#include <string.h>
#include "nvml-double.h"

#define PROCESSES_MAX 65536u
#define NONE 0xFFFFFFFFu

#define PROCESS(leaf) scenarioOf(at.gpu, "process", i, leaf)

/* As early R535 wrote it, under the same name; all others stop before the last field. */
struct process { unsigned pid; unsigned long long memory; unsigned gpuInstance, computeInstance; unsigned long long protectedMemory; };
_Static_assert(sizeof(struct process) == 32 && offsetof(struct process, protectedMemory) == 24, "nvmlProcessInfo_t");

static bool isThere(struct target at, unsigned i) {
  const struct value *pid = PROCESS("pid");
  return pid != NULL && pid->kind != FAILURE;
}

static bool isOf(struct target at, unsigned i) {
  return !at.isMig || (wholeOr(PROCESS("gi"), NONE) == migInstance(at.gpu, at.mig, "gi") &&
                       wholeOr(PROCESS("ci"), NONE) == migInstance(at.gpu, at.mig, "ci"));
}

/* `kind`: 0 compute, 1 graphics, 2 MPS. */
static int list(struct target at, unsigned kind, unsigned *count, unsigned char *out, size_t stride) {
  NEEDS(count);
  unsigned room = *count, there = 0;
  for (unsigned i = 0; i < PROCESSES_MAX && isThere(at, i); i++) {
    if (!isOf(at, i) || wholeOr(PROCESS("kind"), 0) != kind) continue;
    if (there < room && out != NULL) {
      struct process process = {
        (unsigned)wholeOr(PROCESS("pid"), 0), wholeOr(PROCESS("memory"), UINT64_MAX),
        (unsigned)wholeOr(PROCESS("gi"), NONE), (unsigned)wholeOr(PROCESS("ci"), NONE), 0,
      };
      memcpy(out + there * stride, &process, stride);
    }
    there += 1;
  }
  // A broken library may tell of more than it wrote.
  const struct value *claimed = scenarioOf(at.gpu, NO_PART, 0, "processes_claimed");
  if (claimed != NULL && claimed->kind == FAILURE) return claimed->code;
  *count = (unsigned)wholeOr(claimed, there);
  return there > room || (there > 0 && out == NULL) ? INSUFFICIENT_SIZE : OK;
}

static size_t scenarioStride(void) { return (size_t)scenarioWhole("process_stride", 24); }

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(handle device, unsigned *count, unsigned char *out) {
  CALL(nvmlDeviceGetComputeRunningProcesses_v3);
  ON(device);
  return list(at, 0, count, out, scenarioStride());
}

EXPORT int nvmlDeviceGetGraphicsRunningProcesses_v3(handle device, unsigned *count, unsigned char *out) {
  CALL(nvmlDeviceGetGraphicsRunningProcesses_v3);
  ON(device);
  return list(at, 1, count, out, scenarioStride());
}

EXPORT int nvmlDeviceGetMPSComputeRunningProcesses_v3(handle device, unsigned *count, unsigned char *out) {
  CALL(nvmlDeviceGetMPSComputeRunningProcesses_v3);
  ON(device);
  return list(at, 2, count, out, scenarioStride());
}

/* Before R510 these were the only names, always with entries of 24 bytes. */
EXPORT int nvmlDeviceGetComputeRunningProcesses_v2(handle device, unsigned *count, unsigned char *out) {
  CALL(nvmlDeviceGetComputeRunningProcesses_v2);
  ON(device);
  return list(at, 0, count, out, 24);
}

EXPORT int nvmlDeviceGetGraphicsRunningProcesses_v2(handle device, unsigned *count, unsigned char *out) {
  CALL(nvmlDeviceGetGraphicsRunningProcesses_v2);
  ON(device);
  return list(at, 1, count, out, 24);
}

EXPORT int nvmlDeviceGetMPSComputeRunningProcesses_v2(handle device, unsigned *count, unsigned char *out) {
  CALL(nvmlDeviceGetMPSComputeRunningProcesses_v2);
  ON(device);
  return list(at, 2, count, out, 24);
}

struct utilization { unsigned pid; unsigned long long time; unsigned sm, memory, encoder, decoder; };
struct utilizationInfo { unsigned long long time; unsigned pid, sm, memory, encoder, decoder, jpeg, ofa; };
struct utilizationInfos { unsigned version, count; unsigned long long lastSeen; struct utilizationInfo *infos; };
_Static_assert(sizeof(struct utilization) == 32 && sizeof(struct utilizationInfo) == 40 &&
               sizeof(struct utilizationInfos) == 24, "nvmlProcessUtilizationSample_t and its kin");

/* The driver keeps the newest sample, of which a caller that has seen it gets nothing again. */
static uint64_t sampleTime(void) {
  uint64_t pace = scenarioWhole("sampling_us", 166666);
  return nowMicroseconds() / (pace == 0 ? 1 : pace) * pace;
}

static bool isBusy(struct target at, unsigned i) {
  return wholeOr(PROCESS("sm"), 0) + wholeOr(PROCESS("mem"), 0) + wholeOr(PROCESS("enc"), 0) + wholeOr(PROCESS("dec"), 0) > 0;
}

static unsigned busy(struct target at, unsigned long long lastSeen) {
  unsigned count = 0;
  for (unsigned i = 0; sampleTime() > lastSeen && i < PROCESSES_MAX && isThere(at, i); i++) count += isBusy(at, i);
  return count;
}

EXPORT int nvmlDeviceGetProcessUtilization(handle device, struct utilization *out, unsigned *count, unsigned long long lastSeen) {
  CALL(nvmlDeviceGetProcessUtilization);
  ON_WHOLE(device);
  NEEDS(count);
  if (MIG_ON(at.gpu)) return NOT_SUPPORTED;
  unsigned room = *count, there = busy(at, lastSeen);
  *count = there;
  if (there == 0) return NOT_FOUND;
  if (room < there || out == NULL) return INSUFFICIENT_SIZE;
  for (unsigned i = 0; isThere(at, i); i++) {
    if (!isBusy(at, i)) continue;
    *out++ = (struct utilization){
      (unsigned)wholeOr(PROCESS("pid"), 0), sampleTime(), (unsigned)wholeOr(PROCESS("sm"), 0),
      (unsigned)wholeOr(PROCESS("mem"), 0), (unsigned)wholeOr(PROCESS("enc"), 0), (unsigned)wholeOr(PROCESS("dec"), 0),
    };
  }
  return OK;
}

EXPORT int nvmlDeviceGetProcessesUtilizationInfo(handle device, struct utilizationInfos *get) {
  CALL(nvmlDeviceGetProcessesUtilizationInfo);
  ON_WHOLE(device);
  NEEDS(get);
  if (get->version != 0x01000018u) return ARGUMENT_VERSION_MISMATCH;
  if (MIG_ON(at.gpu)) return NOT_SUPPORTED;
  unsigned room = get->count, there = busy(at, get->lastSeen);
  get->count = there;
  if (there == 0) return NOT_FOUND;
  struct utilizationInfo *out = get->infos;
  if (room < there || out == NULL) return INSUFFICIENT_SIZE;
  for (unsigned i = 0; isThere(at, i); i++) {
    if (!isBusy(at, i)) continue;
    *out++ = (struct utilizationInfo){
      sampleTime(), (unsigned)wholeOr(PROCESS("pid"), 0), (unsigned)wholeOr(PROCESS("sm"), 0),
      (unsigned)wholeOr(PROCESS("mem"), 0), (unsigned)wholeOr(PROCESS("enc"), 0), (unsigned)wholeOr(PROCESS("dec"), 0), 0, 0,
    };
  }
  return OK;
}
