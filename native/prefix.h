/*
 * Prompts' hashes and the index of who holds their blocks: the twin of src/score/prefix-hash.ts, prefix-index.ts and
 * prefix-lookup.ts, whose headers tell the rules. All integers, and the same float32 steps for tokens: both leave the
 * same words. scorer.c includes this once.
 */

struct prefix_lookup {
  int32_t *index;
  const int32_t *chain;
  float *cached;
  int32_t *touched;
  int32_t blocks;
  float tokens_per_block;
  float tokens_less;
  int32_t touched_count;
};

_Static_assert(offsetof(struct prefix_lookup, index) == LOOKUP_INDEX, "index");
_Static_assert(offsetof(struct prefix_lookup, chain) == LOOKUP_CHAIN, "chain");
_Static_assert(offsetof(struct prefix_lookup, cached) == LOOKUP_CACHED, "cached");
_Static_assert(offsetof(struct prefix_lookup, touched) == LOOKUP_TOUCHED, "touched");
_Static_assert(offsetof(struct prefix_lookup, blocks) == LOOKUP_BLOCKS, "blocks");
_Static_assert(offsetof(struct prefix_lookup, tokens_per_block) == LOOKUP_TOKENS_PER_BLOCK, "tokens_per_block");
_Static_assert(offsetof(struct prefix_lookup, tokens_less) == LOOKUP_TOKENS_LESS, "tokens_less");
_Static_assert(offsetof(struct prefix_lookup, touched_count) == LOOKUP_TOUCHED_COUNT, "touched_count");
_Static_assert(sizeof(struct prefix_lookup) == LOOKUP_SIZE, "size");

#define PRIME_1 0x9e3779b1u
#define PRIME_2 0x85ebca77u
#define PRIME_3 0xc2b2ae3du
#define PRIME_4 0x27d4eb2fu
#define STRIPE 16
/* How far ahead sets are fetched: a miss of the memory takes as long as some ten of the others. */
#define PREFETCH_BLOCKS 12
/* A store that waits for all before it to be seen would wait for the memory at each block. */
#define LOAD(word) __atomic_load_n(word, __ATOMIC_ACQUIRE)
#define STORE(word, value) __atomic_store_n(word, value, __ATOMIC_RELEASE)

/* ---- hashing */

static inline uint32_t turn(uint32_t value, int by) { return (value << by) | (value >> (32 - by)); }

static inline uint32_t word_at(const uint8_t *at) {
  uint32_t word;
  __builtin_memcpy(&word, at, 4);
  return word;
}

static inline uint32_t hash_round(uint32_t lane, uint32_t word) { return turn(lane + word * PRIME_2, 13) * PRIME_1; }

static inline uint32_t avalanche(uint32_t x) {
  x = (x ^ (x >> 15)) * PRIME_2;
  x = (x ^ (x >> 13)) * PRIME_3;
  return x ^ (x >> 16);
}

static void hash_block(const uint8_t *bytes, int length, int32_t *chain, int blocks) {
  const uint32_t lo = (uint32_t)chain[blocks * 2], hi = (uint32_t)chain[blocks * 2 + 1];
  uint32_t a = lo + PRIME_1, b = hi + PRIME_2, c = lo ^ PRIME_3, d = hi ^ PRIME_4;
  const int whole = length - length % STRIPE;
  for (int at = 0; at < whole; at += STRIPE) {
    a = hash_round(a, word_at(bytes + at));
    b = hash_round(b, word_at(bytes + at + 4));
    c = hash_round(c, word_at(bytes + at + 8));
    d = hash_round(d, word_at(bytes + at + 12));
  }
  if (whole < length) {
    uint32_t rest[4] = {0, 0, 0, 0};
    for (int i = whole; i < length; i++) rest[(i - whole) / 4] |= (uint32_t)bytes[i] << (8 * ((i - whole) % 4));
    a = hash_round(a, rest[0]);
    b = hash_round(b, rest[1]);
    c = hash_round(c, rest[2]);
    d = hash_round(d, rest[3]);
  }
  const uint32_t low = avalanche(turn(a, 1) + turn(b, 7) + turn(c, 12) + turn(d, 18) + (uint32_t)length);
  const uint32_t high = avalanche(turn(a, 19) ^ (b * PRIME_3) ^ turn(c, 5) ^ (d * PRIME_4) ^ (low * PRIME_2));
  chain[blocks * 2 + 2] = (int32_t)low;
  chain[blocks * 2 + 3] = (int32_t)(high | 0x80000000u);
}

