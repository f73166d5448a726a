/*
 * The memory of the engine's heap: one region, below 4 GiB so that a value of 8 bytes can hold an
 * address (build/reduce-engine.pl). The engine cuts small blocks out of arenas itself; what it asks
 * for here are those arenas and large buffers, some hundred blocks at a time.
 *
 * First fit from the lowest address, neighbours joined when they are free: the heap stays dense, and
 * pages that were never needed are never touched.
 */
#include <string.h>

#include "host.h"
#include "platform.h"

/* Before each block. Sizes include it and are multiples of 8; one of size 0 ends the region. */
typedef struct {
  uint32_t size_and_used;
  uint32_t size_before;
} block_header;

enum { HEADER_BYTES = sizeof(block_header), USED = 1, LEAST_BYTES = 2 * HEADER_BYTES };

/* No free block lies before it. */
static block_header *first_free;

static uint32_t size_of(const block_header *block) { return block->size_and_used & ~(uint32_t)USED; }

static bool is_used(const block_header *block) { return (block->size_and_used & USED) != 0; }

static block_header *after(block_header *block) {
  return (block_header *)((uint8_t *)block + size_of(block));
}

static void set_size(block_header *block, uint32_t size, uint32_t used) {
  block->size_and_used = size | used;
  after(block)->size_before = size;
}

/* Takes the block behind into this one when it is free. */
static void join(block_header *block) {
  block_header *next = after(block);
  if (is_used(next)) return;
  if (first_free == next) first_free = block;
  set_size(block, size_of(block) + size_of(next), block->size_and_used & USED);
}

/* Makes the block a used one of `size`, and what is left of it a free one. */
static void use(block_header *block, uint32_t size) {
  uint32_t left = size_of(block) - size;
  if (left < LEAST_BYTES) {
    block->size_and_used |= USED;
    return;
  }
  set_size(block, size, USED);
  block_header *rest = after(block);
  set_size(rest, left, 0);
  join(rest);
  if (rest < first_free) first_free = rest;
}

/* 0: more than there can be. */
static uint32_t block_bytes(size_t bytes) {
  if (bytes > INT32_MAX) return 0;
  return ((uint32_t)bytes + HEADER_BYTES + 7) & ~(uint32_t)7;
}

static void *heap_malloc(void *opaque, size_t bytes) {
  (void)opaque;
  uint32_t size = block_bytes(bytes);
  if (size == 0) return NULL;
  block_header *block = first_free;
  bool passed_free = false;
  while (is_used(block) || size_of(block) < size) {
    if (size_of(block) == 0) return NULL;
    if (!is_used(block)) passed_free = true;
    block = after(block);
    if (!passed_free) first_free = block;
  }
  use(block, size);
  return block + 1;
}

static void heap_free(void *opaque, void *bytes) {
  (void)opaque;
  if (bytes == NULL) return;
  block_header *block = (block_header *)bytes - 1;
  block->size_and_used &= ~(uint32_t)USED;
  join(block);
  if (block->size_before > 0) {
    block_header *before = (block_header *)((uint8_t *)block - block->size_before);
    if (!is_used(before)) {
      join(before);
      block = before;
    }
  }
  if (block < first_free) first_free = block;
}

static void *heap_calloc(void *opaque, size_t count, size_t bytes) {
  if (bytes != 0 && count > UINT32_MAX / bytes) return NULL;
  void *found = heap_malloc(opaque, count * bytes);
  return found == NULL ? NULL : memset(found, 0, count * bytes);
}

static size_t heap_usable_size(const void *bytes) {
  return bytes == NULL ? 0 : size_of((const block_header *)bytes - 1) - HEADER_BYTES;
}

static void *heap_realloc(void *opaque, void *bytes, size_t length) {
  if (bytes == NULL) return heap_malloc(opaque, length);
  block_header *block = (block_header *)bytes - 1;
  uint32_t size = block_bytes(length), size_before = size_of(block);
  if (size == 0) return NULL;
  if (size > size_before) join(block);
  if (size <= size_of(block)) {
    use(block, size);
    return bytes;
  }
  void *moved = heap_malloc(opaque, length);
  if (moved == NULL) return NULL;
  memcpy(moved, bytes, size_before - HEADER_BYTES);
  heap_free(opaque, bytes);
  return moved;
}

JSRuntime *new_runtime(size_t heap_bytes) {
  static const JSMallocFunctions functions = {heap_calloc, heap_malloc, heap_free, heap_realloc,
                                              heap_usable_size};
  static uint8_t *region;
  /* The limit counts bytes in use; between them lie gaps. */
  size_t region_bytes = (2 * heap_bytes + 7) & ~(size_t)7;
  if (region == NULL) region = platform_heap(region_bytes);
  if (region == NULL) return NULL;
  first_free = (block_header *)region;
  first_free->size_before = 0;
  block_header *end = (block_header *)(region + region_bytes) - 1;
  end->size_and_used = USED;
  set_size(first_free, (uint32_t)(region_bytes - HEADER_BYTES), 0);
  JSRuntime *runtime = JS_NewRuntime2(&functions, NULL);
  if (runtime != NULL) JS_SetMemoryLimit(runtime, heap_bytes);
  return runtime;
}
