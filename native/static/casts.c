/* dynamic_cast, by the layouts of the Itanium C++ ABI, 2.9.5 and 2.9.7. */
#include "shim.h"

struct type {
  const uint64_t *vtable;
  const char *name;
};
struct singleType {
  struct type type;
  const struct type *base;
};
struct manyType {
  struct type type;
  uint32_t flags, count;
  struct {
    const struct type *type;
    int64_t offsetAndFlags;
  } bases[];
};
enum { IS_VIRTUAL = 1, IS_PUBLIC = 2, OFFSET_SHIFT = 8 };
/* A type_info points behind the two words that its vtable begins with. */
enum { VTABLE_START = 16 };

static int isSame(const struct type *a, const struct type *b) {
  if (a == b || a->name == b->name) return 1;
  /* A name with a star is of a type that no other file knows. */
  if (a->name[0] == '*') return 0;
  const char *left = a->name, *right = b->name;
  while (*left != 0 && *left == *right) left++, right++;
  return *left == *right;
}

struct search {
  const struct type *to, *from;
  const void *start;
  /* An object of type `to` that has the start as a public base, and how many of those there are. */
  const void *around;
  int aroundCount;
  /* An object of type `to` that is a public base of the whole, and how many of those there are. */
  const void *anywhere;
  int anywhereCount;
  int startIsPublic;
};

/* `within`: the innermost object of type `to` that has this one as a public base; NULL for none. */
static void visit(struct search *search, const struct type *type, const char *at, int isPublic, const void *within) {
  if (isSame(type, search->to)) {
    if (isPublic && search->anywhere != at) {
      search->anywhere = at;
      search->anywhereCount++;
    }
    within = at;
  }
  if (at == search->start && isSame(type, search->from)) {
    if (within != NULL && search->around != within) {
      search->around = within;
      search->aroundCount++;
    }
    if (isPublic) search->startIsPublic = 1;
    return;
  }
  const uint64_t kind = (uint64_t)type->vtable;
  if (kind == config.singleVtable + VTABLE_START) {
    visit(search, ((const struct singleType *)type)->base, at, isPublic, within);
  } else if (kind == config.manyVtable + VTABLE_START) {
    const struct manyType *many = (const struct manyType *)type;
    for (uint32_t i = 0; i < many->count; i++) {
      const int64_t word = many->bases[i].offsetAndFlags;
      int64_t offset = word >> OFFSET_SHIFT;
      /* A virtual base's offset is in the object's own vtable. */
      if (word & IS_VIRTUAL) offset = *(const int64_t *)(*(const char *const *)at + offset);
      const int baseIsPublic = (word & IS_PUBLIC) != 0;
      visit(search, many->bases[i].type, at + offset, isPublic && baseIsPublic, baseIsPublic ? within : NULL);
    }
  }
}

void *dynamicCast(const void *start, const struct type *from, const struct type *to, int64_t hint)
    CXX("__dynamic_cast");
void *dynamicCast(const void *start, const struct type *from, const struct type *to, int64_t hint) {
  const uint64_t *vtable = *(const uint64_t *const *)start;
  const char *whole = (const char *)start + (int64_t)vtable[-2];
  const struct type *type = (const struct type *)vtable[-1];
  /* The usual case: to the object's own type, whose offset the compiler knew. */
  if (hint >= 0 && (const char *)start - hint == whole && isSame(type, to)) return (void *)whole;
  struct search search = {.to = to, .from = from, .start = start};
  visit(&search, type, whole, 1, NULL);
  if (search.aroundCount == 1) return (void *)search.around;
  const int isAcross = search.aroundCount == 0 && search.startIsPublic && search.anywhereCount == 1;
  return isAcross ? (void *)search.anywhere : NULL;
}
