/*
 * GPM: two samples of a GPU, or of one of its instances, and what lies between them. The counters behind samples are
 * refreshed ten times a second: of two samples of one refresh nothing can be told, and the figures are no numbers.
 */
#include <math.h>
#include "nvml-double.h"

#define SAMPLES_MAX 1024
#define REFRESH_US 100000
#define NO_INSTANCE 0xFFFFFFFFu

struct sample { bool isOpen, isTaken; unsigned turn, gpu, instance; uint64_t refresh; };

static struct sample samples[SAMPLES_MAX];

unsigned gpmSamplesOpen(void) {
  unsigned open = 0;
  for (size_t i = 0; i < SAMPLES_MAX; i++) open += samples[i].isOpen;
  return open;
}

void gpmForget(void) {
  for (size_t i = 0; i < SAMPLES_MAX; i++) samples[i].isOpen = false;
}

static struct sample *sampleOf(handle given) {
  unsigned slot, turn;
  if (!handleRead(given, GPM_SAMPLE, &slot, &turn) || slot >= SAMPLES_MAX) return NULL;
  return samples[slot].isOpen && samples[slot].turn == turn ? &samples[slot] : NULL;
}

struct support { unsigned version, isSupported; };

EXPORT int nvmlGpmQueryDeviceSupport(handle device, struct support *out) {
  CALL(nvmlGpmQueryDeviceSupport);
  ON(device);
  NEEDS(out);
  if (out->version != 1) return ARGUMENT_VERSION_MISMATCH;
  return giveUnsigned(scenarioOf(at.gpu, NO_PART, 0, "gpm"), &out->isSupported);
}

EXPORT int nvmlGpmSampleAlloc(handle *out) {
  CALL(nvmlGpmSampleAlloc);
  NEEDS(out);
  for (unsigned i = 0; i < SAMPLES_MAX; i++) {
    if (samples[i].isOpen) continue;
    samples[i] = (struct sample){ .isOpen = true, .turn = (samples[i].turn + 1) & 0x3FF };
    *out = handleOf(GPM_SAMPLE, i, samples[i].turn);
    return OK;
  }
  return OUT_OF_MEMORY;
}

EXPORT int nvmlGpmSampleFree(handle given) {
  CALL(nvmlGpmSampleFree);
  struct sample *sample = sampleOf(given);
  if (sample == NULL) return misuse("nvmlGpmSampleFree");
  sample->isOpen = false;
  return OK;
}

static int take(unsigned gpu, unsigned instance, handle given) {
  struct sample *sample = sampleOf(given);
  if (sample == NULL) return misuse("a sample that is not open");
  if (wholeOr(scenarioOf(gpu, NO_PART, 0, "gpm"), 0) != 1) return NOT_SUPPORTED;
  sample->isTaken = true;
  sample->gpu = gpu;
  sample->instance = instance;
  sample->refresh = nowMicroseconds() / REFRESH_US;
  return OK;
}

EXPORT int nvmlGpmSampleGet(handle device, handle sample) {
  CALL(nvmlGpmSampleGet);
  ON(device);
  return take(at.gpu, at.isMig ? migInstance(at.gpu, at.mig, "gi") : NO_INSTANCE, sample);
}

EXPORT int nvmlGpmMigSampleGet(handle device, unsigned instance, handle sample) {
  CALL(nvmlGpmMigSampleGet);
  ON_WHOLE(device);
  if (!MIG_ON(at.gpu)) return NOT_SUPPORTED;
  if (scenarioOf(at.gpu, "gi", instance, "profile") == NULL) return INVALID_ARGUMENT;
  return take(at.gpu, instance, sample);
}

struct metric { unsigned id; int code; double value; const char *shortName, *longName, *unit; };
struct metrics { unsigned version, count; handle from, to; struct metric metrics[333]; };
_Static_assert(sizeof(struct metric) == 40 && sizeof(struct metrics) == 13344, "nvmlGpmMetric_t, nvmlGpmMetricsGet_t");

EXPORT int nvmlGpmMetricsGet(struct metrics *get) {
  CALL(nvmlGpmMetricsGet);
  NEEDS(get);
  if (get->version != 1) return ARGUMENT_VERSION_MISMATCH;
  // Older libraries know fewer metrics, under the same version.
  unsigned known = (unsigned)scenarioWhole("gpm_metrics_max", 333);
  const struct sample *from = sampleOf(get->from), *to = sampleOf(get->to);
  if (from == NULL || to == NULL) return misuse("a sample that is not open");
  if (get->count > known) return misuse("more metrics than there are");
  if (!from->isTaken || !to->isTaken || from->gpu != to->gpu || from->instance != to->instance) return INVALID_ARGUMENT;
  for (unsigned i = 0; i < get->count; i++) {
    struct metric *metric = &get->metrics[i];
    const struct value *value = to->instance == NO_INSTANCE
      ? scenarioNumbered(to->gpu, NO_PART, 0, "gpm", metric->id, NO_NUMBER)
      : scenarioNumbered(to->gpu, "gi", to->instance, "gpm", metric->id, NO_NUMBER);
    metric->code = metric->id == 0 || metric->id >= known ? INVALID_ARGUMENT
      : value == NULL ? NOT_SUPPORTED : value->kind == FAILURE ? value->code : OK;
    metric->shortName = metric->longName = "metric";
    metric->unit = "%";
    if (metric->code == OK) metric->value = from->refresh == to->refresh ? NAN : valueReal(value);
  }
  return OK;
}
