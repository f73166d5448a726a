/*
 * Random calls to the allocator of the engine's heap (hal/quickjs/engine/heap.c), with sanitizers:
 *   heap-exercise SEED CALLS
 * Every block keeps what was written to it, no two share a byte, and when all are given back the heap
 * is one block again. The engine itself is not needed: only the functions that it would be given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../hal/quickjs/engine/host.h"
#include "../../hal/quickjs/engine/platform.h"

enum { HEAP_BYTES = 65536, BLOCKS = 64 };

static JSMallocFunctions heap;
static uint8_t *region;
static size_t region_bytes;

JSRuntime *JS_NewRuntime2(const JSMallocFunctions *functions, void *opaque) {
  (void)opaque;
  heap = *functions;
  return NULL;
}

void JS_SetMemoryLimit(JSRuntime *runtime, size_t limit) { (void)runtime, (void)limit; }

void *platform_heap(size_t bytes) {
  region_bytes = bytes;
  return region = calloc(1, bytes);
}

static struct {
  uint8_t *bytes;
  size_t length;
  uint8_t value;
} blocks[BLOCKS];

static void fail(const char *what) {
  printf("failed: %s\n", what);
  exit(1);
}

static void check(int i) {
  if (blocks[i].bytes == NULL) return;
  if (blocks[i].bytes < region || blocks[i].bytes + blocks[i].length > region + region_bytes) {
    fail("a block outside of the region");
  }
  if (((uintptr_t)blocks[i].bytes & 7) != 0) fail("a block at no multiple of 8");
  if (heap.js_malloc_usable_size(blocks[i].bytes) < blocks[i].length) fail("a short block");
  for (size_t at = 0; at < blocks[i].length; at++) {
    if (blocks[i].bytes[at] != blocks[i].value) fail("a block that another one wrote to");
  }
}

static void fill(int i, uint8_t *bytes, size_t length) {
  blocks[i].bytes = bytes;
  blocks[i].length = length;
  blocks[i].value = (uint8_t)rand();
  memset(bytes, blocks[i].value, length);
}

static void step(void) {
  int i = rand() % BLOCKS;
  size_t length = 1 + (size_t)(rand() % (rand() % 8 == 0 ? 20000 : 1100));
  check(i);
  if (blocks[i].bytes == NULL) {
    bool zeroed = rand() % 2 == 0;
    uint8_t *bytes = zeroed ? heap.js_calloc(NULL, length, 1) : heap.js_malloc(NULL, length);
    if (bytes == NULL) return;
    for (size_t at = 0; zeroed && at < length; at++) {
      if (bytes[at] != 0) fail("a block that is not zeroed");
    }
    fill(i, bytes, length);
  } else if (rand() % 2 == 0) {
    heap.js_free(NULL, blocks[i].bytes);
    blocks[i].bytes = NULL;
  } else {
    uint8_t *bytes = heap.js_realloc(NULL, blocks[i].bytes, length);
    if (bytes == NULL) return;
    blocks[i].bytes = bytes;
    if (length < blocks[i].length) blocks[i].length = length;
    check(i);
    fill(i, bytes, length);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  srand((unsigned)atoi(argv[1]));
  new_runtime(HEAP_BYTES);
  /* Two headers are the heap's own: that of the block and that of the region's end. */
  size_t whole = region_bytes - 16;
  for (long left = atol(argv[2]); left > 0; left--) step();
  for (int i = 0; i < BLOCKS; i++) {
    check(i);
    heap.js_free(NULL, blocks[i].bytes);
  }
  if (heap.js_malloc(NULL, whole + 1) != NULL) fail("more than there is");
  if (heap.js_malloc(NULL, (size_t)1 << 40) != NULL) fail("more than any heap has");
  if (heap.js_malloc(NULL, whole) == NULL) fail("gaps that were not joined");
  free(region);
  printf("passed\n");
  return 0;
}
