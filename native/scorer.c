/*
 * The hot path of routing: which row of the score table is expected to give the first token soonest.
 *
 * The twin of TypeScriptPicker in src/score/pick.ts, whose header tells the formula and the rules. Both do the same
 * float32 operations in the same order, so they answer the same row, bit for bit: this file must be compiled with
 * -ffp-contract=off and without -ffast-math. What is vectorised is elementwise, and the smallest of a block's costs is
 * the same in whatever order it is looked for.
 *
 * No libc: the library opens on glibc and musl alike. layout.h is made from src/score/layout.ts when this is built.
 */

#include <stddef.h>
#include <stdint.h>

#include "layout.h"

#define EXPORT __attribute__((visibility("default")))
#define INFINITE __builtin_inff()
#define RESTARTS 2

#include "prefix.h"

struct pick_request {
  const int32_t *table;
  int32_t model;
  float prompt_tokens;
  int32_t now_deciseconds;
  uint32_t seed;
  int32_t excluded_count;
  float miss_weight;
  int32_t excluded[EXCLUDED_MAX];
  float cost;
  int32_t ties;
  int32_t torn;
  float cached_tokens;
  struct prefix_lookup *prefix;
  uint64_t unused;
};

_Static_assert(sizeof(void *) == 8, "addresses of 8 bytes");
_Static_assert(offsetof(struct pick_request, table) == REQUEST_TABLE, "table");
_Static_assert(offsetof(struct pick_request, model) == REQUEST_MODEL, "model");
_Static_assert(offsetof(struct pick_request, prompt_tokens) == REQUEST_PROMPT_TOKENS, "prompt_tokens");
_Static_assert(offsetof(struct pick_request, now_deciseconds) == REQUEST_NOW_DECISECONDS, "now_deciseconds");
_Static_assert(offsetof(struct pick_request, seed) == REQUEST_SEED, "seed");
_Static_assert(offsetof(struct pick_request, excluded_count) == REQUEST_EXCLUDED_COUNT, "excluded_count");
_Static_assert(offsetof(struct pick_request, excluded) == REQUEST_EXCLUDED, "excluded");
_Static_assert(offsetof(struct pick_request, cost) == REQUEST_COST, "cost");
_Static_assert(offsetof(struct pick_request, ties) == REQUEST_TIES, "ties");
_Static_assert(offsetof(struct pick_request, torn) == REQUEST_TORN, "torn");
_Static_assert(offsetof(struct pick_request, miss_weight) == REQUEST_MISS_WEIGHT, "miss_weight");
_Static_assert(offsetof(struct pick_request, cached_tokens) == REQUEST_CACHED_TOKENS, "cached_tokens");
_Static_assert(offsetof(struct pick_request, prefix) == REQUEST_PREFIX, "prefix");
_Static_assert(sizeof(struct pick_request) == REQUEST_SIZE, "size");

/* The best rows so far: a bit for each row that costs `best`, for each block that has one. */
struct found {
  /* What each row has of the prompt: `cached_step` floats a block, 64, or 0 where no row has any. */
  const float *cached;
  ptrdiff_t cached_step;
  float best;
  int blocks;
  int32_t block[BLOCKS_MAX];
  uint64_t lanes[BLOCKS_MAX];
};

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int count_bits(uint64_t bits) {
  bits -= (bits >> 1) & 0x5555555555555555u;
  bits = (bits & 0x3333333333333333u) + ((bits >> 2) & 0x3333333333333333u);
  bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return (int)((bits * 0x0101010101010101u) >> 56);
}

/* A bit for each lane whose cost is `wanted`. */
static inline uint64_t lanes_at(const float *costs, int lanes, float wanted) {
  uint64_t bits = 0;
#if defined(__SSE2__)
  typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
  const four all = {wanted, wanted, wanted, wanted};
  for (int lane = 0; lane < lanes; lane += 4)
    bits |= (uint64_t)(unsigned)__builtin_ia32_movmskps((four)(*(const four *)(costs + lane) == all)) << lane;
#else
  for (int lane = 0; lane < lanes; lane++) bits |= (uint64_t)(costs[lane] == wanted) << lane;
#endif
  return bits;
}

/* Passes over the excluded rows of a block; 1 when there were any. */
static __attribute__((noinline)) int exclude(const struct pick_request *request, int32_t block, float *costs) {
  int any = 0;
  for (int i = 0; i < request->excluded_count; i++) {
    const int32_t row = request->excluded[i];
    if (row < 0 || row / BLOCK_ROWS != block) continue;
    costs[row % BLOCK_ROWS] = INFINITE;
    any = 1;
  }
  return any;
}

#if !defined(__SSE2__)
typedef float four_floats __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_ints __attribute__((vector_size(16), aligned(4), may_alias));
static inline four_floats select_4(four_ints mask, four_floats a, four_floats b) {
  return (four_floats)((mask & (four_ints)a) | (~mask & (four_ints)b));
}
static inline int any_4(four_ints mask) { return (mask[0] | mask[1] | mask[2] | mask[3]) != 0; }
#endif

#define SCAN scan_plain
#define SCAN_TARGET
#define STEP 4
#if defined(__SSE2__)
#define SMALLER(a, b) ((floats)__builtin_ia32_minps(a, b))
#define LARGER(a, b) ((floats)__builtin_ia32_maxps(a, b))
#define ANY(mask) (__builtin_ia32_movmskps((floats)(mask)) != 0)
#else
#define SMALLER(a, b) select_4((a) < (b), a, b)
#define LARGER(a, b) select_4((a) > (b), a, b)
#define ANY(mask) any_4(mask)
#endif
#include "scan.h"

