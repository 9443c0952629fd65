/* The configuration, at the shim's very start. */
#include "shim.h"

__attribute__((section(".config"), used)) volatile const struct config config = {.magic = MAGIC};
