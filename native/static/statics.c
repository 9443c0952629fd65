/*
 * Threads: initialisation of local statics, std::condition_variable, std::chrono::steady_clock. The parts of
 * condition_variable that are not here (notify_one, notify_all, destructor) are musl's own functions by other names; the
 * post-linker binds them.
 */
#include "shim.h"

enum { WAIT_PRIVATE = 128, WAKE_PRIVATE = 129, ALL = 0x7fffffff };
/* A guard's first byte says that the static is made (Itanium C++ ABI, 3.3.3). Its second half is ours. */
enum { IDLE, RUNNING, WAITED_FOR };

static uint32_t *stateOf(uint64_t *guard) {
  return (uint32_t *)guard + 1;
}

static int isMade(uint64_t *guard) {
  return __atomic_load_n((uint8_t *)guard, __ATOMIC_ACQUIRE) != 0;
}

static void leave(uint64_t *guard) {
  uint32_t *state = stateOf(guard);
  if (__atomic_exchange_n(state, IDLE, __ATOMIC_ACQ_REL) == WAITED_FOR) {
    systemCall(FUTEX, (int64_t)state, WAKE_PRIVATE, ALL, 0);
  }
}

int guardAcquire(uint64_t *guard) CXX("__cxa_guard_acquire");
int guardAcquire(uint64_t *guard) {
  uint32_t *state = stateOf(guard);
  while (!isMade(guard)) {
    uint32_t seen = IDLE;
    if (__atomic_compare_exchange_n(state, &seen, RUNNING, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      if (!isMade(guard)) return 1;
      leave(guard);
      return 0;
    }
    const int isRunning = seen == RUNNING;
    if (isRunning && !__atomic_compare_exchange_n(state, &seen, WAITED_FOR, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      continue;
    }
    systemCall(FUTEX, (int64_t)state, WAIT_PRIVATE, WAITED_FOR, 0);
  }
  return 0;
}

void guardRelease(uint64_t *guard) CXX("__cxa_guard_release");
void guardRelease(uint64_t *guard) {
  __atomic_store_n((uint8_t *)guard, 1, __ATOMIC_RELEASE);
  leave(guard);
}

void guardAbort(uint64_t *guard) CXX("__cxa_guard_abort");
void guardAbort(uint64_t *guard) {
  leave(guard);
}

/* A std::condition_variable holds a pthread_cond_t of 48 bytes, which is all zeros at first. */
void conditionInit(uint64_t *condition) CXX("_ZNSt18condition_variableC1Ev");
void conditionInit(uint64_t *condition) {
  for (int i = 0; i < 6; i++) condition[i] = 0;
}

/* A std::unique_lock starts with the address of its mutex. */
void conditionWait(void *condition, void **lock) CXX("_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE");
void conditionWait(void *condition, void **lock) {
  int (*wait)(void *, void *) = (int (*)(void *, void *)) * (uint64_t *)config.condWaitSlot;
  wait(condition, *lock);
}

int64_t steadyNow(void) CXX("_ZNSt6chrono3_V212steady_clock3nowEv");
int64_t steadyNow(void) {
  enum { MONOTONIC = 1 };
  int64_t time[2];
  int (*clockTime)(int, int64_t *) = (int (*)(int, int64_t *)) * (uint64_t *)config.clockSlot;
  clockTime(MONOTONIC, time);
  return time[0] * 1000000000 + time[1];
}
