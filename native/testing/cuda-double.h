/* What the files of the double of libcuda share: what a program holds, and the frame of a call. */
#pragma once
#include "cuda-functions.h"
#include "double.h"

#define DEVICES_MAX 64
#define OBJECTS_MAX 1024
#define ENTRIES_MAX 16
/* Larger memory is addresses only. */
#define CONTENTS_MAX (1u << 20)

enum result {
  SUCCESS = 0, INVALID_VALUE = 1, NO_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
  INVALID_IMAGE = 200, INVALID_CONTEXT = 201, NO_BINARY_FOR_GPU = 209, INVALID_PTX = 218, UNSUPPORTED_PTX_VERSION = 222,
  INVALID_HANDLE = 400, NO_SUCH_NAME = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700, TOO_MANY_RESOURCES = 701,
};

enum cudaFunction {
#define NUMBERED(name) CALL_##name,
  CUDA_FUNCTIONS(NUMBERED)
#undef NUMBERED
  CUDA_CALLS,
};

/* What a program holds: contexts are counted, the others stand in one table. Handles point nowhere. */
enum sort { FREE_SLOT, MEMORY, HOST_MEMORY, MODULE, KERNEL, EVENT, STREAM };
struct object {
  enum sort sort;
  unsigned turn, device;
  uint64_t address, size;    /* memory */
  void *host;                /* host memory; what memory of up to CONTENTS_MAX holds */
  unsigned module;           /* kernel: whose it is */
  char name[128];            /* kernel; of a module, its entries */
  char entries[ENTRIES_MAX][128];
  unsigned entryCount;
  double seconds;            /* event: when it is reached on the device's clock */
  bool isRecorded;
};

extern struct object objects[OBJECTS_MAX];
extern unsigned retained[DEVICES_MAX];
extern uint64_t allocated[DEVICES_MAX], launches;
/* Until when each device has work, in seconds of its own. */
extern double busyUntil[DEVICES_MAX];
/* The device of the thread's current context, plus one. */
extern _Thread_local unsigned current;

struct frame { bool isOver; int code; };
struct frame frameBegin(enum cudaFunction function, bool needsInit);
void frameEnd(struct frame *frame);

#define FRAME_OF(name, needsInit) \
  __attribute__((cleanup(frameEnd))) struct frame frame = frameBegin(CALL_##name, needsInit); \
  if (frame.isOver) return frame.code
#define CUDA(name) FRAME_OF(name, true)
/* With a current context, whose device is `device`. */
#define IN_CONTEXT(name) \
  CUDA(name); \
  if (current == 0 || retained[current - 1] == 0) return wrong(INVALID_CONTEXT); \
  unsigned device = current - 1; \
  int lost = stateOf(device); \
  if (lost != SUCCESS) return lost

/* A code for a call that no caller would make who does as the manual says; counted. */
int wrong(int code);
int stateOf(unsigned device);
double rateOf(unsigned device, const char *leaf);
void work(unsigned device, double seconds);
uint64_t totalOf(int device);

void *handleTo(unsigned slot);
struct object *objectOf(const void *given, enum sort sort);
struct object *objectMake(enum sort sort, unsigned device);
unsigned slotOf(const struct object *object);
/* The memory in which all of these bytes lie. */
struct object *memoryAt(uint64_t address, uint64_t size);
/* The default stream, its two special names, or one that was made. */
bool isStream(const void *stream);
/* What a kernel leaves in memory: see cuda-arithmetic.c. */
void compute(unsigned device, const char *name, const unsigned grid[3], void *const *parameters);
