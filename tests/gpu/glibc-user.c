/*
 * A library as distributions build them for glibc: with FORTIFY_SOURCE, thread-local variables, threads, constructors. What
 * it does is checked here; glibcUserFault() tells the line of what is wrong first, 0 for nothing.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition) \
  do { \
    if (!(condition)) return __LINE__; \
  } while (0)
#define STACK_USED (1 << 20)

/* What the compiler can't foresee. */
static volatile size_t few = 4, none = 0;

static int constructed;
__attribute__((constructor)) static void construct(void) { constructed = 7; }

/* ---- thread-local variables: each thread has its own, set as they were declared ---- */

static _Thread_local int ownCount = 41;
static _Thread_local char ownText[64];

static int checkOwn(const char *name) {
  CHECK(ownCount == 41 && ownText[0] == 0);
  ownCount += 1;
  snprintf(ownText, sizeof ownText - few, "%s", name);
  CHECK(ownCount == 42 && strcmp(ownText, name) == 0);
  return 0;
}

static void *ownInThread(void *name) { return (void *)(long)checkOwn(name); }

static int threadLocals(void) {
  int fault = checkOwn("first");
  if (fault != 0) return fault;
  for (int i = 0; i < 4; i++) {
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, ownInThread, "other") == 0);
    CHECK(pthread_join(thread, &result) == 0);
    if (result != NULL) return (int)(long)result;
  }
  CHECK(strcmp(ownText, "first") == 0);
  return 0;
}

/* ---- threads: objects by glibc's sizes, with what lies behind them untouched ---- */

struct guarded {
  pthread_mutex_t mutex;
  long guard0;
  pthread_cond_t condition;
  long guard1;
  sem_t semaphore;
  long guard2;
  pthread_rwlock_t lock;
  long guard3;
  pthread_attr_t attributes;
  long guard4;
  pthread_barrier_t barrier;
  long guard5;
};
static struct guarded shared;
static int turns;

static void *takeTurns(void *unused) {
  (void)unused;
  for (int i = 0; i < 1000; i++) {
    pthread_mutex_lock(&shared.mutex);
    pthread_mutex_lock(&shared.mutex);
    turns += 1;
    pthread_cond_broadcast(&shared.condition);
    pthread_mutex_unlock(&shared.mutex);
    pthread_mutex_unlock(&shared.mutex);
    pthread_rwlock_rdlock(&shared.lock);
    pthread_rwlock_unlock(&shared.lock);
  }
  sem_post(&shared.semaphore);
  pthread_barrier_wait(&shared.barrier);
  return NULL;
}

/* More than musl gives a thread that asks for nothing. */
static void *useStack(void *unused) {
  (void)unused;
  volatile char room[STACK_USED];
  for (size_t i = 0; i < sizeof room; i += 4096) room[i] = 1;
  return (void *)(long)room[none];
}

