/* Lets the shim be a library of a program on glibc: fills in what the post-linker would have. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "../../native/static/shim.h"

extern char classTable[] __asm__("_ZTVN10__cxxabiv117__class_type_infoE");
extern char singleTable[] __asm__("_ZTVN10__cxxabiv120__si_class_type_infoE");
extern char manyTable[] __asm__("_ZTVN10__cxxabiv121__vmi_class_type_infoE");

static void *waitSlot, *abortSlotValue, *clockSlotValue;

__attribute__((constructor)) static void configure(void) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)&config & ~(page - 1);
  if (mprotect((void *)start, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) abort();
  waitSlot = (void *)pthread_cond_wait;
  abortSlotValue = (void *)abort;
  clockSlotValue = (void *)clock_gettime;
  struct config *own = (struct config *)(uintptr_t)&config;
  own->condWaitSlot = (uint64_t)&waitSlot;
  own->abortSlot = (uint64_t)&abortSlotValue;
  own->clockSlot = (uint64_t)&clockSlotValue;
  own->classVtable = (uint64_t)classTable;
  own->singleVtable = (uint64_t)singleTable;
  own->manyVtable = (uint64_t)manyTable;
}
