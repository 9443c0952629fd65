/*
 * With _FORTIFY_SOURCE, which distributions build with, glibc's headers turn calls into these: the size that the compiler
 * knows of the buffer comes with them, and one that would not do ends the process. Where the compiler knows none it is
 * SIZE_MAX. The flag of those that print asks glibc to refuse %n in writable memory, which musl does not know.
 */
#include "musl.h"

EXPORT _Noreturn void __chk_fail(void) {
  static const char message[] = "*** buffer overflow detected ***: a library built for glibc is ended\n";
  (void)!write(2, message, sizeof message - 1);
  abort();
}

static inline void fits(size_t wanted, size_t room) {
  if (wanted > room) __chk_fail();
}

/* ---- memory and text ---- */

EXPORT void *__memcpy_chk(void *to, const void *from, size_t size, size_t room) {
  fits(size, room);
  return memcpy(to, from, size);
}

EXPORT void *__memmove_chk(void *to, const void *from, size_t size, size_t room) {
  fits(size, room);
  return memmove(to, from, size);
}

EXPORT void *__mempcpy_chk(void *to, const void *from, size_t size, size_t room) {
  fits(size, room);
  return mempcpy(to, from, size);
}

EXPORT void *__memset_chk(void *to, int byte, size_t size, size_t room) {
  fits(size, room);
  return memset(to, byte, size);
}

EXPORT void __explicit_bzero_chk(void *to, size_t size, size_t room) {
  fits(size, room);
  explicit_bzero(to, size);
}

EXPORT char *__strcpy_chk(char *to, const char *from, size_t room) {
  fits(strlen(from) + 1, room);
  return strcpy(to, from);
}

EXPORT char *__stpcpy_chk(char *to, const char *from, size_t room) {
  fits(strlen(from) + 1, room);
  return stpcpy(to, from);
}

EXPORT char *__strncpy_chk(char *to, const char *from, size_t size, size_t room) {
  fits(size, room);
  return strncpy(to, from, size);
}

EXPORT char *__stpncpy_chk(char *to, const char *from, size_t size, size_t room) {
  fits(size, room);
  return stpncpy(to, from, size);
}

EXPORT char *__strcat_chk(char *to, const char *from, size_t room) {
  fits(strlen(to) + strlen(from) + 1, room);
  return strcat(to, from);
}

EXPORT char *__strncat_chk(char *to, const char *from, size_t size, size_t room) {
  fits(strlen(to) + strnlen(from, size) + 1, room);
  return strncat(to, from, size);
}

EXPORT size_t __strlcpy_chk(char *to, const char *from, size_t size, size_t room) {
  fits(size, room);
  return strlcpy(to, from, size);
}

EXPORT size_t __strlcat_chk(char *to, const char *from, size_t size, size_t room) {
  fits(size, room);
  return strlcat(to, from, size);
}

/* ---- printing ---- */

#define LAST_TO(result, call) \
  va_list arguments; \
  va_start(arguments, format); \
  result = call; \
  va_end(arguments)

EXPORT int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, va_list arguments) {
  (void)flag;
  fits(size, room);
  return vsnprintf(to, size, format, arguments);
}

EXPORT int __vsprintf_chk(char *to, int flag, size_t room, const char *format, va_list arguments) {
  (void)flag;
  /* musl's vsnprintf refuses sizes beyond this. */
  if (room > INT32_MAX) return vsprintf(to, format, arguments);
  int length = vsnprintf(to, room, format, arguments);
  if (length >= 0) fits((size_t)length + 1, room);
  return length;
}

EXPORT int __vprintf_chk(int flag, const char *format, va_list arguments) {
  (void)flag;
  return vprintf(format, arguments);
}

EXPORT int __vfprintf_chk(FILE *file, int flag, const char *format, va_list arguments) {
  (void)flag;
  return vfprintf(file, format, arguments);
}

EXPORT int __vdprintf_chk(int fd, int flag, const char *format, va_list arguments) {
  (void)flag;
  return vdprintf(fd, format, arguments);
}

EXPORT int __vasprintf_chk(char **to, int flag, const char *format, va_list arguments) {
  (void)flag;
  return vasprintf(to, format, arguments);
}

EXPORT void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments) {
  (void)flag;
  vsyslog(priority, format, arguments);
}

EXPORT int __snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...) {
  int length;
  LAST_TO(length, __vsnprintf_chk(to, size, flag, room, format, arguments));
  return length;
}