EXPORT int32_t infermesh_hash(const uint8_t *bytes, int32_t length, int32_t *chain, int32_t blocks, int32_t blocks_max,
                              int32_t with_rest) {
  int count = blocks;
  int at = 0;
  for (; count < blocks_max && at + PREFIX_BLOCK_BYTES <= length; at += PREFIX_BLOCK_BYTES)
    hash_block(bytes + at, PREFIX_BLOCK_BYTES, chain, count++);
  if (with_rest && count < blocks_max && at < length && length - at < PREFIX_BLOCK_BYTES)
    hash_block(bytes + at, length - at, chain, count++);
  return count;
}

/* ---- the index */

static inline int32_t *set_of(int32_t *index, int32_t lo) {
  return index + index[PREFIX_HEADER_SETS_WORD] + (ptrdiff_t)(lo & (index[PREFIX_HEADER_SETS] - 1)) * SET_WORDS;
}

/* The way of a hash in its set, or -1. */
static inline int way_of(int32_t *set, int32_t lo, int32_t hi) {
  for (int way = 0; way < WAYS; way++)
    if (LOAD(&set[SET_HI + way]) == hi && LOAD(&set[SET_LO + way]) == lo) return way;
  return -1;
}

static inline int32_t further_lo(int32_t lo, uint32_t further) {
  return (int32_t)((uint32_t)lo + further * (uint32_t)FURTHER_STEP);
}

static inline int is_held(int32_t *index, int32_t holder) {
  const uint32_t number = (uint32_t)holder >> ROW_SHIFT;
  if (holder == 0 || number >= (uint32_t)index[PREFIX_HEADER_ROWS_MAX]) return 0;
  int32_t *row = index + PREFIX_ROWS_WORD + (ptrdiff_t)number * PREFIX_ROW_WORDS;
  if (LOAD(&row[PREFIX_ROW_LIFE]) != ((holder >> LIFE_SHIFT) & 15)) return 0;
  return ((LOAD(&row[PREFIX_ROW_STAMP]) - holder) & STAMP_MASK) <= CAPACITY_STEPS;
}

/* 0: the row holds it already; 1: now it does; -1: there is no room here. */
static int renew(int32_t *index, int32_t *holders, int32_t holder) {
  int free_place = -1;
  for (int place = 0; place < HOLDERS; place++) {
    const int32_t kept = LOAD(&holders[place]);
    if (kept != 0 && (uint32_t)kept >> ROW_SHIFT == (uint32_t)holder >> ROW_SHIFT) {
      const int held = is_held(index, kept);
      if (kept != holder) STORE(&holders[place], holder);
      return held ? 0 : 1;
    }
    if (free_place < 0 && !is_held(index, kept)) free_place = place;
  }
  if (free_place < 0) return -1;
  STORE(&holders[free_place], holder);
  return 1;
}