#if defined(__x86_64__) && !defined(SCORER_PLAIN)

#define SCAN scan_avx2
#define SCAN_TARGET __attribute__((target("avx2")))
#define STEP 8
#define SMALLER(a, b) ((floats)__builtin_ia32_minps256(a, b))
#define LARGER(a, b) ((floats)__builtin_ia32_maxps256(a, b))
#define ANY(mask) (__builtin_ia32_movmskps256((floats)(mask)) != 0)
#include "scan.h"

static void cpuid(uint32_t leaf, uint32_t registers[4]) {
  __asm__ volatile("cpuid"
                   : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                   : "a"(leaf), "c"(0));
}

/* AVX2, and an operating system that saves its registers. */
static int detect_avx2(void) {
  uint32_t registers[4];
  cpuid(0, registers);
  if (registers[0] < 7) return 0;
  cpuid(1, registers);
  const uint32_t osxsave_and_avx = (1u << 27) | (1u << 28);
  if ((registers[2] & osxsave_and_avx) != osxsave_and_avx) return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 6) != 6) return 0;
  cpuid(7, registers);
  return (registers[1] >> 5) & 1;
}

static int has_avx2(void) {
  static int known; /* 1: no, 2: yes */
  int state = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (state == 0) {
    state = detect_avx2() + 1;
    __atomic_store_n(&known, state, __ATOMIC_RELAXED);
  }
  return state == 2;
}

static int scan_best(struct pick_request *request, struct found *found) {
  return has_avx2() ? scan_avx2(request, found) : scan_plain(request, found);
}

#else

static int has_avx2(void) { return 0; }

static int scan_best(struct pick_request *request, struct found *found) { return scan_plain(request, found); }

#endif

/* Row number `wanted` of those that cost the same. */
static int32_t tied_row(const struct found *found, uint32_t wanted) {
  for (int i = 0; i < found->blocks; i++) {
    uint64_t lanes = found->lanes[i];
    const uint32_t count = (uint32_t)count_bits(lanes);
    if (wanted >= count) {
      wanted -= count;
      continue;
    }
    while (wanted-- > 0) lanes &= lanes - 1;
    return found->block[i] * BLOCK_ROWS + __builtin_ctzll(lanes);
  }
  return NO_TARGET;
}

static int is_excluded(const struct pick_request *request, int32_t row) {
  for (int i = 0; i < request->excluded_count; i++)
    if (request->excluded[i] == row) return 1;
  return 0;
}

/* Why there was nothing to pick. Rare, so it looks again rather than make every pick pay for it. */
static int32_t reason(const struct pick_request *request) {
  const int32_t *table = request->table;
  const int32_t *blocks = table + table[HEADER_BLOCKS_WORD];
  const int blocks_max = table[HEADER_ROWS_MAX] / BLOCK_ROWS;
  int routable = 0, room = 0;
  int32_t link = __atomic_load_n(&table[MODELS_WORD + request->model], __ATOMIC_ACQUIRE);
  for (int steps = 0; link != 0 && steps < blocks_max; steps++) {
    const int32_t block = link - 1;
    const int32_t *words = blocks + (ptrdiff_t)block * BLOCK_WORDS;
    const float *floats = (const float *)words;
    const int used = __atomic_load_n(&words[BLOCK_USED], __ATOMIC_ACQUIRE);
    for (int lane = 0; lane < used; lane++) {
      const float capacity = floats[COLUMN_CAPACITY + lane];
      if (!(capacity > 0.0f) || is_excluded(request, block * BLOCK_ROWS + lane)) continue;
      routable = 1;
      const float active = (float)words[COLUMN_ACTIVE_REQUESTS + lane];
      if (capacity > (active > 0.0f ? active : 0.0f)) room = 1;
    }
    link = __atomic_load_n(&words[BLOCK_NEXT], __ATOMIC_ACQUIRE);
  }
  if (!routable) return NO_TARGET;
  return room ? ALL_EJECTED : ALL_FULL;
}

/* Which layout this was built for. */
EXPORT int32_t infermesh_layout(void) { return LAYOUT_WORD; }

/* 1 when the AVX2 variant runs here. */
EXPORT int32_t infermesh_wide(void) { return has_avx2(); }

static const float NOTHING_CACHED[BLOCK_ROWS];

static int32_t pick(struct pick_request *request, const float *cached) {
  struct found found;
  found.cached = cached == NULL ? NOTHING_CACHED : cached;
  found.cached_step = cached == NULL ? 0 : BLOCK_ROWS;
  for (int tries = 0; !scan_best(request, &found) && tries < RESTARTS; tries++) {
  }
  if (found.blocks == 0) return reason(request);
  uint32_t ties = 0;
  for (int i = 0; i < found.blocks; i++) ties += (uint32_t)count_bits(found.lanes[i]);
  request->cost = found.best;
  request->ties = (int32_t)ties;
  return tied_row(&found, request->seed % ties);
}

EXPORT int32_t infermesh_pick(struct pick_request *request) {
  struct prefix_lookup *prefix = request->prefix;
  request->cost = 0.0f;
  request->ties = 0;
  request->torn = 0;
  request->cached_tokens = 0.0f;
  if (request->model < 0 || request->model >= request->table[HEADER_MODELS_MAX]) return NO_TARGET;
  if (prefix == NULL || prefix->blocks == 0) return pick(request, NULL);
  prefix_match(prefix);
  const int32_t row = pick(request, prefix->touched_count > 0 ? prefix->cached : NULL);
  if (row >= 0) request->cached_tokens = prefix->cached[row];
  prefix_clear(prefix);
  return row;
}
