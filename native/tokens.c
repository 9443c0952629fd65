/*
 * A prompt of token ids in a JSON body as a chain of the prefix index, in one pass: the twin of src/wire/token-ids.ts,
 * which reads the ids, and of src/proxy/token-chain.ts, which makes the chain of them by the keys of
 * src/kv/block-key.ts. Their headers tell the rules; both take the same bytes for ids and leave the same words.
 *
 * 64 bytes are looked at together: which are digits, which are commas. Where they are ids with a comma and at most one
 * space between, as JSON is written by all that write it short, each id is found by its bits and read by three
 * multiplications, and mixed into its block's key while the next one is being read. Everything else, the ends of the
 * list among it, goes an id at a time.
 *
 * No libc, as in scorer.c.
 */

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))
#define WIDTH 64
#define DIGITS_MAX 8
#define ID_MAX 0xffffffffu
#define NONE (-1)
/* As in src/proxy/token-chain.ts. */
#define ENTRY_TOKENS 256

typedef uint64_t word __attribute__((aligned(1), may_alias));

/* ---- keys of blocks, and those of them that are entries */

struct keys {
  uint32_t h1, h2;
  int32_t tokens, block_tokens; /* of the block under way, of a block */
  int32_t count;                /* of tokens before it */
  int32_t depth, stride;        /* blocks since the last entry, blocks of an entry */
  int32_t *chain;
  int32_t blocks, blocks_max;
};

static inline uint32_t turn(uint32_t value, int by) { return (value << by) | (value >> (32 - by)); }

static inline uint32_t avalanche(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bu;
  x = (x ^ (x >> 13)) * 0xc2b2ae35u;
  return x ^ (x >> 16);
}

static inline void begin_key(struct keys *keys, uint32_t low, uint32_t high) {
  keys->h1 = low ^ 0x9747b28cu;
  keys->h2 = high ^ 0x3c6ef372u;
  keys->tokens = 0;
}

/* The block is whole: its key is what the next one hangs on. */
static inline void end_key(struct keys *keys) {
  const uint32_t length = (uint32_t)keys->tokens;
  const uint32_t h1 = avalanche(keys->h1 ^ length ^ (keys->h2 >> 16));
  const uint32_t h2 = avalanche(keys->h2 ^ length ^ (h1 << 7));
  const uint32_t high = h2 & 0x1fffffu;
  const uint32_t low = (h1 | high) == 0 ? 1 : h1;
  begin_key(keys, low, high);
  keys->count += keys->block_tokens;
  if (++keys->depth < keys->stride) return;
  keys->depth = 0;
  if (keys->blocks == keys->blocks_max) return;
  int32_t *chain = keys->chain;
  const int at = ++keys->blocks * 2;
  chain[at] = (int32_t)low ^ chain[0];
  chain[at + 1] = (int32_t)((high ^ (uint32_t)chain[1]) | 0x80000000u);
}

static inline void add_id(struct keys *keys, uint32_t id) {
  keys->h1 = turn(turn(id * 0xcc9e2d51u, 15) * 0x1b873593u ^ keys->h1, 13) * 5 + 0xe6546b64u;
  keys->h2 = turn(turn(id * 0x85ebca6bu, 16) * 0xc2b2ae35u ^ keys->h2, 17) * 5 + 0x52dce729u + keys->h1;
  if (++keys->tokens == keys->block_tokens) end_key(keys);
}

/* ---- 64 bytes at a time */

struct masks {
  uint64_t digits, commas;
};

#if defined(__SSE2__)
typedef uint8_t sixteen __attribute__((vector_size(16), aligned(1), may_alias));
typedef char sixteen_signed __attribute__((vector_size(16)));

static inline uint64_t bits_of(sixteen are) { return (uint16_t)__builtin_ia32_pmovmskb128((sixteen_signed)are); }

static inline struct masks look(const uint8_t *bytes) {
  struct masks masks = {0, 0};
  for (int i = 0; i < WIDTH; i += 16) {
    const sixteen some = *(const sixteen *)(bytes + i);
    masks.digits |= bits_of((sixteen)((sixteen)(some - '0') < 10)) << i;
    masks.commas |= bits_of((sixteen)(some == ',')) << i;
  }
  return masks;
}

