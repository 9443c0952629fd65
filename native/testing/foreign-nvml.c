/*
 * A library that is not libnvidia-ml and has some of its names, which mean something else there. Whoever takes it for
 * the real one is told "success" with answers that are none.
 */
#define EXPORT __attribute__((visibility("default")))

EXPORT int nvmlInit_v2(void) { return FOREIGN_INIT; }
EXPORT int nvmlShutdown(void) { return -7; }
EXPORT const char *nvmlErrorString(int code) { return code == 0 ? (const char *)0 : "\xff\xfe\xff"; }
EXPORT int nvmlDeviceGetCount_v2(unsigned *count) { *count = 0xFFFFFFF0u; return 0; }
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { (void)index; *device = (void *)0; return 0; }
EXPORT int nvmlDeviceGetName(void *device, char *out, unsigned length) { (void)device; (void)out; (void)length; return 0; }
EXPORT int nvmlDeviceGetUUID(void *device, char *out, unsigned length) {
  (void)device;
  for (unsigned i = 0; i < length; i++) out[i] = (char)0xFF;
  return 0;
}
