/*
 * The scenario file: `key = value` a line, read again whenever it, or one that it includes, changes. README.md has the
 * words. A line that means nothing ends the process: a scenario that is not played as written would prove nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "double.h"

#define FILES_MAX 8
#define LINE_MAX_BYTES 4096
#define XIDS_MAX 4096
#define KERNELS_MAX 16
#define MEMO_BITS 12

struct entry { char *key; struct value value; };
struct file { char path[1024]; struct timespec changed; off_t size; ino_t inode; };

/* What was asked and found, by the address of its words, which are literals. Forgotten with the table. */
struct memo { const char *leaf, *part; unsigned gpu, index, first, second; bool isSet; const struct value *value; };

static struct memo memos[1u << MEMO_BITS];
static struct file files[FILES_MAX];
static size_t fileCount;
static struct entry *table;
static size_t tableSize, tableUsed;
static struct xid xids[XIDS_MAX];
static size_t xidCount;
static struct kernel kernels[KERNELS_MAX];
static size_t kernelCount;
static bool hasFaults, hasFields;
static uint64_t startedAt, checkedAt;

static _Noreturn void refuse(const char *path, int line, const char *why, const char *what) {
  fprintf(stderr, "double: %s:%d: %s: %s\n", path, line, why, what);
  fflush(stderr);
  _exit(99);
}

/* ---- the table ---- */

static size_t slotOf(const char *key) {
  uint32_t hash = 2166136261u;
  for (const char *at = key; *at != 0; at++) hash = (hash ^ (unsigned char)*at) * 16777619u;
  size_t slot = hash & (tableSize - 1);
  while (table[slot].key != NULL && strcmp(table[slot].key, key) != 0) slot = (slot + 1) & (tableSize - 1);
  return slot;
}

static void clear(void) {
  for (size_t i = 0; i < tableSize; i++) {
    free(table[i].key);
    free(table[i].value.text);
  }
  free(table);
  table = NULL;
  tableSize = tableUsed = xidCount = kernelCount = 0;
  memset(memos, 0, sizeof memos);
  hasFaults = hasFields = false;
}

static void put(const char *key, struct value value) {
  if (tableUsed * 2 >= tableSize) {
    struct entry *old = table;
    size_t oldSize = tableSize;
    tableSize = oldSize == 0 ? 512 : oldSize * 2;
    table = calloc(tableSize, sizeof *table);
    if (table == NULL) abort();
    for (size_t i = 0; i < oldSize; i++) {
      if (old[i].key != NULL) table[slotOf(old[i].key)] = old[i];
    }
    free(old);
  }
  size_t slot = slotOf(key);
  if (table[slot].key == NULL) {
    table[slot].key = strdup(key);
    tableUsed += 1;
  }
  free(table[slot].value.text);
  table[slot].value = value;
}

/* ---- values ---- */

static bool takeWord(const char **at, const char *word) {
  size_t length = strlen(word);
  if (strncmp(*at, word, length) != 0 || ((*at)[length] != ' ' && (*at)[length] != 0)) return false;
  *at += length;
  while (**at == ' ') *at += 1;
  return true;
}

static bool takeReal(const char **at, double *out) {
  char *end;
  *out = strtod(*at, &end);
  if (end == *at) return false;
  *at = end;
  while (**at == ' ') *at += 1;
  return true;
}

static bool takeText(const char *at, struct value *value) {
  if (*at != '"') return false;
  value->text = malloc(strlen(at) + 1);
  if (value->text == NULL) abort();
  value->kind = TEXT;
  for (at += 1; *at != 0 && *at != '"'; at++) {
    unsigned byte = (unsigned char)*at;
    if (byte == '\\') {
      int taken = 0;
      if (sscanf(at, "\\x%2x%n", &byte, &taken) != 1) return false;
      at += taken - 1;
    }
    value->text[value->length++] = (char)byte;
  }
  value->text[value->length] = 0;
  return at[0] == '"' && at[1] == 0;
}

static bool takeWhole(const char *at, struct value *value) {
  static const struct { const char *unit; unsigned shift; } UNITS[] = { { "", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 } };
  char *end;
  errno = 0;
  value->whole = *at == '-' ? (uint64_t)strtoll(at, &end, 0) : strtoull(at, &end, 0);
  if (end == at || errno != 0) return false;
  while (*end == ' ') end++;
  for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++) {
    if (strcmp(end, UNITS[i].unit) != 0) continue;
    value->kind = WHOLE;
    value->whole <<= UNITS[i].shift;
    return true;
  }
  return false;
}

