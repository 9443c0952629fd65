/*
 * Threads. A library allocates mutexes, conditions, semaphores and attributes by glibc's sizes, and musl fills them: on
 * x86-64 all are as large in both, on aarch64 musl's are smaller, so nothing is written beyond an object. All zeros is what
 * static initialisers are in both, but for glibc's own kinds (PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP and its like), which
 * musl takes for a plain mutex. The numbers of kinds, of clocks and of errors are the same.
 */
#include "musl.h"

/* What a thread has by default under glibc, and the most that musl gives; its own default is 128 KB. */
#define STACK_BYTES (8u << 20)
enum { CLOCK_REALTIME = 0, BILLION = 1000000000 };

/* Tells code that threads are not counted for (libstdc++'s shared pointers) that there may be several. */
EXPORT char __libc_single_threaded = 0;

/* For threads that libraries start without a word about their stacks. */
__attribute__((constructor)) static void giveThreadsRoom(void) {
  struct threadAttributes attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0) pthread_setattr_default_np(&attributes);
}

EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *library) {
  /* glibc forgets them when the library is closed. musl never unloads one. */
  (void)library;
  return pthread_atfork(prepare, parent, child);
}

/* libgcc looks for it to know whether there are threads. */
EXPORT int __pthread_key_create(unsigned *key, void (*destroy)(void *)) { return pthread_key_create(key, destroy); }

/* ---- the ends of C++'s thread_local variables ---- */

struct ending {
  void (*run)(void *);
  void *object;
  struct ending *next;
};
static unsigned endingsKey;
static int endingsOnce, endingsFault;

/* Last in, first out; an ending may register another one, which the key's next round runs. */
static void runEndings(void *first) {
  for (struct ending *one = first, *next; one != NULL; one = next) {
    next = one->next;
    one->run(one->object);
    free(one);
  }
}

static void makeEndingsKey(void) { endingsFault = pthread_key_create(&endingsKey, runEndings); }

/* Those of the first thread are not run when the process ends. */
EXPORT int __cxa_thread_atexit_impl(void (*run)(void *), void *object, void *library) {
  (void)library;
  pthread_once(&endingsOnce, makeEndingsKey);
  if (endingsFault != 0) return -1;
  struct ending *ending = malloc(sizeof *ending);
  if (ending == NULL) return -1;
  *ending = (struct ending){ run, object, pthread_getspecific(endingsKey) };
  if (pthread_setspecific(endingsKey, ending) == 0) return 0;
  free(ending);
  return -1;
}

/* ---- waiting until a time of a given clock (glibc 2.30) ---- */

/*
 * musl waits by the clock of the object, the wall's unless it was made otherwise. So the time is told by that one; where
 * the wall's clock is set meanwhile the wait becomes as much longer or shorter.
 */
static struct timespec onTheWall(int clock, const struct timespec *until) {
  struct timespec there, here;
  if (clock == CLOCK_REALTIME || clock_gettime(clock, &there) != 0) return *until;
  clock_gettime(CLOCK_REALTIME, &here);
  here.seconds += until->seconds - there.seconds;
  here.nanoseconds += until->nanoseconds - there.nanoseconds;
  if (here.nanoseconds < 0) here.seconds--, here.nanoseconds += BILLION;
  if (here.nanoseconds >= BILLION) here.seconds++, here.nanoseconds -= BILLION;
  return here;
}

EXPORT int pthread_cond_clockwait(void *condition, void *mutex, int clock, const struct timespec *until) {
  struct timespec wall = onTheWall(clock, until);
  return pthread_cond_timedwait(condition, mutex, &wall);
}

EXPORT int pthread_mutex_clocklock(void *mutex, int clock, const struct timespec *until) {
  struct timespec wall = onTheWall(clock, until);
  return pthread_mutex_timedlock(mutex, &wall);
}

EXPORT int pthread_rwlock_clockrdlock(void *lock, int clock, const struct timespec *until) {
  struct timespec wall = onTheWall(clock, until);
  return pthread_rwlock_timedrdlock(lock, &wall);
}

EXPORT int pthread_rwlock_clockwrlock(void *lock, int clock, const struct timespec *until) {
  struct timespec wall = onTheWall(clock, until);
  return pthread_rwlock_timedwrlock(lock, &wall);
}

EXPORT int sem_clockwait(void *semaphore, int clock, const struct timespec *until) {
  struct timespec wall = onTheWall(clock, until);
  return sem_timedwait(semaphore, &wall);
}

/* ---- sets of processors of any size: CPU_ALLOC ---- */

EXPORT void *__sched_cpualloc(size_t processors) { return calloc((processors + 63) / 64, 8); }
EXPORT void __sched_cpufree(void *set) { free(set); }