static int threads(void) {
  memset(&shared, 0x5A, sizeof shared);
  pthread_mutexattr_t kind;
  CHECK(pthread_mutexattr_init(&kind) == 0 && pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE) == 0);
  CHECK(pthread_mutex_init(&shared.mutex, &kind) == 0 && pthread_cond_init(&shared.condition, NULL) == 0);
  CHECK(sem_init(&shared.semaphore, 0, 0) == 0 && pthread_rwlock_init(&shared.lock, NULL) == 0);
  CHECK(pthread_attr_init(&shared.attributes) == 0 && pthread_barrier_init(&shared.barrier, NULL, 3) == 0);
  pthread_t thread[2];
  for (int i = 0; i < 2; i++) CHECK(pthread_create(&thread[i], &shared.attributes, takeTurns, NULL) == 0);
  for (int i = 0; i < 2; i++) CHECK(sem_wait(&shared.semaphore) == 0);
  pthread_barrier_wait(&shared.barrier);
  for (int i = 0; i < 2; i++) CHECK(pthread_join(thread[i], NULL) == 0);
  CHECK(turns == 2000);
  const long guards[] = { shared.guard0, shared.guard1, shared.guard2, shared.guard3, shared.guard4, shared.guard5 };
  for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) CHECK(guards[i] == 0x5A5A5A5A5A5A5A5A);

  void *used;
  CHECK(pthread_create(&thread[0], NULL, useStack, NULL) == 0 && pthread_join(thread[0], &used) == 0);
  CHECK(used == (void *)1);

  struct timespec soon;
  clock_gettime(CLOCK_MONOTONIC, &soon);
  soon.tv_nsec += 20000000;
  if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
  pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
  CHECK(pthread_mutex_lock(&plain) == 0);
  CHECK(pthread_cond_clockwait(&idle, &plain, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  CHECK(now.tv_sec > soon.tv_sec || (now.tv_sec == soon.tv_sec && now.tv_nsec + 1000000 >= soon.tv_nsec));
  return 0;
}

/* ---- what glibc's headers make of calls ---- */

static int printed(char *to, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(to, size, format, arguments);
  va_end(arguments);
  return length;
}

static int fortified(void) {
  char text[64], other[32];
  CHECK(sprintf(text, "%s %d %.2f", "one", 2, 3.0) == 10 && strcmp(text, "one 2 3.00") == 0);
  CHECK(printed(text, sizeof text, "%zu %c", (size_t)1 << 40, 'x') == 15);
  memcpy(other, "abcdefgh", few + 1);
  other[few] = 0;
  CHECK(strcmp(other, "abcd") == 0);
  memmove(other + 1, other, few + 1);
  CHECK(strcmp(other, "aabcd") == 0);
  memset(other, 'z', few);
  CHECK(strcmp(other, "zzzzd") == 0);
  strcpy(other, getenv("PATH") == NULL ? "no" : "ok");
  strcat(other, few > 3 ? "ay" : "");
  strncat(other, "!!!", few - 3);
  CHECK(strcmp(other, "okay!") == 0);
  strncpy(other, "abcdef", few);
  CHECK(strncmp(other, "abcd!", 5) == 0);
  char *made = NULL;
  CHECK(asprintf(&made, "%s-%d", "made", 9) == 6 && strcmp(made, "made-9") == 0);
  free(made);
  CHECK(strtol("0x1f", NULL, 0) == 31 && strtoull("18446744073709551615", NULL, 10) == ~0ull);
  int read1 = 0, read2 = 0;
  CHECK(sscanf("12 34", "%d %d", &read1, &read2) == 2 && read1 == 12 && read2 == 34);
  CHECK(isalpha('a') && !isalpha('1') && toupper('q') == 'Q' && isspace(' '));
  syslog(LOG_DEBUG, "%s", "a library built for glibc");
  return 0;
}

/* ---- files, signals and the like: structs that both libraries must have in common ---- */

static volatile sig_atomic_t signalled;
static void onSignal(int number) { signalled = number; }

static int forks;
static void beforeFork(void) { forks += 1; }

static int system_(void) {
  char path[] = "/tmp/infermesh-glibc-XXXXXX", text[64];
  int fd = mkstemp(path);
  CHECK(fd >= 0 && write(fd, "line one\nline two\n", 18) == 18);
  struct stat about;
  CHECK(fstat(fd, &about) == 0 && about.st_size == 18 && S_ISREG(about.st_mode));
  CHECK(stat(path, &about) == 0 && about.st_size == 18);
  CHECK(pread(fd, text, 8 + none, 0) == 8 && memcmp(text, "line one", 8) == 0);
  CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, text, 4 + none) == 4);
  void *mapped = mmap(NULL, 18, PROT_READ, MAP_PRIVATE, fd, 0);
  CHECK(mapped != MAP_FAILED && memcmp(mapped, "line one", 8) == 0 && munmap(mapped, 18) == 0);
  CHECK(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL && fgets(text, (int)sizeof text - (int)none, file) == text && strcmp(text, "line one\n") == 0);
  CHECK(fread(text, 1, 4 + none, file) == 4 && getc(file) == ' ' && fclose(file) == 0);
  close(fd);
  CHECK(unlink(path) == 0 && open(path, O_RDONLY) == -1 && errno == ENOENT);

  struct sigaction action = { .sa_handler = onSignal }, before;
  CHECK(sigaction(SIGWINCH, &action, &before) == 0 && raise(SIGWINCH) == 0 && signalled == SIGWINCH);
  CHECK(sigaction(SIGWINCH, &before, NULL) == 0);

  jmp_buf back;
  volatile int times = 0;
  int value = setjmp(back);
  if (value == 0 && times++ == 0) longjmp(back, 5);
  CHECK(value == 5 && times == 1);

  CHECK(pthread_atfork(beforeFork, NULL, NULL) == 0);
  pid_t child = fork();
  if (child == 0) _exit(23);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 23 && forks == 1);

  cpu_set_t *processors = CPU_ALLOC(2048);
  CHECK(processors != NULL && sched_getaffinity(0, CPU_ALLOC_SIZE(2048), processors) == 0);
  CHECK(CPU_COUNT_S(CPU_ALLOC_SIZE(2048), processors) > 0);
  CPU_FREE(processors);

  /* Two descriptors in two pieces of ancillary data. */
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  char control[2 * CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'b';
  struct iovec piece = { &byte, 1 };
  struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pair[0], sizeof(int));
  }
  CHECK(sendmsg(pair[0], &message, 0) == 1);
  char came[sizeof control];
  message.msg_control = came;
  CHECK(recvmsg(pair[1], &message, 0) == 1);
  int descriptors = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
    for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, descriptors++) {
      int given;
      memcpy(&given, CMSG_DATA(header) + i * sizeof given, sizeof given);
      CHECK(close(given) == 0);
    }
  }
  CHECK(descriptors == 2);
  struct pollfd wait = { .fd = pair[1], .events = POLLOUT };
  CHECK(poll(&wait, 1 + none, 0) == 1 && close(pair[0]) == 0 && close(pair[1]) == 0);

  void *self = dlopen(NULL, RTLD_NOW);
  CHECK(self != NULL && dlvsym(self, "getpid", "GLIBC_2.2.5") != NULL);
  CHECK(dlvsym(self, "infermesh_nobody_has_this", "GLIBC_2.2.5") == NULL && dlerror() != NULL);
  void *frames[4];
  CHECK(backtrace(frames, 4) >= 0);
  return 0;
}

int glibcUserFault(void) {
  CHECK(constructed == 7);
  int (*const parts[])(void) = { threadLocals, threads, fortified, system_ };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    int fault = parts[i]();
    if (fault != 0) return fault;
  }
  return 0;
}

/* Writes beyond a buffer whose size the compiler knows: FORTIFY ends the process. */
int glibcUserOverflow(void) {
  char room[8];
  strcpy(room, getenv("INFERMESH_LONG_TEXT"));
  return room[none];
}