EXPORT int __sprintf_chk(char *to, int flag, size_t room, const char *format, ...) {
  int length;
  LAST_TO(length, __vsprintf_chk(to, flag, room, format, arguments));
  return length;
}

EXPORT int __printf_chk(int flag, const char *format, ...) {
  (void)flag;
  int length;
  LAST_TO(length, vprintf(format, arguments));
  return length;
}

EXPORT int __fprintf_chk(FILE *file, int flag, const char *format, ...) {
  (void)flag;
  int length;
  LAST_TO(length, vfprintf(file, format, arguments));
  return length;
}

EXPORT int __dprintf_chk(int fd, int flag, const char *format, ...) {
  (void)flag;
  int length;
  LAST_TO(length, vdprintf(fd, format, arguments));
  return length;
}

EXPORT int __asprintf_chk(char **to, int flag, const char *format, ...) {
  (void)flag;
  int length;
  LAST_TO(length, vasprintf(to, format, arguments));
  return length;
}

EXPORT void __syslog_chk(int priority, int flag, const char *format, ...) {
  (void)flag;
  va_list arguments;
  va_start(arguments, format);
  vsyslog(priority, format, arguments);
  va_end(arguments);
}

/* ---- reading ---- */

EXPORT char *__fgets_chk(char *to, size_t room, int size, FILE *file) {
  if (size > 0) fits((size_t)size, room);
  return fgets(to, size, file);
}

EXPORT size_t __fread_chk(void *to, size_t room, size_t size, size_t count, FILE *file) {
  size_t whole;
  if (__builtin_mul_overflow(size, count, &whole)) __chk_fail();
  fits(whole, room);
  return fread(to, size, count, file);
}

EXPORT ssize_t __read_chk(int fd, void *to, size_t size, size_t room) {
  fits(size, room);
  return read(fd, to, size);
}

EXPORT ssize_t __pread_chk(int fd, void *to, size_t size, off_t at, size_t room) {
  fits(size, room);
  return pread(fd, to, size, at);
}

EXPORT ssize_t __pread64_chk(int fd, void *to, size_t size, off_t at, size_t room) {
  return __pread_chk(fd, to, size, at, room);
}

EXPORT ssize_t __recv_chk(int fd, void *to, size_t size, size_t room, int flags) {
  fits(size, room);
  return recv(fd, to, size, flags);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *to, size_t size, size_t room, int flags, void *from, void *fromSize) {
  fits(size, room);
  return recvfrom(fd, to, size, flags, from, fromSize);
}

EXPORT ssize_t __readlink_chk(const char *path, char *to, size_t size, size_t room) {
  fits(size, room);
  return readlink(path, to, size);
}

EXPORT ssize_t __readlinkat_chk(int folder, const char *path, char *to, size_t size, size_t room) {
  fits(size, room);
  return readlinkat(folder, path, to, size);
}

EXPORT char *__getcwd_chk(char *to, size_t size, size_t room) {
  fits(size, room);
  return getcwd(to, size);
}

EXPORT char *__realpath_chk(const char *path, char *to, size_t room) {
  /* What realpath may write, whatever the path: PATH_MAX. */
  if (to != NULL) fits(4096, room);
  return realpath(path, to);
}

EXPORT int __gethostname_chk(char *to, size_t size, size_t room) {
  fits(size, room);
  return gethostname(to, size);
}

EXPORT int __getgroups_chk(int count, unsigned *to, size_t room) {
  if (count > 0) fits((size_t)count * sizeof *to, room);
  return getgroups(count, to);
}

EXPORT int __poll_chk(void *polls, unsigned long count, int timeoutMs, size_t room) {
  /* A struct pollfd has eight bytes. */
  fits(count, room / 8);
  return poll(polls, count, timeoutMs);
}

/* The word of an fd_set that a descriptor is in. */
EXPORT long __fdelt_chk(long fd) {
  if (fd < 0 || fd >= 1024) __chk_fail();
  return fd / 64;
}

/* For open without a mode, where the compiler can't see whether it is to make a file. */
EXPORT int __open_2(const char *path, int flags) { return open(path, flags, 0); }
EXPORT int __open64_2(const char *path, int flags) { return open(path, flags, 0); }
EXPORT int __openat_2(int folder, const char *path, int flags) { return openat(folder, path, flags, 0); }
EXPORT int __openat64_2(int folder, const char *path, int flags) { return openat(folder, path, flags, 0); }

EXPORT _Noreturn void __longjmp_chk(void *where, int value) { longjmp(where, value); }
