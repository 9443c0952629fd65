/*
 * Event sets. XIDs are lines of the scenario, each with a number of its own: one that appears while a set is registered
 * for its GPU is delivered to it once; what happened before that is not, as with the real library.
 */
#include <stdlib.h>
#include "nvml-double.h"

#define SETS_MAX 64
#define QUEUE_MAX 8192
#define DEVICES_MAX 64
#define XID_CRITICAL 0x8ull

struct event { handle device; unsigned long long type, data; unsigned gpuInstance, computeInstance; };
_Static_assert(sizeof(struct event) == 32, "nvmlEventData_t");

struct set {
  bool isOpen;
  unsigned turn;
  unsigned long long types[DEVICES_MAX];
  struct event *queue;
  size_t from, count;
};

static struct set sets[SETS_MAX];
static uint64_t settled, dropped;

unsigned eventSetsOpen(void) {
  unsigned open = 0;
  for (size_t i = 0; i < SETS_MAX; i++) open += sets[i].isOpen;
  return open;
}

uint64_t eventsDropped(void) { return dropped; }

void eventsForget(void) {
  for (size_t i = 0; i < SETS_MAX; i++) sets[i].isOpen = false;
}

static void deliver(const struct xid *xid, uint64_t number) {
  for (size_t i = 0; i < SETS_MAX; i++) {
    struct set *set = &sets[i];
    if (!set->isOpen || xid->gpu >= DEVICES_MAX || (set->types[xid->gpu] & XID_CRITICAL) == 0) continue;
    if (set->count == QUEUE_MAX) {
      dropped += 1;
      continue;
    }
    set->queue[(set->from + set->count) % QUEUE_MAX] = (struct event){
      handleOf(DEVICE, xid->gpu, 0), XID_CRITICAL, xid->code, xid->gpuInstance, xid->computeInstance,
    };
    set->count += 1;
  }
  if (number > settled) settled = number;
}

/* What is new in the scenario since the last look goes to the sets that are there now. */
void eventsSettle(void) {
  const struct xid *xids;
  size_t count = scenarioXids(&xids);
  uint64_t before = settled;
  for (size_t i = 0; i < count; i++) {
    for (uint64_t number = xids[i].from; number <= xids[i].to; number++) {
      if (number > before) deliver(&xids[i], number);
    }
  }
}

static struct set *setOf(handle given) {
  unsigned slot, turn;
  if (!handleRead(given, EVENT_SET, &slot, &turn) || slot >= SETS_MAX) return NULL;
  return sets[slot].isOpen && sets[slot].turn == turn ? &sets[slot] : NULL;
}

EXPORT int nvmlEventSetCreate(handle *out) {
  CALL(nvmlEventSetCreate);
  NEEDS(out);
  for (unsigned i = 0; i < SETS_MAX; i++) {
    if (sets[i].isOpen) continue;
    struct event *queue = sets[i].queue != NULL ? sets[i].queue : calloc(QUEUE_MAX, sizeof *queue);
    if (queue == NULL) return OUT_OF_MEMORY;
    sets[i] = (struct set){ .isOpen = true, .turn = (sets[i].turn + 1) & 0x3FF, .queue = queue };
    *out = handleOf(EVENT_SET, i, sets[i].turn);
    return OK;
  }
  return OUT_OF_MEMORY;
}

EXPORT int nvmlEventSetFree(handle given) {
  CALL(nvmlEventSetFree);
  struct set *set = setOf(given);
  if (set == NULL) return misuse("nvmlEventSetFree");
  set->isOpen = false;
  return OK;
}

EXPORT int nvmlDeviceGetSupportedEventTypes(handle device, unsigned long long *out) {
  CALL(nvmlDeviceGetSupportedEventTypes);
  ON(device);
  return at.isMig ? NOT_SUPPORTED : giveLong(scenarioOf(at.gpu, NO_PART, 0, "events"), out);
}

EXPORT int nvmlDeviceRegisterEvents(handle device, unsigned long long types, handle given) {
  CALL(nvmlDeviceRegisterEvents);
  struct set *set = setOf(given);
  if (set == NULL) return misuse("nvmlDeviceRegisterEvents");
  ON(device);
  if (at.isMig) return NOT_SUPPORTED;
  unsigned long long supported = 0;
  int code = giveLong(scenarioOf(at.gpu, NO_PART, 0, "events"), &supported);
  if (code != OK) return code;
  if ((types & ~supported) != 0) return NOT_SUPPORTED;
  if (at.gpu < DEVICES_MAX) set->types[at.gpu] |= types;
  return OK;
}

/* An event, else the state of a registered GPU that is gone, else nothing yet. */
static int next(struct set *set, struct event *out) {
  if (set->count > 0) {
    *out = set->queue[set->from];
    set->from = (set->from + 1) % QUEUE_MAX;
    set->count -= 1;
    return OK;
  }
  for (unsigned gpu = 0; gpu < DEVICES_MAX; gpu++) {
    if (set->types[gpu] != 0 && gpuState(gpu) == GPU_IS_LOST) return GPU_IS_LOST;
  }
  return TIMEOUT;
}

static int wait(handle given, struct event *out, unsigned timeoutMs) {
  NEEDS(out);
  if (setOf(given) == NULL) return misuse("nvmlEventSetWait");
  uint64_t until = nowMicroseconds() + (uint64_t)timeoutMs * 1000;
  for (;;) {
    struct set *set = setOf(given);
    if (set == NULL) return UNKNOWN;
    int code = next(set, out);
    if (code != TIMEOUT) return code;
    uint64_t now = nowMicroseconds();
    if (now >= until) return TIMEOUT;
    pauseFor(until - now < 2000 ? until - now : 2000);
    if (scenarioRefresh()) scenarioChanged();
  }
}

EXPORT int nvmlEventSetWait_v2(handle set, struct event *out, unsigned timeoutMs) {
  CALL(nvmlEventSetWait_v2);
  return wait(set, out, timeoutMs);
}

EXPORT int nvmlEventSetWait(handle set, struct event *out, unsigned timeoutMs) {
  CALL(nvmlEventSetWait);
  return wait(set, out, timeoutMs);
}
