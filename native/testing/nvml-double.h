/*
 * What the files of the double share: the scenario's values, the frame of a call, handles.
 * Layouts and numbers follow the public nvml.h (API 13); the code is our own.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "nvml-functions.h"

#define EXPORT __attribute__((visibility("default")))

enum {
  OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, RESET_REQUIRED = 16,
  VERSION_MISMATCH = 18, OUT_OF_MEMORY = 20, NO_DATA = 21, ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999,
  SILENCE = -1, /* not of NVML: success is claimed, and nothing written */
};

enum function {
#define NUMBERED(name) CALL_##name,
  NVML_FUNCTIONS(NUMBERED)
#undef NUMBERED
  FUNCTIONS,
};

/* ---- the scenario ---- */

enum kind { WHOLE, REAL, TEXT, RAMP, WAVE, FAILURE };

struct value {
  enum kind kind;
  int type;           /* a field value's type where the line names one, else -1 */
  int code;           /* FAILURE: what the call answers */
  uint64_t whole;     /* WHOLE; where RAMP starts */
  double real;        /* REAL; WAVE's low end */
  double high, pace;  /* WAVE: high end, seconds a period; RAMP: per second */
  char *text;         /* TEXT */
  size_t length;
  bool isRaw;         /* TEXT that is written without its end */
};

#define NO_PART NULL

/* Reads the file again where it changed; true when it did. Before the first line of it is there, there is no driver. */
bool scenarioRefresh(void);
bool scenarioExists(void);
bool scenarioHasFaults(void);
/* The words of these are remembered by their addresses: literals only. */
const struct value *scenarioGet(const char *key);
/* gpuI.leaf, or gpuI.partJ.leaf; what is said of all (`*`) counts where nothing is said of the one. */
const struct value *scenarioOf(unsigned gpu, const char *part, unsigned index, const char *leaf);
/* The same of leaf.FIRST, or leaf.FIRST.SECOND. */
const struct value *scenarioNumbered(unsigned gpu, const char *part, unsigned index, const char *leaf, unsigned first, unsigned second);
#define NO_NUMBER 0xFFFFFFFEu
/* For words that are no literals; not remembered. */
const struct value *scenarioTextOf(unsigned gpu, const char *part, unsigned index, const char *leaf);
const struct value *scenarioText(const char *key);
uint64_t scenarioWhole(const char *key, uint64_t otherwise);
/* Each `xid` line of the file as it is now, in its order: from, to, GPU, code, GPU instance, compute instance. */
struct xid { uint64_t from, to; unsigned gpu, code, gpuInstance, computeInstance; };
size_t scenarioXids(const struct xid **xids);
uint64_t valueWhole(const struct value *value);
double valueReal(const struct value *value);
uint64_t nowMicroseconds(void);

/* ---- a call ---- */

struct call { enum function function; bool isOver; int code; };

struct call callBegin(enum function function, bool needsInit);
void callEnd(struct call *call);

/* The frame of each exported function: counted, faults played, one at a time, refused before nvmlInit. */
#define FRAME(name, needsInit) \
  __attribute__((cleanup(callEnd))) struct call call = callBegin(CALL_##name, needsInit); \
  if (call.isOver) return call.code
#define CALL(name) FRAME(name, true)

/* Counted: what no caller that does as the header says would do. */
int misuse(const char *what);
#define NEEDS(pointer) do { if ((pointer) == NULL) return misuse("null pointer"); } while (0)

/* ---- handles: numbers that point nowhere, each with the generation in which it was given ---- */

enum object { DEVICE = 1, MIG_DEVICE, GPU_INSTANCE, EVENT_SET, GPM_SAMPLE };

typedef void *handle;
struct target { unsigned gpu; bool isMig; unsigned mig; };

handle handleOf(enum object object, unsigned first, unsigned second);
bool handleRead(handle given, enum object object, unsigned *first, unsigned *second);
/* The device that a handle means, after its own faults: lost, needing a reset, told to fail. */
int deviceOf(struct call *call, handle given, struct target *target);
bool gpuIsThere(unsigned gpu);
/* OK, or what every call at this GPU answers now. */
int gpuState(unsigned gpu);

#define ON(device) \
  struct target at; \
  do { int refused = deviceOf(&call, device, &at); if (refused != OK) return refused == SILENCE ? OK : refused; } while (0)
#define ON_WHOLE(device) ON(device); if (at.isMig) return NOT_SUPPORTED

#define MIG_ON(gpu) (migMode(gpu) == 1)
unsigned migMode(unsigned gpu);
bool migIsThere(unsigned gpu, unsigned index);
unsigned migInstance(unsigned gpu, unsigned index, const char *which);

int giveUnsigned(const struct value *value, unsigned *out);
int giveLong(const struct value *value, unsigned long long *out);
int giveText(const struct value *value, unsigned gpu, char *out, unsigned length);
/* 0 where there is no such value: for parts of a struct that the real library leaves at zero. */
uint64_t wholeOr(const struct value *value, uint64_t otherwise);

/* Everything made since nvmlInit goes with the last nvmlShutdown; open ones are counted as leaks first. */
void eventsForget(void);
void gpmForget(void);
void eventsSettle(void);
unsigned eventSetsOpen(void);
unsigned gpmSamplesOpen(void);
uint64_t eventsDropped(void);
/* Other threads may call meanwhile. */
void pauseFor(uint64_t microseconds);
