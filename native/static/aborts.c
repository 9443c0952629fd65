/*
 * What C++ calls when nothing can go on. Bun is built without exceptions, so that each of these ends the process: with
 * libstdc++ by std::terminate, here by a line and abort().
 */
#include "shim.h"

static void say(const char *text) {
  size_t size = 0;
  while (text[size] != 0) size++;
  systemCall(WRITE, 2, (int64_t)text, (int64_t)size, 0);
}

_Noreturn void fatal(const char *what, const char *why) {
  say("fatal: ");
  say(what);
  if (why != NULL) {
    say(": ");
    say(why);
  }
  say("\n");
  void (*abortProcess)(void) = (void (*)(void)) * (uint64_t *)config.abortSlot;
  abortProcess();
  for (;;) systemCall(EXIT_GROUP, 134, 0, 0, 0);
}

typedef void (*handler)(void);
static handler terminateHandler;

_Noreturn void terminateNow(void) CXX("_ZSt9terminatev");
_Noreturn void terminateNow(void) {
  if (terminateHandler != NULL) terminateHandler();
  fatal("std::terminate", NULL);
}

handler setTerminate(handler given) CXX("_ZSt13set_terminatePFvvE");
handler setTerminate(handler given) {
  return __atomic_exchange_n(&terminateHandler, given, __ATOMIC_ACQ_REL);
}

handler newHandler(void) CXX("_ZSt15get_new_handlerv");
handler newHandler(void) {
  return NULL;
}

#define ABORTS(name, mangled, arguments, what, why) \
  _Noreturn void name arguments CXX(mangled);       \
  void name arguments {                             \
    fatal(what, why);                               \
  }

ABORTS(lengthError, "_ZSt20__throw_length_errorPKc", (const char *why), "std::length_error", why)
ABORTS(badArrayLength, "_ZSt28__throw_bad_array_new_lengthv", (void), "std::bad_array_new_length", NULL)
ABORTS(badAlloc, "_ZSt17__throw_bad_allocv", (void), "std::bad_alloc", NULL)
ABORTS(systemError, "_ZSt20__throw_system_errori", (int number __attribute__((unused))), "std::system_error", NULL)
ABORTS(outOfRange, "_ZSt24__throw_out_of_range_fmtPKcz", (const char *why, ...), "std::out_of_range", why)
ABORTS(logicError, "_ZSt19__throw_logic_errorPKc", (const char *why), "std::logic_error", why)
ABORTS(badFunction, "_ZSt25__throw_bad_function_callv", (void), "std::bad_function_call", NULL)
ABORTS(badTypeId, "__cxa_bad_typeid", (void), "std::bad_typeid", NULL)
ABORTS(pureVirtual, "__cxa_pure_virtual", (void), "pure virtual function call", NULL)
ABORTS(assertionFailed, "_ZSt21__glibcxx_assert_failPKciS0_S0_",
       (const char *file __attribute__((unused)), int line __attribute__((unused)),
        const char *function __attribute__((unused)), const char *condition),
       "assertion", condition)

/* Names in reports of crashes stay mangled: -2 says that it is not a valid name, and callers then print what they had. */
char *demangle(const char *name, char *buffer, size_t *size, int *status) CXX("__cxa_demangle");
char *demangle(const char *name __attribute__((unused)), char *buffer __attribute__((unused)),
               size_t *size __attribute__((unused)), int *status) {
  if (status != NULL) *status = -2;
  return NULL;
}
