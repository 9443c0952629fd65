/*
 * Goes along the lines of a page of metrics as far as they are those of the page before, and reads their numbers.
 *
 * The twin of followLines in src/wire/prometheus-lines.ts, whose header tells what lines are kept as. Both stop at the same
 * line with the same numbers, bit for bit: a number of up to 15 digits is one division or multiplication of doubles that
 * are exact. What this does not read (more digits, words, times, exemplars) it leaves to TypeScript as an odd line.
 *
 * No libc, as in scorer.c.
 */

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* As in src/wire/prometheus-lines.ts. */
#define FIGURE 0
#define SKIP 1
#define READ 2
#define KIND_BITS 2
#define KIND_MASK 3
#define SKIPPED_BYTES_MAX (64 * 1024)
#define ODD_WORDS 4

#define DIGITS_MAX 15
#define POWER_MAX 22

typedef uint64_t word __attribute__((aligned(1), may_alias));
typedef uint64_t words2 __attribute__((vector_size(16), aligned(1), may_alias));

static const double POWERS[POWER_MAX + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

struct followed {
  int32_t lines;
  int32_t at;
  int32_t length;
  int32_t figures;
  int32_t odds;
};

static inline int same(const uint8_t *a, const uint8_t *b, int32_t length) {
  if (length >= 16) {
    words2 other = {0, 0};
    for (int32_t i = 0; i <= length - 16; i += 16) other |= *(const words2 *)(a + i) ^ *(const words2 *)(b + i);
    other |= *(const words2 *)(a + length - 16) ^ *(const words2 *)(b + length - 16);
    return (other[0] | other[1]) == 0;
  }
  if (length >= 8) {
    const uint64_t other = *(const word *)a ^ *(const word *)b;
    return (other | (*(const word *)(a + length - 8) ^ *(const word *)(b + length - 8))) == 0;
  }
  for (int32_t i = 0; i < length; i++)
    if (a[i] != b[i]) return 0;
  return 1;
}

/* Where the line ends; `end` where it does not. */
static inline int32_t line_end(const uint8_t *page, int32_t at, int32_t end) {
  for (; at <= end - 8; at += 8) {
    const uint64_t other = *(const word *)(page + at) ^ 0x0a0a0a0a0a0a0a0aull;
    const uint64_t zeros = (other - 0x0101010101010101ull) & ~other & 0x8080808080808080ull;
    if (zeros != 0) return at + (__builtin_ctzll(zeros) >> 3);
  }
  while (at < end && page[at] != '\n') at++;
  return at;
}

/* The exponent behind the `e`; the place behind it, or -1. */
static inline int32_t exponent(const uint8_t *page, int32_t at, int32_t end, int32_t *into) {
  const int is_negative = at < end && page[at] == '-';
  if (at < end && (page[at] == '-' || page[at] == '+')) at++;
  const int32_t from = at;
  int32_t size = 0;
  /* Up to three digits: beyond is beyond what is read here. */
  for (; at < end && at < from + 4 && page[at] >= '0' && page[at] <= '9'; at++) size = size * 10 + (page[at] - '0');
  *into = is_negative ? -size : size;
  return at == from || at == from + 4 ? -1 : at;
}

/* The place of the line's end behind a number that is read here and nothing else; -1 for others. */
static inline int32_t figure(const uint8_t *page, int32_t at, int32_t end, double *into) {
  const int is_negative = page[at] == '-';
  if (page[at] == '-' || page[at] == '+') at++;
  int64_t mantissa = 0;
  int32_t digits = 0, fraction = 0, power = 0;
  int is_digit = 0, is_fraction = 0;
  for (; at < end; at++) {
    const uint8_t digit = (uint8_t)(page[at] - '0');
    if (digit <= 9) {
      is_digit = 1;
      if (digits > 0 || digit > 0) digits++;
      if (digits > DIGITS_MAX) return -1;
      mantissa = mantissa * 10 + digit;
      fraction += is_fraction;
    } else if (page[at] == '.' && !is_fraction) {
      is_fraction = 1;
    } else {
      break;
    }
  }
  if (!is_digit) return -1;
  if (at < end && (page[at] | 32) == 'e') {
    at = exponent(page, at + 1, end, &power);
    if (at < 0) return -1;
  }
  power -= fraction;
  if (power < -POWER_MAX || power > POWER_MAX) return -1;
  if (at < end && page[at] == '\r') at++;
  if (at >= end || page[at] != '\n') return -1;
  const double size = power < 0 ? (double)mantissa / POWERS[-power] : (double)mantissa * POWERS[power];
  *into = is_negative ? -size : size;
  return at;
}

static inline int is_comment(const uint8_t *page, int32_t at, int32_t end) {
  while (at < end && (page[at] == ' ' || page[at] == '\t')) at++;
  return at < end && page[at] == '#';
}

EXPORT void infermesh_follow(const uint8_t *bytes, const int32_t *lines, int32_t count, const uint8_t *page,
                             int32_t end, double *values, int32_t *odd, int32_t odd_max, struct followed *into) {
  int32_t line = 0, at = 0, kept = 0, figures = 0, odds = 0;
  for (; line < count; line++) {
    const int32_t kind = lines[line] & KIND_MASK;
    const int32_t length = (int32_t)((uint32_t)lines[line] >> KIND_BITS);
    if (length >= end - at || !same(bytes + kept, page + at, length)) break;
    int32_t behind = kind == FIGURE ? figure(page, at + length, end, values + figures) : -1;
    if (behind < 0) {
      behind = line_end(page, at + length, end);
      if (behind == end) break;
      if (kind != SKIP || behind - at > SKIPPED_BYTES_MAX) {
        if (kind == READ && is_comment(page, at, behind)) break;
        if (odds == odd_max) break;
        int32_t *const one = odd + (ptrdiff_t)odds * ODD_WORDS;
        one[0] = figures;
        one[1] = at;
        one[2] = behind;
        one[3] = kind == FIGURE ? at + length : -1;
        odds++;
      }
    }
    if (kind == FIGURE) figures++;
    kept += length;
    at = behind + 1;
  }
  *into = (struct followed){.lines = line, .at = at, .length = kept, .figures = figures, .odds = odds};
}
