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
#define INLINE static inline __attribute__((always_inline))
#define COST_MAX 3.4028234663852886e38f
#define INFINITE __builtin_inff()
#define RESTARTS 2
/* Costs are made eight at a time; the lanes beyond `used` have capacity 0. */
#define STEP 8

struct pick_request {
  const int32_t *table;
  int32_t model;
  float prompt_tokens;
  int32_t now_deciseconds;
  uint32_t seed;
  int32_t excluded_count;
  int32_t unused_1;
  int32_t excluded[EXCLUDED_MAX];
  float cost;
  int32_t ties;
  int32_t torn;
  int32_t unused_2;
  uint64_t cached_tokens;
  uint64_t unused_3;
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
_Static_assert(offsetof(struct pick_request, cached_tokens) == REQUEST_CACHED_TOKENS, "cached_tokens");
_Static_assert(sizeof(struct pick_request) == REQUEST_SIZE, "size");

/* The best rows so far: a bit for each row that costs `best`, for each block that has one. */
struct found {
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
INLINE uint64_t lanes_at(const float *costs, int lanes, float wanted) {
  uint64_t bits = 0;
#if defined(__SSE2__)
  typedef float four __attribute__((vector_size(16), aligned(16)));
  const four all = {wanted, wanted, wanted, wanted};
  for (int lane = 0; lane < lanes; lane += 4)
    bits |= (uint64_t)(unsigned)__builtin_ia32_movmskps((four)(*(const four *)(costs + lane) == all)) << lane;
#else
  for (int lane = 0; lane < lanes; lane++) bits |= (uint64_t)(costs[lane] == wanted) << lane;
#endif
  return bits;
}

/* The costs of a block's first `lanes` rows (a multiple of STEP), infinite where a row is passed over. */
INLINE void score_block(const float *floats, const int32_t *words, int lanes, float prompt, int32_t now,
                        float *restrict costs) {
  for (int lane = 0; lane < lanes; lane++) {
    float requests = (float)words[COLUMN_IN_FLIGHT_REQUESTS + lane];
    float active = floats[COLUMN_ACTIVE_OFFSET + lane] + requests;
    active = active > 0.0f ? active : 0.0f;
    float tokens = (float)words[COLUMN_IN_FLIGHT_TOKENS + lane];
    float queued = floats[COLUMN_TOKEN_OFFSET + lane] + tokens;
    queued = queued > 0.0f ? queued : 0.0f;
    float cost = (queued + prompt) * floats[COLUMN_SECONDS_PER_PREFILL_TOKEN + lane];
    cost = cost + active * floats[COLUMN_SECONDS_PER_ACTIVE + lane];
    float waiting = (active + 1.0f) - floats[COLUMN_SLOTS + lane];
    waiting = waiting > 0.0f ? waiting : 0.0f;
    cost = cost + waiting * floats[COLUMN_SECONDS_PER_QUEUED_REQUEST + lane];
    float excess = floats[COLUMN_KV_OFFSET + lane] + (tokens + prompt) * floats[COLUMN_KV_PER_TOKEN + lane];
    excess = excess > 0.0f ? excess : 0.0f;
    excess = excess < 2.0f ? excess : 2.0f;
    cost = cost + floats[COLUMN_KV_PENALTY_SECONDS + lane] * (excess * excess);
    cost = cost + floats[COLUMN_PENALTY_SECONDS + lane];
    cost = cost < COST_MAX ? cost : COST_MAX;
    /* A capacity of 0 is never more than what is active. */
    cost = floats[COLUMN_CAPACITY + lane] > active ? cost : INFINITE;
    costs[lane] = words[COLUMN_EJECTED_UNTIL + lane] > now ? INFINITE : cost;
  }
}

INLINE float smallest(const float *costs, int lanes) {
  float least[STEP];
  for (int i = 0; i < STEP; i++) least[i] = costs[i];
  for (int lane = STEP; lane < lanes; lane += STEP)
    for (int i = 0; i < STEP; i++) least[i] = costs[lane + i] < least[i] ? costs[lane + i] : least[i];
  for (int half = STEP / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) least[i] = least[i + half] < least[i] ? least[i + half] : least[i];
  return least[0];
}

/* Looks at all blocks of the model; 0 when one turned out to belong to another model. */
INLINE int scan(struct pick_request *request, struct found *found) {
  const int32_t *table = request->table;
  const int32_t *blocks = table + table[HEADER_BLOCKS_WORD];
  const int32_t owner = request->model + 1;
  const int blocks_max = table[HEADER_ROWS_MAX] / BLOCK_ROWS;
  const float prompt = request->prompt_tokens;
  const int32_t now = request->now_deciseconds;
  _Alignas(32) float costs[BLOCK_ROWS];
  found->best = INFINITE;
  found->blocks = 0;
  int32_t link = __atomic_load_n(&table[MODELS_WORD + request->model], __ATOMIC_ACQUIRE);
  /* A list that changes under our feet could lead in a circle: never take more steps than there are blocks. */
  for (int steps = 0; link != 0 && steps < blocks_max; steps++) {
    const int32_t block = link - 1;
    const int32_t *words = blocks + (ptrdiff_t)block * BLOCK_WORDS;
    int lanes = 0;
    for (int attempt = 1;; attempt++) {
      const int32_t sequence = __atomic_load_n(&words[BLOCK_SEQUENCE], __ATOMIC_ACQUIRE);
      if ((sequence & 1) != 0 && attempt < READ_ATTEMPTS) {
        relax();
        continue;
      }
      const int32_t seen_owner = __atomic_load_n(&words[BLOCK_MODEL], __ATOMIC_RELAXED);
      link = __atomic_load_n(&words[BLOCK_NEXT], __ATOMIC_RELAXED);
      const int used = __atomic_load_n(&words[BLOCK_USED], __ATOMIC_RELAXED);
      lanes = (used + STEP - 1) & ~(STEP - 1);
      if (seen_owner == owner) score_block((const float *)words, words, lanes, prompt, now, costs);
      __atomic_thread_fence(__ATOMIC_ACQUIRE);
      const int32_t after = __atomic_load_n(&words[BLOCK_SEQUENCE], __ATOMIC_RELAXED);
      const int clean = after == sequence && (sequence & 1) == 0;
      if (!clean && attempt < READ_ATTEMPTS) continue;
      if (!clean) request->torn++;
      if (seen_owner != owner) return 0;
      break;
    }
    if (lanes == 0) continue;
    for (int i = 0; i < request->excluded_count; i++)
      if (request->excluded[i] / BLOCK_ROWS == block && request->excluded[i] >= 0)
        costs[request->excluded[i] % BLOCK_ROWS] = INFINITE;
    const float least = smallest(costs, lanes);
    if (!(least <= found->best) || least == INFINITE) continue;
    if (least < found->best) found->blocks = 0;
    found->best = least;
    found->block[found->blocks] = block;
    found->lanes[found->blocks] = lanes_at(costs, lanes, least);
    found->blocks++;
  }
  return 1;
}

static int scan_plain(struct pick_request *request, struct found *found) { return scan(request, found); }

#if defined(__x86_64__) && !defined(SCORER_PLAIN)

__attribute__((target("avx2"))) static int scan_avx2(struct pick_request *request, struct found *found) {
  return scan(request, found);
}

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
      float active = floats[COLUMN_ACTIVE_OFFSET + lane] + (float)words[COLUMN_IN_FLIGHT_REQUESTS + lane];
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

EXPORT int32_t infermesh_pick(struct pick_request *request) {
  struct found found;
  request->cost = 0.0f;
  request->ties = 0;
  request->torn = 0;
  if (request->model < 0 || request->model >= request->table[HEADER_MODELS_MAX]) return NO_TARGET;
  for (int tries = 0; !scan_best(request, &found) && tries < RESTARTS; tries++) {
  }
  if (found.blocks == 0) return reason(request);
  uint32_t ties = 0;
  for (int i = 0; i < found.blocks; i++) ties += (uint32_t)count_bits(found.lanes[i]);
  request->cost = found.best;
  request->ties = (int32_t)ties;
  return tied_row(&found, request->seed % ties);
}
