/* The configuration, at the shim's very start, and the memory functions that a compiler calls on its own. */
#include "shim.h"

__attribute__((section(".config"), used)) volatile const struct config config = {.magic = MAGIC};

HIDDEN void *memset(void *to, int value, size_t size) {
  unsigned char *bytes = to;
  while (size-- > 0) *bytes++ = (unsigned char)value;
  return to;
}

HIDDEN void *memcpy(void *to, const void *from, size_t size) {
  unsigned char *bytes = to;
  const unsigned char *source = from;
  while (size-- > 0) *bytes++ = *source++;
  return to;
}
