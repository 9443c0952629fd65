/* The scenario's values as calls hand them out. */
#include <stdio.h>
#include <string.h>
#include "double.h"

int giveUnsigned(const struct value *value, unsigned *out) {
  if (out == NULL) return misuse("null pointer");
  if (value == NULL || value->kind == TEXT) return NOT_SUPPORTED;
  if (value->kind == FAILURE) return value->code;
  *out = (unsigned)valueWhole(value);
  return OK;
}

int giveLong(const struct value *value, unsigned long long *out) {
  if (out == NULL) return misuse("null pointer");
  if (value == NULL || value->kind == TEXT) return NOT_SUPPORTED;
  if (value->kind == FAILURE) return value->code;
  *out = valueWhole(value);
  return OK;
}

/* {i} and {x} in a text are the GPU's number, in decimal and in two hexadecimal digits. */
int giveText(const struct value *value, unsigned gpu, char *out, unsigned length) {
  if (out == NULL) return misuse("null pointer");
  if (value == NULL) return NOT_SUPPORTED;
  if (value->kind == FAILURE) return value->code;
  if (value->kind != TEXT) return NOT_SUPPORTED;
  if (value->isRaw) {
    for (unsigned i = 0; i < length && value->length > 0; i++) out[i] = value->text[i % value->length];
    return OK;
  }
  char text[4096];
  size_t used = 0;
  for (size_t i = 0; i < value->length && used < sizeof text - 16; i++) {
    bool isHex = strncmp(value->text + i, "{x}", 3) == 0;
    if (isHex || strncmp(value->text + i, "{i}", 3) == 0) {
      used += (size_t)snprintf(text + used, 16, isHex ? "%02x" : "%u", gpu);
      i += 2;
    } else {
      text[used++] = value->text[i];
    }
  }
  text[used++] = 0;
  if (used > length) return INSUFFICIENT_SIZE;
  memcpy(out, text, used);
  return OK;
}

uint64_t wholeOr(const struct value *value, uint64_t otherwise) {
  return value == NULL || value->kind == FAILURE || value->kind == TEXT ? otherwise : valueWhole(value);
}
