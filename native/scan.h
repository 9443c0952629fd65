/*
 * The scan over a model's blocks. scorer.c includes this once for each width, with these defined:
 *
 *   SCAN                the function's name
 *   SCAN_TARGET         its attributes
 *   STEP                rows made at a time; rows beyond a block's `used` have capacity 0
 *   SMALLER(a, b)       a < b ? a : b, for each of STEP floats
 *   LARGER(a, b)        a > b ? a : b
 *   ANY(mask)           whether any of STEP lanes, each all ones or all zeros, is set
 *
 * SMALLER and LARGER answer `b` when either is NaN, as the machine's own instructions do.
 */

#define NAMED_(name, width) name##_##width
#define NAMED(name, width) NAMED_(name, width)
#define floats NAMED(floats, STEP)
#define ints NAMED(ints, STEP)
#define INLINE static inline __attribute__((always_inline)) SCAN_TARGET

/* Aligned as the table is: to its elements. */
typedef float floats __attribute__((vector_size(4 * STEP), aligned(4), may_alias));
typedef int32_t ints __attribute__((vector_size(4 * STEP), aligned(4), may_alias));

#define FLOATS(column) (*(const floats *)(at + (column)))
#define INTS(column) (*(const ints *)(at + (column)))
#define ALL(value) ((value) - (floats){0})
#define POSITIVE(value) LARGER(value, (floats){0})

/*
 * The costs of a block's first `lanes` rows (a multiple of STEP), NaN where a row is passed over: NaN is neither below
 * nor equal to anything. Returns the smallest of each column of STEP.
 */
INLINE floats NAMED(score_block, STEP)(const int32_t *words, int lanes, float prompt, float miss, int32_t now,
                                       const float *cached, float *costs) {
  floats least = ALL(INFINITE);
  const int32_t *const end = words + lanes;
  for (const int32_t *at = words; at < end; at += STEP, costs += STEP, cached += STEP) {
    const floats active = POSITIVE(__builtin_convertvector(INTS(COLUMN_ACTIVE_REQUESTS), floats));
    const floats before = POSITIVE(__builtin_convertvector(INTS(COLUMN_QUEUED_TOKENS), floats));
    const floats fresh = POSITIVE(prompt - *(const floats *)cached);
    const floats queued = before + fresh;
    const floats rate = FLOATS(COLUMN_SECONDS_PER_PREFILL_TOKEN);
    const floats price = 1.0f + miss * SMALLER(before * rate, ALL(1.0f));
    floats cost = (before + fresh * price) * rate;
    cost = cost + active * FLOATS(COLUMN_SECONDS_PER_ACTIVE);
    const floats waiting = POSITIVE((active + 1.0f) - FLOATS(COLUMN_SLOTS));
    cost = cost + waiting * FLOATS(COLUMN_SECONDS_PER_QUEUED_REQUEST);
    const floats excess = POSITIVE(FLOATS(COLUMN_KV_OFFSET) + queued * FLOATS(COLUMN_KV_PER_TOKEN));
    cost = cost + excess * excess;
    cost = cost + FLOATS(COLUMN_PENALTY_SECONDS);
    /* A capacity of 0 is never more than what is active. */
    const ints passed_over = (active >= FLOATS(COLUMN_CAPACITY)) | (INTS(COLUMN_EJECTED_UNTIL) > now);
    cost = (floats)((ints)cost | passed_over);
    *(floats *)costs = cost;
    least = SMALLER(cost, least);
  }
  return least;
}

/* The same minimum over costs that were changed since. */
INLINE floats NAMED(least_of, STEP)(const float *costs, int lanes) {
  floats least = ALL(INFINITE);
  for (int lane = 0; lane < lanes; lane += STEP) least = SMALLER(*(const floats *)(costs + lane), least);
  return least;
}

INLINE float NAMED(smallest, STEP)(floats least) {
  float result = least[0];
  for (int i = 1; i < STEP; i++) result = least[i] < result ? least[i] : result;
  return result;
}

/* Looks at all blocks of the model; 0 when one turned out to belong to another model. */
SCAN_TARGET static int SCAN(struct pick_request *request, struct found *found) {
  const int32_t *table = request->table;
  const int32_t *blocks = table + table[HEADER_BLOCKS_WORD];
  const int32_t owner = request->model + 1;
  const int blocks_max = table[HEADER_ROWS_MAX] / BLOCK_ROWS;
  const float prompt = request->prompt_tokens;
  const float miss = request->miss_weight;
  const int32_t now = request->now_deciseconds;
  _Alignas(64) float costs[BLOCK_ROWS];
  found->best = INFINITE;
  found->blocks = 0;
  int32_t link = __atomic_load_n(&table[MODELS_WORD + request->model], __ATOMIC_ACQUIRE);
  /* A list that changes under our feet could lead in a circle: never take more steps than there are blocks. */
  for (int steps = 0; link != 0 && steps < blocks_max; steps++) {
    const int32_t block = link - 1;
    const int32_t *words = blocks + (ptrdiff_t)block * BLOCK_WORDS;
    int lanes = 0;
    floats least = ALL(INFINITE);
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
      if (seen_owner == owner) {
        const float *cached = found->cached + block * found->cached_step;
        least = NAMED(score_block, STEP)(words, lanes, prompt, miss, now, cached, costs);
      }
      __atomic_thread_fence(__ATOMIC_ACQUIRE);
      const int32_t after = __atomic_load_n(&words[BLOCK_SEQUENCE], __ATOMIC_RELAXED);
      const int clean = after == sequence && (sequence & 1) == 0;
      if (!clean && attempt < READ_ATTEMPTS) continue;
      if (!clean) request->torn++;
      if (seen_owner != owner) return 0;
      break;
    }
    if (request->excluded_count > 0 && exclude(request, block, costs)) least = NAMED(least_of, STEP)(costs, lanes);
    /* Most blocks hold nothing better, and the smallest of a vector takes a while to find. */
    if (!ANY(least <= ALL(found->best))) continue;
    const float cost = NAMED(smallest, STEP)(least);
    if (cost == INFINITE) continue;
    if (cost < found->best) found->blocks = 0;
    found->best = cost;
    found->block[found->blocks] = block;
    found->lanes[found->blocks] = lanes_at(costs, lanes, cost);
    found->blocks++;
  }
  return 1;
}

#undef floats
#undef ints
#undef INLINE
#undef FLOATS
#undef INTS
#undef ALL
#undef POSITIVE
#undef NAMED
#undef NAMED_
#undef SCAN
#undef SCAN_TARGET
#undef STEP
#undef SMALLER
#undef LARGER
#undef ANY
