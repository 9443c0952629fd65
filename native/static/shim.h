/*
 * What the files of the shim share: the configuration that the post-linker writes, system calls, the end of the process.
 * DESIGN.md tells what the shim is for. It is freestanding and imports nothing: the few functions of musl that it calls
 * are reached through the GOT slots that Bun's executable has for them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A C++ function by its mangled name. */
#define CXX(name) __asm__(name)
#define HIDDEN __attribute__((visibility("hidden")))
#define MAGIC 0x31306d6968736d69ull /* "imshim01" */

/* In the order of FIELDS in scripts/static/shim.ts, each 8 bytes wide. */
struct config {
  uint64_t magic;
  /* Where Bun starts, where its program headers are in memory, and how many. */
  uint64_t appEntry, appHeaders, appHeaderCount;
  uint64_t loaderBase, loaderEntry;
  /* Addresses of GOT slots. */
  uint64_t condWaitSlot, abortSlot, onceCallSlot, clockSlot;
  /* Addresses of the vtables of the three kinds of std::type_info. */
  uint64_t classVtable, singleVtable, manyVtable;
};
/* Volatile: its values aren't there yet when it is compiled. */
extern volatile const struct config config;

#define ONCE_CALL_SLOT_AT 64
_Static_assert(offsetof(struct config, onceCallSlot) == ONCE_CALL_SLOT_AT, "assembly reads it there");

#if defined __x86_64__
enum { WRITE = 1, FUTEX = 202, EXIT_GROUP = 231 };
static inline int64_t systemCall(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d) {
  int64_t result;
  register int64_t fourth __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined __aarch64__
enum { WRITE = 64, FUTEX = 98, EXIT_GROUP = 94 };
static inline int64_t systemCall(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d) {
  register int64_t x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register int64_t x2 __asm__("x2") = c, x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
#else
#error "the shim knows x86-64 and aarch64"
#endif

/* Says what happened on standard error and aborts. `why` may be NULL. */
_Noreturn void fatal(const char *what, const char *why) HIDDEN;
