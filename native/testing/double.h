/* What the doubles of vendors' libraries share: the scenario, its values, the faults of calls. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* NVML's codes, which the scenario's values speak too. */
enum {
  OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
  INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, RESET_REQUIRED = 16,
  VERSION_MISMATCH = 18, OUT_OF_MEMORY = 20, NO_DATA = 21, ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999,
  SILENCE = -1, /* not of NVML: success is claimed, and nothing written */
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
/* Whether any line is of a field value by its number: most scenarios have none, and thousands of values are asked for. */
bool scenarioHasFields(void);
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
/* Of the `kernel` line of this name: what one thread does in one round, at which rate; the parameter that counts rounds. */
struct kernel { char name[64]; const char *rate; double flops, bytes; int loops; };
const struct kernel *scenarioKernel(const char *name);
uint64_t valueWhole(const struct value *value);
double valueReal(const struct value *value);
uint64_t nowMicroseconds(void);

/* ---- values to callers ---- */

int giveUnsigned(const struct value *value, unsigned *out);
int giveLong(const struct value *value, unsigned long long *out);
int giveText(const struct value *value, unsigned gpu, char *out, unsigned length);
/* `otherwise` where there is no such value: for parts of a struct that the real library leaves at zero. */
uint64_t wholeOr(const struct value *value, uint64_t otherwise);
/* Whether a key may stand in a scenario. */
bool isKey(const char *key);

/* ---- calls: one at a time ---- */

void callsLock(void);
void callsUnlock(void);
/* Other threads may call meanwhile. */
void pauseFor(uint64_t microseconds);
/* True where the call ends here, with `code`; `count` calls of that name there were. `gpu` is -1 for none. */
bool faultsPlay(int gpu, const char *name, uint64_t count, int *code);
/* Into the file that the scenario names under `key`, in place whole. */
void reportWrite(const char *key, const char *text, size_t length);

/* Of each library: what follows from a scenario that changed; and a call that no caller would make who does as told. */
void scenarioChanged(void);
int misuse(const char *what);
