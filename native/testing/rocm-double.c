/*
 * A stand-in for librocm_smi64 as it is from ROCm 6.0 on, whose structs differ from those before it. It keeps to the real
 * library's contract as the public rocm_smi.h tells it. Whoever calls it as the real one must not be called (before it was
 * initialised well, for a GPU beyond the count, with no place to write to) is ended, as the real one may crash.
 *
 * What it answers is in the file `answers` beside it, read at each call. A line is NAME GPU WHICH, then numbers, or `rc N`
 * for a code, or `file NAME` for bytes of a file beside it; `crash` ends the process, `silent` answers well and writes
 * nothing. WHICH is the sensor, the kind or the block, 0 without one. What no line names is not supported, code 2. How
 * often it was initialised is in the file `inits`, a character each time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define LEVELS_MAX 33
#define NUMBERS_MAX 40
#define METRICS_BYTES_MAX 4544
#define NOT_SUPPORTED 2
#define INVALID_ARGS 1

typedef struct {
  bool has_deep_sleep;
  uint32_t num_supported;
  uint32_t current;
  uint64_t frequency[LEVELS_MAX];
} frequencies_t;
_Static_assert(sizeof(frequencies_t) == 280, "as ROCm 6.0 has it");

typedef struct {
  uint32_t major, minor, patch;
  const char *build;
} version_t;

typedef struct {
  int rc;
  bool silent;
  int count;
  int64_t numbers[NUMBERS_MAX];
  char word[256];
} answer_t;

static int initialised;

static void misuse(const char *name, const char *what) {
  fprintf(stderr, "rocm-double: %s: %s\n", name, what);
  abort();
}

static FILE *beside(const char *name, const char *mode) {
  Dl_info info;
  if (dladdr((void *)(intptr_t)beside, &info) == 0) misuse(name, "where am I?");
  char path[4096];
  const char *slash = strrchr(info.dli_fname, '/');
  snprintf(path, sizeof path, "%.*s/%s", slash == NULL ? 0 : (int)(slash - info.dli_fname), info.dli_fname, name);
  return fopen(path, mode);
}

static answer_t answer(const char *name, uint32_t gpu, uint64_t which) {
  answer_t out = {.rc = NOT_SUPPORTED};
  FILE *file = beside("answers", "r");
  char line[4096];
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char *at, *word = strtok_r(line, " \n", &at);
    if (word == NULL || strcmp(word, name) != 0) continue;
    char *of = strtok_r(NULL, " \n", &at), *kind = strtok_r(NULL, " \n", &at);
    if (of == NULL || kind == NULL) misuse(name, "a line without a GPU and a kind");
    if (strtoul(of, NULL, 10) != gpu || strtoull(kind, NULL, 10) != which) continue;
    out.rc = 0;
    while ((word = strtok_r(NULL, " \n", &at)) != NULL) {
      if (strcmp(word, "crash") == 0) abort();
      if (strcmp(word, "silent") == 0) out.silent = true;
      else if (strcmp(word, "rc") == 0) out.rc = (int)strtoll(strtok_r(NULL, " \n", &at), NULL, 10);
      else if (strcmp(word, "file") == 0) snprintf(out.word, sizeof out.word, "%s", strtok_r(NULL, " \n", &at));
      else if (out.count < NUMBERS_MAX) {
        char *end;
        out.numbers[out.count++] = (int64_t)strtoull(word, &end, 0);
        if (*end != 0) snprintf(out.word, sizeof out.word, "%s", word);
      }
    }
    break;
  }
  if (file != NULL) fclose(file);
  return out;
}

/* Of a GPU that may be asked. */
static answer_t asked(const char *name, uint32_t gpu, uint64_t which, const void *place) {
  if (!initialised) misuse(name, "the library is not initialised");
  if (gpu >= (uint64_t)answer("rsmi_num_monitor_devices", 0, 0).numbers[0]) misuse(name, "there is no such GPU");
  if (place == NULL) misuse(name, "no place to write to");
  return answer(name, gpu, which);
}

EXPORT int rsmi_init(uint64_t flags) {
  (void)flags;
  answer_t got = answer("rsmi_init", 0, 0);
  FILE *file = beside("inits", "a");
  if (file != NULL) {
    fputs("1", file);
    fclose(file);
  }
  if (got.rc == 0) initialised += 1;
  return got.rc;
}

EXPORT int rsmi_shut_down(void) {
  if (!initialised) misuse("rsmi_shut_down", "the library is not initialised");
  initialised -= 1;
  return 0;
}

EXPORT int rsmi_num_monitor_devices(uint32_t *count) {
  if (!initialised) misuse("rsmi_num_monitor_devices", "the library is not initialised");
  answer_t got = answer("rsmi_num_monitor_devices", 0, 0);
  if (got.rc == 0) *count = (uint32_t)got.numbers[0];
  return got.rc;
}

EXPORT int rsmi_version_get(version_t *version) {
  *version = (version_t){7, 2, 0, "double"};
  return 0;
}

EXPORT int rsmi_version_str_get(int part, char *text, uint32_t length) {
  if (part != 0) return INVALID_ARGS;
  snprintf(text, length, "6.8.5");
  return 0;
}

