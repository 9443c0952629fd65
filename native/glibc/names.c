/*
 * glibc's other names for what musl has by one, and the few functions of it that are small.
 *
 * Not here: names that end in 64 (open64, mmap64, __xstat64). musl's loader finds what they stand for by itself.
 */
#include "musl.h"

enum { EINTR = 4, ENOSYS = 38 };

/* ---- scanning by the rules of C23: musl has those of C11, which differ in numbers that begin with 0b ---- */

EXPORT long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
EXPORT unsigned long __isoc23_strtoul(const char *text, char **end, int base) { return strtoul(text, end, base); }
EXPORT long long __isoc23_strtoll(const char *text, char **end, int base) { return strtoll(text, end, base); }
EXPORT unsigned long long __isoc23_strtoull(const char *text, char **end, int base) { return strtoull(text, end, base); }
EXPORT intmax_t __isoc23_strtoimax(const char *text, char **end, int base) { return strtoll(text, end, base); }
EXPORT uintmax_t __isoc23_strtoumax(const char *text, char **end, int base) { return strtoull(text, end, base); }
EXPORT int __isoc23_vscanf(const char *format, va_list arguments) { return vscanf(format, arguments); }
EXPORT int __isoc23_vfscanf(FILE *file, const char *format, va_list arguments) { return vfscanf(file, format, arguments); }
EXPORT int __isoc23_vsscanf(const char *text, const char *format, va_list arguments) { return vsscanf(text, format, arguments); }

EXPORT int __isoc23_scanf(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int count = vscanf(format, arguments);
  va_end(arguments);
  return count;
}

EXPORT int __isoc23_fscanf(FILE *file, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int count = vfscanf(file, format, arguments);
  va_end(arguments);
  return count;
}

EXPORT int __isoc23_sscanf(const char *text, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int count = vsscanf(text, format, arguments);
  va_end(arguments);
  return count;
}

/* ---- text ---- */

EXPORT char *__strdup(const char *text) { return strdup(text); }
EXPORT char *__strtok_r(char *text, const char *ends, char **rest) { return strtok_r(text, ends, rest); }
EXPORT char *__strsep_g(char **text, const char *ends) { return strsep(text, ends); }
EXPORT void *rawmemchr(const void *text, int byte) { return memchr(text, byte, SIZE_MAX); }
EXPORT void *__rawmemchr(const void *text, int byte) { return memchr(text, byte, SIZE_MAX); }
EXPORT size_t __strftime_l(char *to, size_t size, const char *format, const void *time, locale_t locale) {
  return strftime_l(to, size, format, time, locale);
}

/* `group` asks for a thousands' separator, which the C locale does not have. */
EXPORT double __strtod_internal(const char *text, char **end, int group) {
  (void)group;
  return strtod(text, end);
}

/* The table of characters' kinds, before there was one for each thread's locale. musl's is the same, bit by bit. */
EXPORT const unsigned short *__ctype_b;
__attribute__((constructor)) static void setTable(void) { __ctype_b = *__ctype_b_loc(); }

/* ---- numbers: functions in glibc, macros in musl ---- */

EXPORT int __isnan(double number) { return __builtin_isnan(number); }
EXPORT int __isnanf(float number) { return __builtin_isnan(number); }
EXPORT int __isinf(double number) { return __builtin_isinf_sign(number); }
EXPORT int __isinff(float number) { return __builtin_isinf_sign(number); }
EXPORT int __finite(double number) { return __builtin_isfinite(number); }
EXPORT int __finitef(float number) { return __builtin_isfinite(number); }

/* ---- memory ---- */

EXPORT void *__libc_malloc(size_t size) { return malloc(size); }
EXPORT void *__libc_calloc(size_t count, size_t size) { return calloc(count, size); }
EXPORT void *__libc_realloc(void *memory, size_t size) { return realloc(memory, size); }
EXPORT void *__libc_memalign(size_t align, size_t size) { return memalign(align, size); }
EXPORT void __libc_free(void *memory) { free(memory); }

/* Nothing was given back to the system. */
EXPORT int malloc_trim(size_t keep) {
  (void)keep;
  return 0;
}

/* No such parameter. */
EXPORT int mallopt(int parameter, int value) {
  (void)parameter, (void)value;
  return 0;
}

/* ---- the system ---- */

EXPORT char *__secure_getenv(const char *name) { return secure_getenv(name); }

/* Whatever the third argument is, it travels as a word. */
EXPORT int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  return fcntl(fd, command, argument);
}

/* struct msghdr from its ancillary data on, and struct cmsghdr, as the kernel has them. */
struct ancillary { size_t length; int level, type; };
struct message { char name[32]; char *ancillary; size_t ancillaryLength; };
_Static_assert(offsetof(struct message, ancillary) == 32, "behind name, its length, and the vector and its length");

EXPORT struct ancillary *__cmsg_nxthdr(struct message *message, struct ancillary *here) {
  size_t left = (size_t)(message->ancillary + message->ancillaryLength - (char *)here);
  if (here->length < sizeof *here || left < sizeof *here) return NULL;
  size_t step = (here->length + 7) & ~(size_t)7;
  if (step < here->length || step > left - sizeof *here) return NULL;
  struct ancillary *next = (struct ancillary *)((char *)here + step);
  /* Its length may be anything in a message that is still being put together, so long as it fits. */
  size_t length = (next->length + 7) & ~(size_t)7;
  return length < next->length || length > left - step ? NULL : next;
}

/* glibc 2.36; numbers that can't be had end the process there too. */
EXPORT void arc4random_buf(void *to, size_t size) {
  char *at = to;
  while (size > 0) {
    ssize_t got = getrandom(at, size, 0);
    if (got < 0 && *__errno_location() != EINTR) abort();
    if (got > 0) at += got, size -= (size_t)got;
  }
}

EXPORT uint32_t arc4random(void) {
  uint32_t number;
  arc4random_buf(&number, sizeof number);
  return number;
}

/* ---- gone from glibc or from the kernel; drivers up to 418 name them ---- */

EXPORT int sysctl(void) {
  *__errno_location() = ENOSYS;
  return -1;
}

/* Sun's remote calls, by which nvidia-persistenced is asked for persistence mode: it can't be asked. */
EXPORT void *clntunix_create(void) { return NULL; }
EXPORT int xdr_int(void) { return 0; }
EXPORT int xdr_enum(void) { return 0; }
