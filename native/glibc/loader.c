/*
 * What libraries ask of glibc's loader, and of glibc about itself.
 */
#include "musl.h"

enum { RTLD_NOW = 2, RTLD_DI_LINKMAP = 2, PT_LOAD = 1, PT_GNU_EH_FRAME = 0x6474e550 };

#if defined __x86_64__
static char glibcLoader[] = "ld-linux-x86-64.so.2";
#elif defined __aarch64__
static char glibcLoader[] = "ld-linux-aarch64.so.1";
#else
#error "glibc's names are those of x86-64 and aarch64"
#endif

/* The beginning of struct link_map, which both libraries have in common. */
struct linkMap { size_t base; char *name; };

/*
 * Libraries with thread-local variables need glibc's loader by its name, for __tls_get_addr, which musl has too. musl
 * takes itself for any library of the name that its own entry in the list of libraries has. That is "libc.so", which it
 * also knows otherwise; so the entry gets the name of glibc's loader, and no such file is looked for.
 */
__attribute__((constructor)) static void standForLoader(void) {
  struct linkMap *map;
  void *self = dlopen("libc.so", RTLD_NOW);
  if (self == NULL || dlinfo(self, RTLD_DI_LINKMAP, &map) != 0) return;
  if (strcmp(map->name, "libc.so") == 0) map->name = glibcLoader;
}

/* musl knows no versions of symbols. */
EXPORT void *dlvsym(void *library, const char *name, const char *version) {
  (void)version;
  return dlsym(library, name);
}

/*
 * Which glibc's bugs a library works around, and whose new functions it looks for. This one has no known ones of the first
 * kind (NVIDIA's libraries know of some in 2.20 to 2.24), and is old enough that all of it may be missing.
 */
EXPORT const char *gnu_get_libc_version(void) { return "2.17"; }
EXPORT const char *gnu_get_libc_release(void) { return "stable"; }

EXPORT unsigned long __getauxval(unsigned long type) { return getauxval(type); }

/* ---- where a library's tables for unwinding are (glibc 2.35): libgcc asks for each frame of a C++ exception ---- */

struct programHeader {
  uint32_t type, flags;
  size_t offset, address, physical, fileSize, memorySize, align;
};
struct loaded {
  size_t base;
  const char *name;
  const struct programHeader *headers;
  uint16_t count;
};
int dl_iterate_phdr(int (*)(struct loaded *, size_t, void *), void *);

/* struct dl_find_object; reserved words follow that nobody reads. */
struct found {
  uint64_t flags;
  size_t start, end;
  void *map;
  size_t unwinding;
};
struct search {
  size_t address;
  struct found *found;
};

static int isThere(struct loaded *library, size_t size, void *given) {
  (void)size;
  struct search *search = given;
  struct found found = { .start = SIZE_MAX };
  int holds = 0;
  for (uint16_t i = 0; i < library->count; i++) {
    const struct programHeader *header = &library->headers[i];
    size_t start = library->base + header->address, end = start + header->memorySize;
    if (header->type == PT_GNU_EH_FRAME) found.unwinding = start;
    if (header->type != PT_LOAD) continue;
    if (start < found.start) found.start = start;
    if (end > found.end) found.end = end;
    holds |= search->address >= start && search->address < end;
  }
  if (!holds || found.unwinding == 0) return 0;
  *search->found = found;
  return 1;
}

EXPORT int _dl_find_object(void *address, struct found *found) {
  struct search search = { (size_t)address, found };
  return dl_iterate_phdr(isThere, &search) == 1 ? 0 : -1;
}

/* ---- stacks: libraries write them when something is wrong. There are no frames to tell. ---- */

EXPORT int backtrace(void **frames, int count) {
  (void)frames, (void)count;
  return 0;
}

EXPORT char **backtrace_symbols(void *const *frames, int count) {
  (void)frames, (void)count;
  return calloc(1, sizeof(char *));
}

EXPORT void backtrace_symbols_fd(void *const *frames, int count, int fd) { (void)frames, (void)count, (void)fd; }