static inline uint64_t spaces_of(const uint8_t *bytes) {
  uint64_t spaces = 0;
  for (int i = 0; i < WIDTH; i += 16) spaces |= bits_of((sixteen)(*(const sixteen *)(bytes + i) == ' ')) << i;
  return spaces;
}
#else
#define EACH(byte) (0x0101010101010101ull * (byte))

/* A bit for each byte whose upper bit is set. */
static inline uint64_t bits_of(uint64_t eight) { return ((eight & EACH(0x80)) * 0x0002040810204081ull) >> 56; }

/* The upper bit of each byte that is this one, of bytes below 128. */
static inline uint64_t are(uint64_t eight, uint8_t byte) { return EACH(0x80) - (eight ^ EACH(byte)); }

static inline struct masks look(const uint8_t *bytes) {
  struct masks masks = {0, 0};
  for (int i = 0; i < WIDTH; i += 8) {
    const uint64_t eight = *(const word *)(bytes + i), low = eight & EACH(0x7f);
    const uint64_t digits = (low + EACH(0x80 - '0')) & ~(low + EACH(0x80 - '0' - 10)) & ~eight;
    masks.digits |= bits_of(digits) << i;
    masks.commas |= bits_of(are(low, ',') & ~eight) << i;
  }
  return masks;
}

static inline uint64_t spaces_of(const uint8_t *bytes) {
  uint64_t spaces = 0;
  for (int i = 0; i < WIDTH; i += 8) {
    const uint64_t eight = *(const word *)(bytes + i);
    spaces |= bits_of(are(eight & EACH(0x7f), ' ') & ~eight) << i;
  }
  return spaces;
}
#endif

/* ---- ids */

/* The id of these digits, of any number; more than ID_MAX where it is more. */
static __attribute__((noinline)) uint64_t long_id(const uint8_t *bytes, ptrdiff_t length) {
  uint64_t id = 0;
  for (ptrdiff_t i = 0; i < length; i++) {
    id = id * 10 + (uint64_t)(bytes[i] - '0');
    if (id > ID_MAX) return (uint64_t)ID_MAX + 1;
  }
  return id;
}

/* The digits of the last bytes of eight, as many as its place. */
static const uint64_t LAST[DIGITS_MAX + 1] = {
    0,
    0x0f00000000000000ull,
    0x0f0f000000000000ull,
    0x0f0f0f0000000000ull,
    0x0f0f0f0f00000000ull,
    0x0f0f0f0f0f000000ull,
    0x0f0f0f0f0f0f0000ull,
    0x0f0f0f0f0f0f0f00ull,
    0x0f0f0f0f0f0f0f0full,
};

/* Of up to eight digits that end there; the eight bytes before may be read, whatever they are. */
static inline uint32_t short_id(const uint8_t *end, ptrdiff_t length) {
  uint64_t digits = *(const word *)(end - DIGITS_MAX) & LAST[length];
  digits = ((digits << 3) + (digits << 1) + (digits >> 8)) & 0x00ff00ff00ff00ffull;
  digits = ((digits * (100 * 65536 + 1)) >> 16) & 0x0000ffff0000ffffull;
  return (uint32_t)((digits * (10000 * 4294967296ull + 1)) >> 32);
}

static inline int32_t skip(const uint8_t *bytes, int32_t at, int32_t length) {
  while (at < length && (bytes[at] == ' ' || bytes[at] == '\n' || bytes[at] == '\t' || bytes[at] == '\r')) at++;
  return at;
}

struct reader {
  const uint8_t *bytes;
  int32_t length;
  int32_t at;    /* where an id begins */
  int32_t gap;   /* from one id's end to the next one's beginning, where that is a comma, or a comma and a space */
};