/* False where it is none of the forms of README.md. */
static bool parse(const char *at, struct value *value) {
  static const char *const TYPES[] = { "f64", "u32", "ulong", "u64", "i64", "i32", "u16" };
  static const struct { const char *word; unsigned whole; } WORDS[] = {
    { "yes", 1 }, { "no", 0 }, { "ok", 0 }, { "lost", 1 }, { "reset", 2 }, { "denied", 3 }, { "forever", 0 },
    { "live", 0 }, { "segv", 1 }, { "abort", 2 }, { "compute", 0 }, { "graphics", 1 }, { "mps", 2 },
  };
  *value = (struct value){ .type = -1 };
  for (int i = 0; i < 7; i++) {
    if (takeWord(&at, TYPES[i])) value->type = i;
  }
  if (takeWord(&at, "none") && *at == 0) {
    value->kind = FAILURE;
    value->code = NOT_SUPPORTED;
    return true;
  }
  double start;
  if (takeWord(&at, "error")) {
    value->kind = FAILURE;
    if (!takeReal(&at, &start)) return false;
    value->code = (int)start;
    return *at == 0;
  }
  if (takeWord(&at, "ramp")) {
    value->kind = RAMP;
    if (!takeReal(&at, &start) || !takeReal(&at, &value->pace)) return false;
    value->whole = (uint64_t)start;
    return *at == 0;
  }
  if (takeWord(&at, "wave")) {
    value->kind = WAVE;
    return takeReal(&at, &value->real) && takeReal(&at, &value->high) && takeReal(&at, &value->pace) &&
      value->pace > 0 && *at == 0;
  }
  value->isRaw = takeWord(&at, "raw");
  if (*at == '"') return takeText(at, value);
  for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
    if (strcmp(at, WORDS[i].word) != 0) continue;
    value->whole = WORDS[i].whole;
    return true;
  }
  if (takeWhole(at, value)) return true;
  value->kind = REAL;
  return takeReal(&at, &value->real) && *at == 0;
}

/* xid = NUMBER[-NUMBER] GPU CODE [GPU_INSTANCE COMPUTE_INSTANCE] */
static bool takeXid(const char *text) {
  if (xidCount == XIDS_MAX) return false;
  struct xid *xid = &xids[xidCount];
  xid->gpuInstance = xid->computeInstance = 0xFFFFFFFFu;
  unsigned long long from, to;
  int used = 0;
  if (sscanf(text, "%llu-%llu %n", &from, &to, &used) < 2 || used == 0) {
    used = 0;
    if (sscanf(text, "%llu %n", &from, &used) < 1 || used == 0) return false;
    to = from;
  }
  xid->from = from;
  xid->to = to;
  int more = sscanf(text + used, "%u %u %u %u", &xid->gpu, &xid->code, &xid->gpuInstance, &xid->computeInstance);
  if (from == 0 || to < from || more < 2) return false;
  xidCount += 1;
  return true;
}

/* kernel = NAME fp64|fp32|fp16|tensor FLOPS BYTES [LOOPS_PARAMETER] */
static bool takeKernel(const char *text) {
  static const char *const RATES[] = { "flops_fp64", "flops_fp32", "flops_fp16", "flops_tensor" };
  if (kernelCount == KERNELS_MAX) return false;
  struct kernel *kernel = &kernels[kernelCount];
  char rate[16];
  kernel->loops = -1;
  kernel->rate = NULL;
  if (sscanf(text, "%63s %15s %lf %lf %d", kernel->name, rate, &kernel->flops, &kernel->bytes, &kernel->loops) < 4) return false;
  for (size_t i = 0; i < sizeof RATES / sizeof *RATES; i++) {
    if (strcmp(RATES[i] + strlen("flops_"), rate) == 0) kernel->rate = RATES[i];
  }
  kernelCount += kernel->rate != NULL;
  return kernel->rate != NULL;
}

/* ---- the file ---- */

