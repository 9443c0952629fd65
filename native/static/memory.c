/*
 * memcpy and its kin, in the place of musl's, which copy with `rep movsq` whatever the size and compare byte by byte
 * (DESIGN.md says what that costs a request). The compiler calls them on its own for the rest of the shim, too.
 *
 * Up to 128 bytes everything is read before anything is written, by reads from both ends that may overlap in the middle;
 * more goes in steps of 64 from one end, and the other end's last 64 bytes, which were read before, are written last. So
 * what overlaps needs no other way, only the right direction. Vectors have 16 bytes, as every processor of both kinds can.
 */
#include "shim.h"

/* Values that may stand anywhere, and be part of anything. */
typedef uint16_t Word2 __attribute__((may_alias, aligned(1)));
typedef uint32_t Word4 __attribute__((may_alias, aligned(1)));
typedef uint64_t Word8 __attribute__((may_alias, aligned(1)));
typedef uint8_t Vector __attribute__((vector_size(16), may_alias, aligned(1)));
/* Four vectors. */
typedef struct { Vector at[4]; } Step;

#define STEP sizeof(Step)
/* From here on the processor's own way to move or fill is faster than a loop, as glibc has it for vectors of this size. */
#define STRING_INSTRUCTION_MIN 4096

static inline Step readStep(const char *from) {
  const Vector *vectors = (const Vector *)from;
  return (Step){{vectors[0], vectors[1], vectors[2], vectors[3]}};
}

static inline void writeStep(char *to, Step step) {
  Vector *vectors = (Vector *)to;
  vectors[0] = step.at[0], vectors[1] = step.at[1], vectors[2] = step.at[2], vectors[3] = step.at[3];
}

/* Reads a value from both ends of `from` and writes it to both of `to`. */
#define MOVE_BOTH_ENDS(Type)                                               \
  do {                                                                     \
    const Type head = *(const Type *)source;                               \
    const Type tail = *(const Type *)(source + size - sizeof(Type));       \
    *(Type *)target = head;                                                \
    *(Type *)(target + size - sizeof(Type)) = tail;                        \
    return to;                                                             \
  } while (0)

static void moveForwards(char *target, const char *source, size_t size) {
  const Step tail = readStep(source + size - STEP);
  size_t at = 0;
  for (; at + STEP < size; at += STEP) writeStep(target + at, readStep(source + at));
  writeStep(target + size - STEP, tail);
}

static void moveBackwards(char *target, const char *source, size_t size) {
  const Step head = readStep(source);
  size_t left = size;
  for (; left > STEP; left -= STEP) writeStep(target + left - STEP, readStep(source + left - STEP));
  writeStep(target, head);
}

void *memmove(void *to, const void *from, size_t size) {
  char *target = to;
  const char *source = from;
  if (size <= 16) {
    if (size >= 8) MOVE_BOTH_ENDS(Word8);
    if (size >= 4) MOVE_BOTH_ENDS(Word4);
    if (size >= 2) MOVE_BOTH_ENDS(Word2);
    if (size == 1) *target = *source;
    return to;
  }
  if (size <= 32) MOVE_BOTH_ENDS(Vector);
  if (size <= STEP) {
    const Vector a = *(const Vector *)source, b = *(const Vector *)(source + 16);
    const Vector c = *(const Vector *)(source + size - 32), d = *(const Vector *)(source + size - 16);
    *(Vector *)target = a, *(Vector *)(target + 16) = b;
    *(Vector *)(target + size - 32) = c, *(Vector *)(target + size - 16) = d;
    return to;
  }
  if (size <= 2 * STEP) MOVE_BOTH_ENDS(Step);
  const size_t ahead = (size_t)(target - source);
#if defined __x86_64__
  if (size >= STRING_INSTRUCTION_MIN && ahead >= size && (size_t)-ahead >= size) {
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
    return to;
  }
#endif
  /* Only a target that begins within the source would overwrite what is still to be read. */
  if (ahead >= size) moveForwards(target, source, size);
  else moveBackwards(target, source, size);
  return to;
}

void *memcpy(void *to, const void *from, size_t size) __attribute__((alias("memmove")));

#define FILL_BOTH_ENDS(Type, value)                              \
  do {                                                           \
    *(Type *)target = (value);                                   \
    *(Type *)(target + size - sizeof(Type)) = (value);           \
    return to;                                                   \
  } while (0)

void *memset(void *to, int value, size_t size) {
  char *target = to;
  const uint64_t word = 0x0101010101010101u * (uint8_t)value;
  if (size < 16) {
    if (size >= 8) FILL_BOTH_ENDS(Word8, word);
    if (size >= 4) FILL_BOTH_ENDS(Word4, (uint32_t)word);
    if (size >= 2) FILL_BOTH_ENDS(Word2, (uint16_t)word);
    if (size == 1) *target = (char)value;
    return to;
  }
  const Vector vector = (Vector){} + (uint8_t)value;
  if (size <= 32) FILL_BOTH_ENDS(Vector, vector);
  const Step step = {{vector, vector, vector, vector}};
  if (size < STEP) {
    *(Vector *)(target + 16) = vector, *(Vector *)(target + size - 32) = vector;
    FILL_BOTH_ENDS(Vector, vector);
  }
#if defined __x86_64__
  if (size >= STRING_INSTRUCTION_MIN) {
    __asm__ volatile("rep stosb" : "+D"(target), "+c"(size) : "a"(value) : "memory");
    return to;
  }
#endif
  for (size_t at = 0; at + STEP < size; at += STEP) writeStep(target + at, step);
  writeStep(target + size - STEP, step);
  return to;
}

/* The first byte decides, which is the lowest of a little-endian word. */
static inline int order(uint64_t left, uint64_t right) {
  return __builtin_bswap64(left) < __builtin_bswap64(right) ? -1 : 1;
}

#define COMPARE(place)                                                                 \
  do {                                                                                 \
    const uint64_t left = *(const Word8 *)(a + (place)), right = *(const Word8 *)(b + (place)); \
    if (left != right) return order(left, right);                                      \
  } while (0)

int memcmp(const void *one, const void *other, size_t size) {
  const char *a = one, *b = other;
  if (size >= 16) {
    for (size_t at = 0; at + 16 < size; at += 16) {
      COMPARE(at);
      COMPARE(at + 8);
    }
    COMPARE(size - 16);
    COMPARE(size - 8);
    return 0;
  }
  if (size >= 8) {
    COMPARE(0);
    COMPARE(size - 8);
    return 0;
  }
  if (size >= 4) {
    const uint64_t left = *(const Word4 *)a | (uint64_t)*(const Word4 *)(a + size - 4) << 32;
    const uint64_t right = *(const Word4 *)b | (uint64_t)*(const Word4 *)(b + size - 4) << 32;
    return left == right ? 0 : order(left, right);
  }
  for (size_t at = 0; at < size; at++) {
    const int difference = (uint8_t)a[at] - (uint8_t)b[at];
    if (difference != 0) return difference;
  }
  return 0;
}

int bcmp(const void *one, const void *other, size_t size) __attribute__((alias("memcmp")));