/* One number, of so many bits. */
#define ONE(NAME, TYPE)                                         \
  EXPORT int NAME(uint32_t gpu, TYPE *out) {                    \
    answer_t got = asked(#NAME, gpu, 0, out);                   \
    if (got.rc == 0 && !got.silent) *out = (TYPE)got.numbers[0]; \
    return got.rc;                                              \
  }
ONE(rsmi_dev_busy_percent_get, uint32_t)
ONE(rsmi_dev_memory_busy_percent_get, uint32_t)
ONE(rsmi_dev_pci_id_get, uint64_t)
ONE(rsmi_dev_unique_id_get, uint64_t)
ONE(rsmi_dev_xgmi_hive_id_get, uint64_t)
ONE(rsmi_dev_pci_replay_counter_get, uint64_t)

/* One of 64 bits, of a kind or a sensor. */
#define OF_KIND(NAME)                                            \
  EXPORT int NAME(uint32_t gpu, uint32_t which, int64_t *out) {  \
    answer_t got = asked(#NAME, gpu, which, out);                \
    if (got.rc == 0 && !got.silent) *out = got.numbers[0];       \
    return got.rc;                                               \
  }
OF_KIND(rsmi_dev_memory_total_get)
OF_KIND(rsmi_dev_memory_usage_get)
OF_KIND(rsmi_dev_power_ave_get)
OF_KIND(rsmi_dev_power_cap_get)
OF_KIND(rsmi_dev_fan_rpms_get)
OF_KIND(rsmi_dev_fan_speed_get)
OF_KIND(rsmi_dev_fan_speed_max_get)

EXPORT int rsmi_dev_temp_metric_get(uint32_t gpu, uint32_t sensor, int what, int64_t *out) {
  /* Which sensor, and what of it: 100 times the one and the other. */
  answer_t got = asked("rsmi_dev_temp_metric_get", gpu, sensor * 100 + (unsigned)what, out);
  if (got.rc == 0 && !got.silent) *out = got.numbers[0];
  return got.rc;
}

EXPORT int rsmi_dev_power_get(uint32_t gpu, uint64_t *power, int *kind) {
  answer_t got = asked("rsmi_dev_power_get", gpu, 0, power);
  if (got.rc == 0 && !got.silent) {
    *power = (uint64_t)got.numbers[0];
    *kind = (int)got.numbers[1];
  }
  return got.rc;
}

EXPORT int rsmi_dev_power_cap_range_get(uint32_t gpu, uint32_t sensor, uint64_t *max, uint64_t *min) {
  answer_t got = asked("rsmi_dev_power_cap_range_get", gpu, sensor, max);
  if (got.rc == 0 && !got.silent) {
    *max = (uint64_t)got.numbers[0];
    *min = (uint64_t)got.numbers[1];
  }
  return got.rc;
}

EXPORT int rsmi_dev_energy_count_get(uint32_t gpu, uint64_t *count, float *step, uint64_t *time) {
  answer_t got = asked("rsmi_dev_energy_count_get", gpu, 0, count);
  if (got.rc == 0 && !got.silent) {
    *count = (uint64_t)got.numbers[0];
    *step = 15.3F;
    *time = 1;
  }
  return got.rc;
}

EXPORT int rsmi_dev_gpu_clk_freq_get(uint32_t gpu, uint32_t clock, frequencies_t *out) {
  answer_t got = asked("rsmi_dev_gpu_clk_freq_get", gpu, clock, out);
  if (got.rc != 0 || got.silent) return got.rc;
  out->has_deep_sleep = false;
  out->num_supported = (uint32_t)got.numbers[0];
  out->current = (uint32_t)got.numbers[1];
  for (int at = 2; at < got.count && at < LEVELS_MAX; at++) out->frequency[at - 2] = (uint64_t)got.numbers[at];
  return 0;
}

EXPORT int rsmi_dev_gpu_metrics_info_get(uint32_t gpu, void *out) {
  answer_t got = asked("rsmi_dev_gpu_metrics_info_get", gpu, 0, out);
  FILE *file = got.rc == 0 && !got.silent ? beside(got.word, "r") : NULL;
  if (file != NULL) {
    /* The whole of its struct, whatever its caller thinks that it has: 1,832 bytes by 6.3, 4,544 by 7.0. */
    size_t length = fread(out, 1, METRICS_BYTES_MAX, file);
    fclose(file);
    if (length == 0) return 14;
  }
  return got.rc;
}

static int text(const char *name, uint32_t gpu, char *out, size_t length) {
  answer_t got = asked(name, gpu, 0, out);
  if (got.rc == 0 && !got.silent) snprintf(out, length, "%s", got.word);
  return got.rc;
}

EXPORT int rsmi_dev_name_get(uint32_t gpu, char *out, size_t length) { return text("rsmi_dev_name_get", gpu, out, length); }
EXPORT int rsmi_dev_serial_number_get(uint32_t gpu, char *out, uint32_t length) {
  return text("rsmi_dev_serial_number_get", gpu, out, length);
}
