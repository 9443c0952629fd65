/* Memory of the card and of the host, and what moves it. */
#include <stdlib.h>
#include <string.h>
#include "cuda-double.h"

#define ALIGNMENT 512u

static uint64_t nextAddress = 0x7f0000000000u;

EXPORT int cuMemGetInfo_v2(size_t *freeOut, size_t *totalOut) {
  IN_CONTEXT(cuMemGetInfo_v2);
  if (freeOut == NULL || totalOut == NULL) return wrong(INVALID_VALUE);
  uint64_t total = totalOf((int)device), used = wholeOr(scenarioOf(device, NO_PART, 0, "memory_used"), 0) + allocated[device];
  *totalOut = total;
  *freeOut = used > total ? 0 : total - used;
  return SUCCESS;
}

EXPORT int cuMemAlloc_v2(uint64_t *out, size_t size) {
  IN_CONTEXT(cuMemAlloc_v2);
  if (out == NULL || size == 0) return wrong(INVALID_VALUE);
  uint64_t used = wholeOr(scenarioOf(device, NO_PART, 0, "memory_used"), 0) + allocated[device];
  uint64_t total = totalOf((int)device);
  if (used > total || size > total - used) return NO_MEMORY;
  struct object *memory = objectMake(MEMORY, device);
  if (memory == NULL) return NO_MEMORY;
  memory->address = nextAddress;
  memory->size = size;
  // Without room for its contents it has none.
  if (size <= CONTENTS_MAX) memory->host = calloc(1, size);
  nextAddress += (size + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
  allocated[device] += size;
  *out = memory->address;
  return SUCCESS;
}

EXPORT int cuMemFree_v2(uint64_t address) {
  IN_CONTEXT(cuMemFree_v2);
  struct object *memory = address == 0 ? NULL : memoryAt(address, 0);
  if (memory == NULL || memory->address != address) return wrong(INVALID_VALUE);
  allocated[memory->device] -= memory->size;
  (void)device;
  free(memory->host);
  memory->host = NULL;
  memory->sort = FREE_SLOT;
  return SUCCESS;
}

EXPORT int cuMemAllocHost_v2(void **out, size_t size) {
  IN_CONTEXT(cuMemAllocHost_v2);
  if (out == NULL || size == 0) return wrong(INVALID_VALUE);
  struct object *memory = objectMake(HOST_MEMORY, device);
  void *host = memory == NULL ? NULL : calloc(1, size);
  if (host == NULL) {
    if (memory != NULL) memory->sort = FREE_SLOT;
    return NO_MEMORY;
  }
  memory->host = host;
  *out = host;
  return SUCCESS;
}

EXPORT int cuMemFreeHost(void *host) {
  IN_CONTEXT(cuMemFreeHost);
  (void)device;
  for (unsigned i = 0; host != NULL && i < OBJECTS_MAX; i++) {
    if (objects[i].sort != HOST_MEMORY || objects[i].host != host) continue;
    free(host);
    objects[i].host = NULL;
    objects[i].sort = FREE_SLOT;
    return SUCCESS;
  }
  return wrong(INVALID_VALUE);
}

/* Within a card every byte is read and written; to and from the host it goes by the bus. */
static int copied(unsigned device, uint64_t to, uint64_t from, size_t size, bool isOnCard, const void *stream) {
  if (!isStream(stream)) return wrong(INVALID_HANDLE);
  if ((to != 0 && memoryAt(to, size) == NULL) || (from != 0 && memoryAt(from, size) == NULL)) return wrong(INVALID_VALUE);
  work(device, isOnCard ? 2.0 * (double)size / rateOf(device, "bandwidth") : (double)size / rateOf(device, "host_bandwidth"));
  return SUCCESS;
}

EXPORT int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size) {
  IN_CONTEXT(cuMemcpyDtoD_v2);
  return copied(device, to, from, size, true, NULL);
}

EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream) {
  IN_CONTEXT(cuMemcpyDtoDAsync_v2);
  return copied(device, to, from, size, true, stream);
}

static int copiedThere(unsigned device, uint64_t to, const void *from, size_t size, const void *stream) {
  if (from == NULL) return wrong(INVALID_VALUE);
  int code = copied(device, to, 0, size, false, stream);
  struct object *memory = code == SUCCESS ? memoryAt(to, size) : NULL;
  if (memory != NULL && memory->host != NULL) memcpy((char *)memory->host + (to - memory->address), from, size);
  return code;
}

EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size) {
  IN_CONTEXT(cuMemcpyHtoD_v2);
  return copiedThere(device, to, from, size, NULL);
}

EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream) {
  IN_CONTEXT(cuMemcpyHtoDAsync_v2);
  return copiedThere(device, to, from, size, stream);
}

/* Of memory without contents zeros come back. */
static int copiedBack(unsigned device, void *to, uint64_t from, size_t size, const void *stream) {
  if (to == NULL) return wrong(INVALID_VALUE);
  int code = copied(device, 0, from, size, false, stream);
  struct object *memory = code == SUCCESS ? memoryAt(from, size) : NULL;
  if (memory != NULL && memory->host != NULL) memcpy(to, (char *)memory->host + (from - memory->address), size);
  else if (code == SUCCESS) memset(to, 0, size);
  return code;
}

EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size) {
  IN_CONTEXT(cuMemcpyDtoH_v2);
  return copiedBack(device, to, from, size, NULL);
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
  IN_CONTEXT(cuMemcpyDtoHAsync_v2);
  return copiedBack(device, to, from, size, stream);
}

static int filled(unsigned device, uint64_t to, uint64_t size, const void *stream) {
  if (!isStream(stream)) return wrong(INVALID_HANDLE);
  if (memoryAt(to, size) == NULL) return wrong(INVALID_VALUE);
  work(device, (double)size / rateOf(device, "bandwidth"));
  return SUCCESS;
}

EXPORT int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t count) {
  IN_CONTEXT(cuMemsetD8_v2);
  (void)value;
  return filled(device, to, count, NULL);
}

EXPORT int cuMemsetD8Async(uint64_t to, unsigned char value, size_t count, void *stream) {
  IN_CONTEXT(cuMemsetD8Async);
  (void)value;
  return filled(device, to, count, stream);
}

EXPORT int cuMemsetD32_v2(uint64_t to, unsigned value, size_t count) {
  IN_CONTEXT(cuMemsetD32_v2);
  (void)value;
  return filled(device, to, count * 4, NULL);
}

EXPORT int cuMemsetD32Async(uint64_t to, unsigned value, size_t count, void *stream) {
  IN_CONTEXT(cuMemsetD32Async);
  (void)value;
  return filled(device, to, count * 4, stream);
}
