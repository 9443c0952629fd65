/*
 * What the files of the double of libnvidia-ml share: the frame of a call, handles.
 * Layouts and numbers follow the public nvml.h (API 13); the code is our own.
 */
#pragma once
#include "double.h"
#include "nvml-functions.h"

enum function {
#define NUMBERED(name) CALL_##name,
  NVML_FUNCTIONS(NUMBERED)
#undef NUMBERED
  FUNCTIONS,
};

/* ---- a call ---- */

struct call { enum function function; bool isOver; int code; };

struct call callBegin(enum function function, bool needsInit);
void callEnd(struct call *call);

/* The frame of each exported function: counted, faults played, one at a time, refused before nvmlInit. */
#define FRAME(name, needsInit) \
  __attribute__((cleanup(callEnd))) struct call call = callBegin(CALL_##name, needsInit); \
  if (call.isOver) return call.code
#define CALL(name) FRAME(name, true)

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

/* Everything made since nvmlInit goes with the last nvmlShutdown; open ones are counted as leaks first. */
void eventsForget(void);
void gpmForget(void);
void eventsSettle(void);
unsigned eventSetsOpen(void);
unsigned gpmSamplesOpen(void);
uint64_t eventsDropped(void);