/* Reads on by 64 bytes, as long as they are ids with that gap between them. 0 where what is there are no ids. */
static int read_wide(struct reader *reader, struct keys *into) {
  const uint8_t *block = reader->bytes + reader->at, *start = block;
  const uint8_t *const last = reader->bytes + reader->length - WIDTH;
  const ptrdiff_t gap = reader->gap;
  struct keys keys = *into;
  uint64_t digit_before = 0, comma_before = 0;
  for (; block <= last; block += WIDTH) {
    const struct masks masks = look(block);
    uint64_t commas = masks.commas;
    const uint64_t others = ~(masks.digits | commas), behind_commas = (commas << 1) | comma_before;
    if ((~masks.digits & ((masks.digits << 1) | digit_before)) != commas) break;
    if (others != (gap == 1 ? 0 : behind_commas) || (others != 0 && (others & ~spaces_of(block)) != 0)) break;
    digit_before = masks.digits >> (WIDTH - 1);
    comma_before = commas >> (WIDTH - 1);
    for (; commas != 0; commas &= commas - 1) {
      const uint8_t *end = block + __builtin_ctzll(commas);
      const ptrdiff_t length = end - start;
      uint64_t id;
      if (__builtin_expect(length <= DIGITS_MAX, 1)) id = short_id(end, length);
      else if ((id = long_id(start, length)) > ID_MAX) return 0;
      add_id(&keys, (uint32_t)id);
      start = end + gap;
    }
  }
  *into = keys;
  /* Behind the last comma another gap may be than was before. */
  const int32_t at = (int32_t)(start - reader->bytes);
  if (at != reader->at) reader->at = skip(reader->bytes, at - reader->gap + 1, reader->length);
  return 1;
}

/* Reads on to the list's end. 0 where what is there are no ids. */
static int read_all(struct reader *reader, struct keys *keys) {
  const uint8_t *bytes = reader->bytes;
  const int32_t length = reader->length;
  for (;;) {
    /* Digits are read by the eight bytes that end with them. */
    if (reader->at >= DIGITS_MAX && reader->gap <= 2 && !read_wide(reader, keys)) return 0;
    int32_t at = reader->at;
    while (at < length && (uint8_t)(bytes[at] - '0') < 10) at++;
    const uint64_t id = long_id(bytes + reader->at, at - reader->at);
    if (at == reader->at || id > ID_MAX) return 0;
    add_id(keys, (uint32_t)id);
    const int32_t end = at;
    at = skip(bytes, at, length);
    const int is_last = at >= length || bytes[at] != ',';
    reader->at = is_last ? at : skip(bytes, at + 1, length);
    reader->gap = reader->at - end;
    if (is_last) return 1;
  }
}

/*
 * The ids of the bytes, of which all must be read: how many there are, or NONE. `chain` has its seed, and gets `blocks_max`
 * blocks at most, of engines' blocks of `block_tokens`, the first of which hangs on the root.
 */
EXPORT int32_t infermesh_chain_ids(const uint8_t *bytes, int32_t length, int32_t block_tokens, uint32_t root_low,
                                   uint32_t root_high, int32_t *chain, int32_t blocks_max) {
  const int32_t stride = block_tokens < ENTRY_TOKENS ? ENTRY_TOKENS / block_tokens : 1;
  struct keys keys = {.block_tokens = block_tokens, .stride = stride, .chain = chain, .blocks_max = blocks_max};
  begin_key(&keys, root_low, root_high);
  int32_t at = skip(bytes, 0, length);
  if (at >= length || bytes[at] != '[') return NONE;
  at = skip(bytes, at + 1, length);
  const int is_nested = at < length && bytes[at] == '[';
  if (is_nested) at = skip(bytes, at + 1, length);
  struct reader reader = {.bytes = bytes, .length = length, .at = at, .gap = 1};
  if (!read_all(&reader, &keys)) return NONE;
  at = reader.at;
  for (int brackets = 0; brackets <= is_nested; brackets++) {
    if (at >= length || bytes[at] != ']') return NONE;
    at = skip(bytes, at + 1, length);
  }
  return at == length ? keys.count + keys.tokens : NONE;
}