static void claim(int32_t *index, int32_t worker, int32_t lo, int32_t hi, int32_t holder, int32_t tick) {
  int32_t *set = set_of(index, lo);
  int way = 0;
  int64_t oldest = -1;
  for (int each = 0; each < WAYS; each++) {
    const int empty = LOAD(&set[SET_HI + each]) == 0;
    const int64_t age = empty ? 0x100000000 : (int64_t)((uint32_t)tick - (uint32_t)LOAD(&set[SET_STAMP + each]));
    if (age <= oldest) continue;
    oldest = age;
    way = each;
  }
  const int32_t before = LOAD(&set[SET_HI + way]);
  int32_t expected = before;
  int32_t mine = worker + 1;
  if (!__atomic_compare_exchange_n(&set[SET_HI + way], &expected, mine, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return;
  if (before < 0) __atomic_fetch_add(&index[PREFIX_HEADER_EVICTIONS], 1, __ATOMIC_SEQ_CST);
  else if (before == 0) __atomic_fetch_add(&index[PREFIX_HEADER_ENTRIES], 1, __ATOMIC_SEQ_CST);
  STORE(&set[SET_LO + way], lo);
  STORE(&set[SET_STAMP + way], tick);
  int32_t *holders = set + SET_HOLDERS + way * HOLDERS;
  for (int place = 0; place < HOLDERS; place++) STORE(&holders[place], place == 0 ? holder : 0);
  __atomic_compare_exchange_n(&set[SET_HI + way], &mine, hi, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static int note_block(int32_t *index, int32_t worker, int32_t lo, int32_t hi, int32_t holder, int32_t tick) {
  const uint32_t own = 1 + ((uint32_t)holder >> ROW_SHIFT) % FURTHER_MAX;
  for (int step = 0; step < 2; step++) {
    const int32_t low = further_lo(lo, step == 0 ? 0 : own);
    int32_t *set = set_of(index, low);
    const int way = way_of(set, low, hi);
    if (way < 0) {
      claim(index, worker, low, hi, holder, tick);
      return 1;
    }
    STORE(&set[SET_STAMP + way], tick);
    const int seen = renew(index, set + SET_HOLDERS + way * HOLDERS, holder);
    if (seen >= 0) return seen;
  }
  const int32_t low = further_lo(lo, own);
  int32_t *set = set_of(index, low);
  const int way = way_of(set, low, hi);
  if (way >= 0) STORE(&set[SET_HOLDERS + way * HOLDERS + (int)((uint32_t)tick % HOLDERS)], holder);
  return 1;
}

static inline void fetch_set(int32_t *index, int32_t lo) {
  const int32_t *set = set_of(index, lo);
  __builtin_prefetch(set);
  __builtin_prefetch(set + SET_WORDS / 2);
}

EXPORT int32_t infermesh_note(int32_t *index, int32_t worker, int32_t row, const int32_t *chain, int32_t blocks) {
  int32_t *own = index + PREFIX_ROWS_WORD + (ptrdiff_t)row * PREFIX_ROW_WORDS;
  const int32_t life = LOAD(&own[PREFIX_ROW_LIFE]);
  if (life == 0) return 0;
  const int32_t holder = (int32_t)((uint32_t)row << ROW_SHIFT) | (life << LIFE_SHIFT) | LOAD(&own[PREFIX_ROW_STAMP]);
  const int32_t tick =
      (int32_t)((uint32_t)__atomic_fetch_add(&index[PREFIX_HEADER_TICK], 1, __ATOMIC_SEQ_CST) + 1u);
  int fresh = 0;
  for (int block = 1; block <= blocks; block++) {
    if (block + PREFETCH_BLOCKS <= blocks) fetch_set(index, chain[(block + PREFETCH_BLOCKS) * 2]);
    fresh += note_block(index, worker, chain[block * 2], chain[block * 2 + 1], holder, tick);
  }
  const uint32_t more = (uint32_t)fresh + 1u;
  const uint32_t volume = (uint32_t)__atomic_fetch_add(&own[PREFIX_ROW_VOLUME], (int32_t)more, __ATOMIC_SEQ_CST) + more;
  const int32_t unit = LOAD(&own[PREFIX_ROW_UNIT]);
  STORE(&own[PREFIX_ROW_STAMP], (int32_t)(volume / (uint32_t)(unit > 1 ? unit : 1)) & STAMP_MASK);
  return fresh;
}

/* ---- the search */

#define SEEN_FULL 1
#define SEEN_SHALLOW 2

static inline float tokens_of(const struct prefix_lookup *lookup, int block) {
  const float whole = (float)(block + 1) * lookup->tokens_per_block;
  const float left = whole - lookup->tokens_less;
  return left > 1.0f ? left : 1.0f;
}

/* Notes the holders of an entry. FULL: there may be further ones; SHALLOW: one of them is known of less than `deep`. */
static int see(struct prefix_lookup *lookup, int32_t *holders, float tokens, float deep) {
  int seen = SEEN_FULL;
  for (int place = 0; place < HOLDERS; place++) {
    const int32_t holder = LOAD(&holders[place]);
    if (holder == 0) seen &= ~SEEN_FULL;
    else if (is_held(lookup->index, holder)) {
      const int32_t row = (int32_t)((uint32_t)holder >> ROW_SHIFT);
      const float before = lookup->cached[row];
      if (before == 0.0f) lookup->touched[lookup->touched_count++] = row;
      if (tokens > before) lookup->cached[row] = tokens;
      if (lookup->cached[row] < deep) seen |= SEEN_SHALLOW;
    }
  }
  return seen;
}

static int see_block(struct prefix_lookup *lookup, int block, float deep) {
  const int32_t lo = lookup->chain[block * 2 + 2];
  int32_t *set = set_of(lookup->index, lo);
  const int way = way_of(set, lo, lookup->chain[block * 2 + 3]);
  if (way < 0) return 0;
  return see(lookup, set + SET_HOLDERS + way * HOLDERS, tokens_of(lookup, block), deep);
}

static void see_further(struct prefix_lookup *lookup, int block) {
  const int32_t first = lookup->chain[block * 2 + 2], hi = lookup->chain[block * 2 + 3];
  const float tokens = tokens_of(lookup, block);
  for (uint32_t further = 1; further <= FURTHER_MAX; further++) fetch_set(lookup->index, further_lo(first, further));
  for (uint32_t further = 1; further <= FURTHER_MAX; further++) {
    const int32_t lo = further_lo(first, further);
    int32_t *set = set_of(lookup->index, lo);
    const int way = way_of(set, lo, hi);
    if (way >= 0) see(lookup, set + SET_HOLDERS + way * HOLDERS, tokens, 0.0f);
  }
}

/* The first block from `block` on that is known, of the next few; -1: none is. */
static int locate(struct prefix_lookup *lookup, int block) {
  const int end = block + HOLES_MAX < lookup->blocks ? block + HOLES_MAX : lookup->blocks;
  for (int each = block; each < end; each++) {
    const int32_t lo = lookup->chain[each * 2 + 2];
    if (way_of(set_of(lookup->index, lo), lo, lookup->chain[each * 2 + 3]) >= 0) return each;
  }
  return -1;
}

/* The deepest block that is known, or -1. */
static int deepest(struct prefix_lookup *lookup) {
  const int last = lookup->blocks - 1;
  int found = locate(lookup, 0);
  int unknown = lookup->blocks;
  for (int step = 1; found >= 0 && found < last; step *= 2) {
    const int next = found + step < last ? found + step : last;
    const int at = locate(lookup, next);
    if (at < 0) {
      unknown = next;
      break;
    }
    found = at;
  }
  while (found >= 0 && unknown - found > 1) {
    const int middle = (found + unknown) / 2;
    const int at = locate(lookup, middle);
    if (at < 0) unknown = middle;
    else found = at;
  }
  return found;
}

/* Looks between two blocks, of which `deep` was seen, for rows that hold less than that; the deepest crowded block. */
static int see_between(struct prefix_lookup *lookup, int shallow, int deep, int crowded) {
  const int seen = see_block(lookup, shallow, tokens_of(lookup, deep));
  if ((seen & SEEN_FULL) && shallow > crowded) crowded = shallow;
  const int edge = (seen & SEEN_FULL) && crowded < deep;
  if (deep - shallow <= 1 || !((seen & SEEN_SHALLOW) || edge)) return crowded;
  const int middle = (shallow + deep) / 2;
  if ((see_block(lookup, middle, 0.0f) & SEEN_FULL) && middle > crowded) crowded = middle;
  crowded = see_between(lookup, middle, deep, crowded);
  return see_between(lookup, shallow, middle, crowded);
}

static void prefix_match(struct prefix_lookup *lookup) {
  lookup->touched_count = 0;
  for (int block = 0; block < HOLES_MAX && block < lookup->blocks; block++)
    fetch_set(lookup->index, lookup->chain[block * 2 + 2]);
  for (int block = HOLES_MAX; block < lookup->blocks; block *= 2)
    fetch_set(lookup->index, lookup->chain[block * 2 + 2]);
  const int deep = deepest(lookup);
  if (deep < 0) return;
  int crowded = (see_block(lookup, deep, 0.0f) & SEEN_FULL) ? deep : -1;
  crowded = see_between(lookup, 0, deep, crowded);
  if (crowded < 0) return;
  see_further(lookup, crowded);
  if (crowded > 1) see_further(lookup, crowded / 2);
  if (crowded > 0) see_further(lookup, 0);
}

/* Makes `cached` all 0 again; the rows' tokens stay behind the touched rows. */
static void prefix_clear(struct prefix_lookup *lookup) {
  float *tokens = (float *)(lookup->touched + lookup->index[PREFIX_HEADER_ROWS_MAX]);
  for (int place = 0; place < lookup->touched_count; place++) {
    const int32_t row = lookup->touched[place];
    tokens[place] = lookup->cached[row];
    lookup->cached[row] = 0.0f;
  }
}

EXPORT void infermesh_match(struct prefix_lookup *lookup) {
  prefix_match(lookup);
  prefix_clear(lookup);
}
