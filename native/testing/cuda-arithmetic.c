/*
 * The results of infermesh's own kernels, where all of their memory has contents: as the C below says what each should
 * compute, whatever its PTX is. A card whose scenario does not say `computes = yes` computes nothing, so that zeros come back.
 */
#include <string.h>
#include "cuda-double.h"

/* The bytes from an address on, if there are so many with contents. */
static void *contentsAt(void *const *parameters, unsigned which, uint64_t size) {
  uint64_t address;
  memcpy(&address, parameters[which], sizeof address);
  struct object *memory = memoryAt(address, size);
  return memory == NULL || memory->host == NULL ? NULL : (char *)memory->host + (address - memory->address);
}

static uint32_t wordOf(void *const *parameters, unsigned which) {
  uint32_t word;
  memcpy(&word, parameters[which], sizeof word);
  return word;
}

/* Normal numbers and zeros are all that whole numbers are. */
static float ofHalf(uint16_t half) {
  uint32_t exponent = half >> 10 & 31, bits = (uint32_t)(half & 0x8000) << 16;
  if (exponent != 0) bits |= (exponent + 112) << 23 | (uint32_t)(half & 1023) << 13;
  float number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

static void copy(uint64_t blocks, void *const *parameters) {
  uint64_t bytes = blocks * 16384;
  void *to = contentsAt(parameters, 0, bytes), *from = contentsAt(parameters, 1, bytes);
  if (to != NULL && from != NULL) memmove(to, from, bytes);
}

static void triad(uint64_t blocks, void *const *parameters) {
  uint64_t bytes = blocks * 16384;
  float *to = contentsAt(parameters, 0, bytes);
  const float *b = contentsAt(parameters, 1, bytes), *c = contentsAt(parameters, 2, bytes);
  if (to == NULL || b == NULL || c == NULL) return;
  for (uint64_t i = 0; i < bytes / 4; i++) to[i] = b[i] + 3 * c[i];
}

/* Eight chains a thread, sixteen steps a turn. */
static void chain(uint64_t blocks, void *const *parameters) {
  uint64_t threads = blocks * 256;
  float *to = contentsAt(parameters, 0, threads * 4);
  uint32_t steps = wordOf(parameters, 1) * 16;
  for (uint64_t thread = 0; to != NULL && thread < threads; thread++) {
    float sum = 0, start = (float)thread / 1024;
    for (unsigned i = 0; i < 8; i++, start += 1) {
      float x = start;
      for (uint32_t step = 0; step < steps; step++) x = (float)((double)x * 0.999f + 0.001f);
      sum += x;
    }
    to[thread] = sum;
  }
}

static void product(uint64_t down, uint64_t across, void *const *parameters) {
  uint64_t rows = down * 128, columns = across * 128, n = wordOf(parameters, 3), k = wordOf(parameters, 4);
  float *c = contentsAt(parameters, 0, rows * n * 4);
  const uint16_t *a = contentsAt(parameters, 1, rows * k * 2), *b = contentsAt(parameters, 2, columns * k * 2);
  if (a == NULL || b == NULL || c == NULL || columns > n) return;
  for (uint64_t row = 0; row < rows; row++) {
    for (uint64_t column = 0; column < columns; column++) {
      float sum = 0;
      for (uint64_t at = 0; at < k; at++) sum += ofHalf(a[row * k + at]) * ofHalf(b[column * k + at]);
      c[row * n + column] = sum;
    }
  }
}

void compute(unsigned device, const char *name, const unsigned grid[3], void *const *parameters) {
  if (parameters == NULL || wholeOr(scenarioOf(device, NO_PART, 0, "computes"), 0) == 0) return;
  if (strcmp(name, "infermesh_copy") == 0) copy(grid[0], parameters);
  else if (strcmp(name, "infermesh_triad") == 0) triad(grid[0], parameters);
  else if (strcmp(name, "infermesh_chain") == 0) chain(grid[0], parameters);
  else if (strcmp(name, "infermesh_product") == 0) product((uint64_t)grid[0] * grid[2], grid[1], parameters);
}