static void readFile(const char *path) {
  if (fileCount == FILES_MAX) refuse(path, 0, "too many files include each other", path);
  struct file *file = &files[fileCount++];
  *file = (struct file){ 0 };
  snprintf(file->path, sizeof file->path, "%s", path);
  struct stat about;
  FILE *stream = fopen(path, "re");
  if (stream == NULL || fstat(fileno(stream), &about) != 0) {
    if (stream != NULL) fclose(stream);
    if (fileCount > 1) refuse(path, 0, "can't be read", strerror(errno));
    return;
  }
  file->changed = about.st_mtim;
  file->size = about.st_size;
  file->inode = about.st_ino;
  char line[LINE_MAX_BYTES], key[LINE_MAX_BYTES];
  for (int number = 1; fgets(line, sizeof line, stream) != NULL; number++) {
    char *at = line + strspn(line, " \t");
    char *end = at + strlen(at);
    while (end > at && strchr(" \t\r\n", end[-1]) != NULL) *--end = 0;
    if (*at == 0 || *at == '#') continue;
    char *equals = strchr(at, '=');
    if (equals == NULL) refuse(path, number, "no `key = value`", at);
    size_t length = (size_t)(equals - at);
    while (length > 0 && strchr(" \t", at[length - 1]) != NULL) length--;
    memcpy(key, at, length);
    key[length] = 0;
    const char *text = equals + 1 + strspn(equals + 1, " \t");
    if (strcmp(key, "xid") == 0) {
      if (!takeXid(text)) refuse(path, number, "no `NUMBER[-NUMBER] GPU CODE [GI CI]`", text);
      continue;
    }
    if (strcmp(key, "kernel") == 0) {
      if (!takeKernel(text)) refuse(path, number, "no `NAME RATE FLOPS BYTES [LOOPS_PARAMETER]`", text);
      continue;
    }
    if (!isKey(key)) refuse(path, number, "no such key", key);
    struct value value;
    if (strcmp(key, "present") == 0) {
      value = (struct value){ .kind = TEXT, .type = -1, .text = strdup(text), .length = strlen(text) };
    } else if (!parse(text, &value)) {
      refuse(path, number, "no value", text);
    }
    if (strcmp(key, "include") == 0) {
      if (value.kind != TEXT) refuse(path, number, "no path in quotes", text);
      char other[1024];
      const char *slash = strrchr(path, '/');
      int folder = value.text[0] == '/' || slash == NULL ? 0 : (int)(slash - path + 1);
      snprintf(other, sizeof other, "%.*s%s", folder, path, value.text);
      free(value.text);
      readFile(other);
      continue;
    }
    if (strstr(key, "call.") != NULL) hasFaults = true;
    if (strstr(key, ".field.") != NULL) hasFields = true;
    put(key, value);
  }
  fclose(stream);
}

/* The file that the environment names, else "scenario" beside the library itself. */
static const char *rootPath(void) {
  static char path[1024];
  if (path[0] != 0) return path;
  const char *named = getenv("INFERMESH_NVML_SCENARIO");
  Dl_info self;
  if (named != NULL && named[0] != 0) {
    snprintf(path, sizeof path, "%s", named);
  } else if (dladdr((void *)(uintptr_t)&scenarioRefresh, &self) != 0 && self.dli_fname != NULL) {
    const char *slash = strrchr(self.dli_fname, '/');
    snprintf(path, sizeof path, "%.*sscenario", slash == NULL ? 0 : (int)(slash - self.dli_fname + 1), self.dli_fname);
  }
  return path;
}

static bool isChanged(void) {
  if (fileCount == 0) return true;
  for (size_t i = 0; i < fileCount; i++) {
    struct stat about = { 0 };
    if (stat(files[i].path, &about) != 0) about = (struct stat){ 0 };
    if (about.st_ino != files[i].inode || about.st_size != files[i].size ||
        about.st_mtim.tv_sec != files[i].changed.tv_sec || about.st_mtim.tv_nsec != files[i].changed.tv_nsec) return true;
  }
  return false;
}

bool scenarioRefresh(void) {
  uint64_t now = nowMicroseconds();
  if (startedAt == 0) startedAt = now;
  uint64_t pause = scenarioWhole("recheck_ms", 0) * 1000;
  if (pause > 0 && now - checkedAt < pause) return false;
  checkedAt = now;
  if (!isChanged()) return false;
  clear();
  fileCount = 0;
  readFile(rootPath());
  return true;
}

bool scenarioExists(void) { return tableUsed > 0; }
bool scenarioHasFaults(void) { return hasFaults; }
bool scenarioHasFields(void) { return hasFields; }

size_t scenarioXids(const struct xid **out) {
  *out = xids;
  return xidCount;
}

