/*
 * What this library calls of musl, and the types of it, declared here: the headers of the C library that a compiler comes
 * with would turn calls into the very names that are defined in this folder. DESIGN.md tells what the library is for.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

typedef long ssize_t;
typedef long off_t;
/* Never looked into. */
typedef struct file FILE;
typedef void *locale_t;
/* Of time_t's size in both libraries, on processors of 64 bits. */
struct timespec { long seconds, nanoseconds; };
/* As large as the larger one, glibc's for aarch64, and more. */
struct threadAttributes { long words[16]; };

/* Memory and text. */
void *malloc(size_t);
void *calloc(size_t, size_t);
void *realloc(void *, size_t);
void *memalign(size_t, size_t);
void free(void *);
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
void *memchr(const void *, int, size_t);
void *mempcpy(void *, const void *, size_t);
void explicit_bzero(void *, size_t);
size_t strlen(const char *);
size_t strnlen(const char *, size_t);
int strcmp(const char *, const char *);
char *strcpy(char *, const char *);
char *stpcpy(char *, const char *);
char *strncpy(char *, const char *, size_t);
char *stpncpy(char *, const char *, size_t);
char *strcat(char *, const char *);
char *strncat(char *, const char *, size_t);
size_t strlcpy(char *, const char *, size_t);
size_t strlcat(char *, const char *, size_t);
char *strdup(const char *);
char *strsep(char **, const char *);
char *strtok_r(char *, const char *, char **);
double strtod(const char *, char **);
long strtol(const char *, char **, int);
unsigned long strtoul(const char *, char **, int);
long long strtoll(const char *, char **, int);
unsigned long long strtoull(const char *, char **, int);
size_t strftime_l(char *, size_t, const char *, const void *, locale_t);
char *secure_getenv(const char *);
const unsigned short **__ctype_b_loc(void);

/* Printing and reading. */
int vprintf(const char *, va_list);
int vfprintf(FILE *, const char *, va_list);
int vdprintf(int, const char *, va_list);
int vsprintf(char *, const char *, va_list);
int vsnprintf(char *, size_t, const char *, va_list);
int vasprintf(char **, const char *, va_list);
int vscanf(const char *, va_list);
int vfscanf(FILE *, const char *, va_list);
int vsscanf(const char *, const char *, va_list);
void vsyslog(int, const char *, va_list);
char *fgets(char *, int, FILE *);
size_t fread(void *, size_t, size_t, FILE *);

/* The kernel's calls. */
ssize_t write(int, const void *, size_t);
ssize_t read(int, void *, size_t);
ssize_t pread(int, void *, size_t, off_t);
ssize_t recv(int, void *, size_t, int);
ssize_t recvfrom(int, void *, size_t, int, void *, void *);
ssize_t readlink(const char *, char *, size_t);
ssize_t readlinkat(int, const char *, char *, size_t);
ssize_t getrandom(void *, size_t, unsigned);
int open(const char *, int, ...);
int openat(int, const char *, int, ...);
int fcntl(int, int, ...);
int poll(void *, unsigned long, int);
int gethostname(char *, size_t);
int getgroups(int, unsigned *);
char *getcwd(char *, size_t);
char *realpath(const char *, char *);
unsigned long getauxval(unsigned long);
int clock_gettime(int, struct timespec *);
int *__errno_location(void);
_Noreturn void abort(void);
_Noreturn void longjmp(void *, int);

/* Threads. */
int pthread_atfork(void (*)(void), void (*)(void), void (*)(void));
int pthread_key_create(unsigned *, void (*)(void *));
void *pthread_getspecific(unsigned);
int pthread_setspecific(unsigned, const void *);
int pthread_once(int *, void (*)(void));
int pthread_attr_init(struct threadAttributes *);
int pthread_attr_setstacksize(struct threadAttributes *, size_t);
int pthread_setattr_default_np(const struct threadAttributes *);
int pthread_cond_timedwait(void *, void *, const struct timespec *);
int pthread_mutex_timedlock(void *, const struct timespec *);
int pthread_rwlock_timedrdlock(void *, const struct timespec *);
int pthread_rwlock_timedwrlock(void *, const struct timespec *);
int sem_timedwait(void *, const struct timespec *);

/* The loader. */
void *dlopen(const char *, int);
void *dlsym(void *, const char *);
int dlinfo(void *, int, void *);
