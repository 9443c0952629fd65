/*
 * Holds the shim's memory functions against loops, for all sizes up to some hundred and some of several pages, wherever
 * they begin and however they overlap. The room that they may touch ends where memory does, so that a step too far kills.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

void *shim_memcpy(void *, const void *, size_t);
void *shim_memmove(void *, const void *, size_t);
void *shim_memset(void *, int, size_t);
int shim_memcmp(const void *, const void *, size_t);
int shim_bcmp(const void *, const void *, size_t);

enum { PAGE = 4096, ROOM = 4 * PAGE, GAP = 64 };
static unsigned char expected[ROOM];
static uint32_t state = 20261128;

static uint32_t drawn(uint32_t below) {
  state = state * 1664525u + 1013904223u;
  return (uint32_t)((uint64_t)state * below >> 32);
}

/* Between two pages that nobody may touch. */
static unsigned char *guarded(void) {
  unsigned char *all = mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED || mprotect(all + PAGE, ROOM, PROT_READ | PROT_WRITE) != 0) abort();
  return all + PAGE;
}

static void scribble(unsigned char *room, uint32_t values) {
  for (int at = 0; at < ROOM; at++) room[at] = (unsigned char)drawn(values);
}

static void note(const unsigned char *room) {
  for (int at = 0; at < ROOM; at++) expected[at] = room[at];
}

static void check(const unsigned char *room, const char *what, size_t size) {
  for (int at = 0; at < ROOM; at++) {
    if (room[at] == expected[at]) continue;
    printf("%s of %zu bytes: byte %d is %d, not %d\n", what, size, at, room[at], expected[at]);
    exit(1);
  }
}

static void checkMove(unsigned char *room, size_t to, size_t from, size_t size) {
  note(room);
  static unsigned char moved[ROOM];
  for (size_t at = 0; at < size; at++) moved[at] = room[from + at];
  for (size_t at = 0; at < size; at++) expected[to + at] = moved[at];
  if (shim_memmove(room + to, room + from, size) != room + to) printf("memmove answers another place\n"), exit(1);
  check(room, "memmove", size);
}

static void checkCopy(unsigned char *room, size_t to, const unsigned char *source, size_t size) {
  note(room);
  for (size_t at = 0; at < size; at++) expected[to + at] = source[at];
  if (shim_memcpy(room + to, source, size) != room + to) printf("memcpy answers another place\n"), exit(1);
  check(room, "memcpy", size);
}

static void checkSet(unsigned char *room, size_t to, size_t size) {
  const int value = (int)drawn(512) - 128;
  note(room);
  for (size_t at = 0; at < size; at++) expected[to + at] = (unsigned char)value;
  if (shim_memset(room + to, value, size) != room + to) printf("memset answers another place\n"), exit(1);
  check(room, "memset", size);
}

static int sign(int value) {
  return (value > 0) - (value < 0);
}

static void checkCompare(unsigned char *a, unsigned char *b, size_t size) {
  for (size_t at = 0; at < size; at++) b[at] = a[at];
  for (int differences = 0; differences < 4; differences++) {
    int wanted = 0;
    for (size_t at = size; at-- > 0;)
      if (a[at] != b[at]) wanted = a[at] < b[at] ? -1 : 1;
    const int found = sign(shim_memcmp(a, b, size)), same = shim_bcmp(a, b, size) == 0;
    if (found != wanted || same != (wanted == 0)) printf("memcmp of %zu bytes says %d, not %d\n", size, found, wanted), exit(1);
    if (size > 0) b[drawn((uint32_t)size)] ^= (unsigned char)(1u << drawn(8));
  }
}

static void checkSize(unsigned char *room, unsigned char *other, size_t size) {
  for (int round = 0; round < 6; round++) {
    const size_t last = ROOM - size, near = last < GAP ? last : GAP;
    /* At the very end, at the very beginning, near one another, anywhere. */
    const size_t to = round == 0 ? last : round == 1 ? 0 : drawn((uint32_t)last + 1);
    const size_t ahead = to + drawn((uint32_t)near + 1), from = ahead <= last ? ahead : last;
    checkMove(room, to, from, size);
    checkMove(room, from, to, size);
    checkMove(room, to, drawn((uint32_t)last + 1), size);
    checkCopy(room, to, other + last, size);
    checkSet(room, to, size);
    checkCompare(room + last, other + last - (last == 0 ? 0 : drawn((uint32_t)near + 1)), size);
    scribble(room, 256);
  }
}

int main(void) {
  unsigned char *room = guarded(), *other = guarded();
  scribble(room, 256), scribble(other, 256);
  for (size_t size = 0; size <= 300; size++) checkSize(room, other, size);
  for (int round = 0; round < 60; round++) checkSize(room, other, 301 + drawn(ROOM - 300));
  for (size_t size = PAGE - 2; size <= PAGE + 2; size++) checkSize(room, other, size);
  printf("all as expected\n");
  return 0;
}
