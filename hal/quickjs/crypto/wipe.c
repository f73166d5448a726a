#include <string.h>

#include "crypto.h"

void wipe(void *memory, size_t length) {
  memset(memory, 0, length);
  /* The compiler must assume that the memory is looked at. */
  __asm__ volatile("" : : "r"(memory) : "memory");
}
