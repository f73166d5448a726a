/*
 * Random calls to the flash file of the host (hal/quickjs/linux/flash.c), with sanitizers, beside a
 * NOR part in memory that does what it is told at once:
 *   flash-exercise FILE SEED CALLS
 * Whatever is erased, programmed and asked in whatever order, both say the same, and after a
 * synchronisation the file itself holds the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../hal/quickjs/engine/platform.h"

enum { BLOCK = 4096, BLOCKS = 16, SIZE = BLOCKS * BLOCK };

static uint8_t model[SIZE], bytes[SIZE], found[SIZE];
static const char *path;
static flash_storage *flash;
static uint8_t erased;
/* Where the last programming ended or the last erasing began: much of what follows starts there. */
static size_t follows;

static void fail(const char *what) {
  printf("failed: %s\n", what);
  exit(1);
}

static void check_file(void) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fread(found, 1, SIZE, file) != SIZE) fail("no whole file");
  fclose(file);
  if (memcmp(found, model, SIZE) != 0) fail("a synchronised file that holds something else");
}

static void program(size_t offset, size_t length) {
  bool kept = true, broken = false;
  for (size_t i = 0; i < length; i++) {
    uint8_t old = model[offset + i], value = (uint8_t)rand();
    /* Mostly what may be programmed there. */
    bool lawful = rand() % 20000 != 0;
    bytes[i] = !lawful ? value : erased ? value & old : value | old;
    if (((old ^ erased) & ~(bytes[i] ^ erased)) != 0) kept = false;
  }
  if (flash_program(flash, offset, bytes, length, &broken) != kept) fail("the rule, or writing");
  if (broken == kept) fail("the reason");
  if (kept) memcpy(model + offset, bytes, length);
  follows = offset + length;
}

static void step(void) {
  const char *problem;
  size_t offset = rand() % 2 == 0 ? follows % SIZE : (size_t)(rand() % SIZE);
  size_t length = (size_t)(rand() % (rand() % 4 == 0 ? SIZE : BLOCK));
  if (length > SIZE - offset) length = SIZE - offset;
  size_t block = rand() % 2 == 0 ? follows % SIZE / BLOCK : (size_t)(rand() % BLOCKS);
  size_t count = 1 + (size_t)rand() % 4;
  if (count > BLOCKS - block) count = BLOCKS - block;
  bool all = true, said;
  switch (rand() % 16) {
    case 0: case 1: case 2: case 3:
      if (!flash_erase(flash, block * BLOCK, count * BLOCK)) fail("no erasing");
      memset(model + block * BLOCK, erased, count * BLOCK);
      if (rand() % 2 == 0) follows = block * BLOCK;
      break;
    case 4: case 5: case 6: case 7: case 8: case 9:
      program(offset, length);
      break;
    case 10: case 11:
      if (!flash_read(flash, offset, found, length)) fail("no reading");
      if (memcmp(found, model + offset, length) != 0) fail("a read of something else");
      break;
    case 12: case 13:
      for (size_t i = 0; i < length; i++) all = all && model[offset + i] == erased;
      if (!flash_is_erased(flash, offset, length, &said)) fail("no looking");
      if (said != all) fail("whether it is erased");
      break;
    case 14:
      if (!flash_sync(flash)) fail("no synchronising");
      check_file();
      break;
    default:
      flash_close(flash);
      check_file();
      flash = flash_open(path, SIZE, BLOCK, erased, &problem);
      if (flash == NULL) fail(problem);
  }
}

int main(int argc, char **argv) {
  const char *problem;
  bool said;
  if (argc != 4) return 2;
  path = argv[1];
  srand((unsigned)atoi(argv[2]));
  erased = atoi(argv[2]) % 2 == 0 ? 0 : 0xff;
  memset(model, erased, SIZE);
  flash = flash_open(path, SIZE, BLOCK, erased, &problem);
  if (flash == NULL) fail(problem);
  for (long left = atol(argv[3]); left > 0; left--) step();
  if (flash_erase(flash, SIZE - BLOCK, 2 * BLOCK) || flash_program(flash, SIZE, bytes, 1, &said) ||
      flash_read(flash, 1, found, SIZE) || flash_is_erased(flash, SIZE, 1, &said)) {
    fail("something beyond the part");
  }
  flash_close(flash);
  check_file();
  printf("passed\n");
  return 0;
}
