/* What std::list and the unordered containers call outside of their headers. */
#include "shim.h"

/* ---- std::unordered_map and its kin: how many buckets, when to grow ---- */

/* std::__detail::_Prime_rehash_policy */
struct growth {
  float loadMax;
  size_t growsAt;
};
/* std::pair<bool, size_t>, as it is passed in two registers. */
struct decision {
  uint64_t grows;
  size_t buckets;
};

enum { BUCKETS_MAX_BITS = 40 };

static int isPrime(size_t number) {
  if (number < 4) return number > 1;
  if (number % 2 == 0) return 0;
  for (size_t divisor = 3; divisor <= number / divisor; divisor += 2) {
    if (number % divisor == 0) return 0;
  }
  return 1;
}

size_t nextBuckets(struct growth *growth, size_t least)
    CXX("_ZNKSt8__detail20_Prime_rehash_policy11_M_next_bktEm");
size_t nextBuckets(struct growth *growth, size_t least) {
  if (least == 0) return 1;
  size_t buckets = least < 2 ? 2 : least;
  if (buckets >> BUCKETS_MAX_BITS != 0) fatal("hash table too large", NULL);
  /* Some room, so that tables that grow one by one grow by a factor. */
  if (buckets > 13) buckets += buckets / 16;
  while (!isPrime(buckets)) buckets++;
  growth->growsAt = (size_t)((double)buckets * growth->loadMax);
  return buckets;
}

struct decision needsRehash(struct growth *growth, size_t buckets, size_t elements, size_t added)
    CXX("_ZNKSt8__detail20_Prime_rehash_policy14_M_need_rehashEmmm");
struct decision needsRehash(struct growth *growth, size_t buckets, size_t elements, size_t added) {
  size_t all = elements + added;
  if (all <= growth->growsAt) return (struct decision){0, 0};
  if (growth->growsAt == 0 && all < 11) all = 11;
  size_t least = (size_t)((double)all / growth->loadMax);
  if (least >= buckets) {
    size_t wanted = least + 1 > buckets * 2 ? least + 1 : buckets * 2;
    return (struct decision){1, nextBuckets(growth, wanted)};
  }
  growth->growsAt = (size_t)((double)buckets * growth->loadMax);
  return (struct decision){0, 0};
}

/* Any hash will do that mixes well: its values are compared with one another alone, within this process. */
size_t hashBytes(const void *data, size_t size, size_t seed) CXX("_ZSt11_Hash_bytesPKvmm");
size_t hashBytes(const void *data, size_t size, size_t seed) {
  const uint8_t *bytes = data;
  uint64_t hash = seed ^ size * 0x9e3779b97f4a7c15ull;
  while (size > 0) {
    size_t count = size < 8 ? size : 8;
    uint64_t word = 0;
    for (size_t i = 0; i < count; i++) word |= (uint64_t)bytes[i] << 8 * i;
    unsigned __int128 product = (unsigned __int128)(hash ^ word) * 0xd6e8feb86659fd93ull;
    hash = (uint64_t)product ^ (uint64_t)(product >> 64);
    bytes += count;
    size -= count;
  }
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93ull;
  return hash ^ hash >> 29;
}

/* ---- std::list ---- */

struct link {
  struct link *next, *previous;
};

void hook(struct link *added, struct link *before) CXX("_ZNSt8__detail15_List_node_base7_M_hookEPS0_");
void hook(struct link *added, struct link *before) {
  added->next = before;
  added->previous = before->previous;
  before->previous->next = added;
  before->previous = added;
}

void unhook(struct link *removed) CXX("_ZNSt8__detail15_List_node_base9_M_unhookEv");
void unhook(struct link *removed) {
  removed->next->previous = removed->previous;
  removed->previous->next = removed->next;
}