const struct kernel *scenarioKernel(const char *name) {
  for (size_t i = kernelCount; i > 0; i--) {
    if (strcmp(kernels[i - 1].name, name) == 0) return &kernels[i - 1];
  }
  return NULL;
}

/* ---- reading it ---- */

const struct value *scenarioText(const char *key) {
  if (tableSize == 0) return NULL;
  size_t slot = slotOf(key);
  return table[slot].key == NULL ? NULL : &table[slot].value;
}

const struct value *scenarioTextOf(unsigned gpu, const char *part, unsigned index, const char *leaf) {
  char key[256], gpuWord[16], partWord[16];
  for (int tried = 0; tried < 4; tried++) {
    bool anyGpu = (tried & 2) != 0, anyPart = (tried & 1) != 0;
    if (part == NO_PART && anyPart) continue;
    snprintf(gpuWord, sizeof gpuWord, anyGpu ? "*" : "%u", gpu);
    snprintf(partWord, sizeof partWord, anyPart ? "*" : "%u", index);
    if (part == NO_PART) snprintf(key, sizeof key, "gpu%s.%s", gpuWord, leaf);
    else snprintf(key, sizeof key, "gpu%s.%s%s.%s", gpuWord, part, partWord, leaf);
    const struct value *found = scenarioText(key);
    if (found != NULL) return found;
  }
  return NULL;
}

/* The place in the memo for what is asked; true where it holds the answer already. */
static bool recall(struct memo asked, struct memo **place) {
  uintptr_t mix = (uintptr_t)asked.leaf * 31 + (uintptr_t)asked.part;
  mix = (mix * 31 + asked.gpu) * 31 + asked.index;
  mix = ((mix * 31 + asked.first) * 31 + asked.second) * 0x9E3779B97F4A7C15u;
  *place = &memos[mix >> (64 - MEMO_BITS)];
  const struct memo *held = *place;
  if (held->isSet && held->leaf == asked.leaf && held->part == asked.part && held->gpu == asked.gpu &&
      held->index == asked.index && held->first == asked.first && held->second == asked.second) return true;
  **place = asked;
  (*place)->isSet = true;
  return false;
}

const struct value *scenarioGet(const char *key) {
  struct memo *place;
  if (!recall((struct memo){ .leaf = key }, &place)) place->value = scenarioText(key);
  return place->value;
}

const struct value *scenarioOf(unsigned gpu, const char *part, unsigned index, const char *leaf) {
  struct memo *place;
  if (!recall((struct memo){ .gpu = gpu + 1, .part = part, .index = index, .leaf = leaf }, &place)) {
    place->value = scenarioTextOf(gpu, part, index, leaf);
  }
  return place->value;
}

const struct value *scenarioNumbered(unsigned gpu, const char *part, unsigned index, const char *leaf, unsigned first, unsigned second) {
  struct memo *place, asked = { .gpu = gpu + 1, .part = part, .index = index, .leaf = leaf, .first = first + 1, .second = second };
  if (!recall(asked, &place)) {
    char text[64];
    if (second == NO_NUMBER) snprintf(text, sizeof text, "%s.%u", leaf, first);
    else snprintf(text, sizeof text, "%s.%u.%u", leaf, first, second);
    place->value = scenarioTextOf(gpu, part, index, text);
  }
  return place->value;
}

uint64_t nowMicroseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Seconds since the moving values started to move. */
static double age(void) {
  uint64_t from = scenarioWhole("epoch_ms", startedAt / 1000) * 1000;
  uint64_t now = nowMicroseconds();
  return now > from ? (double)(now - from) / 1e6 : 0;
}

double valueReal(const struct value *value) {
  switch (value->kind) {
    case WHOLE: return (double)value->whole;
    case REAL: return value->real;
    case RAMP: return (double)value->whole + value->pace * age();
    case WAVE: {
      double phase = fmod(age() / value->pace, 1);
      return value->real + (value->high - value->real) * (phase < 0.5 ? 2 * phase : 2 - 2 * phase);
    }
    default: return 0;
  }
}

uint64_t valueWhole(const struct value *value) {
  if (value->kind == WHOLE) return value->whole;
  if (value->kind == RAMP) return value->whole + (uint64_t)(value->pace * age());
  double real = valueReal(value);
  return real < 0 ? (uint64_t)(int64_t)real : (uint64_t)real;
}

uint64_t scenarioWhole(const char *key, uint64_t otherwise) {
  return wholeOr(scenarioGet(key), otherwise);
}
