/* Calls as a scenario lets them fail: late, never, with a code, with a crash; and the file in which they are counted. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "double.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void callsLock(void) { pthread_mutex_lock(&lock); }
void callsUnlock(void) { pthread_mutex_unlock(&lock); }

void reportWrite(const char *key, const char *text, size_t length) {
  const struct value *path = scenarioGet(key);
  if (path == NULL || path->kind != TEXT) return;
  char fresh[1100];
  snprintf(fresh, sizeof fresh, "%s.%d", path->text, (int)getpid());
  FILE *stream = fopen(fresh, "we");
  if (stream == NULL) return;
  fwrite(text, 1, length, stream);
  fclose(stream);
  rename(fresh, path->text);
}

static const struct value *faultOf(int gpu, const char *name, const char *what) {
  char key[128];
  for (int tried = 0; tried < 2; tried++) {
    snprintf(key, sizeof key, "call.%s.%s", tried == 0 ? name : "*", what);
    const struct value *found = gpu < 0 ? scenarioText(key) : scenarioTextOf((unsigned)gpu, NO_PART, 0, key);
    if (found != NULL) return found;
  }
  return NULL;
}

void pauseFor(uint64_t microseconds) {
  struct timespec left = { (time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000 };
  pthread_mutex_unlock(&lock);
  while (nanosleep(&left, &left) != 0) continue;
  pthread_mutex_lock(&lock);
}

/* For some seconds, or (0) for as long as the scenario says so. */
static void hang(int gpu, const char *name) {
  uint64_t from = nowMicroseconds();
  for (;;) {
    const struct value *fault = faultOf(gpu, name, "hang");
    if (fault == NULL || fault->kind == FAILURE) return;
    double seconds = valueReal(fault);
    if (seconds > 0 && (double)(nowMicroseconds() - from) >= seconds * 1e6) return;
    pauseFor(5000);
    if (scenarioRefresh()) scenarioChanged();
  }
}

static void crash(const struct value *how) {
  if (how->whole == 0) return;
  if (how->whole == 2) abort();
  *(volatile int *)8 = 1;
}

/* True where the call ends here, with `code`. */
bool faultsPlay(int gpu, const char *name, uint64_t count, int *code) {
  if (!scenarioHasFaults()) return false;
  if (count <= wholeOr(faultOf(gpu, name, "after"), 0)) return false;
  uint64_t delay = wholeOr(faultOf(gpu, name, "delay_us"), 0);
  if (delay > 0) pauseFor(delay);
  hang(gpu, name);
  const struct value *fault = faultOf(gpu, name, "crash");
  if (fault != NULL) crash(fault);
  fault = faultOf(gpu, name, "error");
  if (fault != NULL) {
    *code = (int)valueWhole(fault);
    return *code != OK;
  }
  // Success is claimed, and nothing written.
  *code = OK;
  return wholeOr(faultOf(gpu, name, "silent"), 0) == 1;
}
