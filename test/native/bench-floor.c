/*
 * The floor of `make bench-peers`: what any installation has to do with each byte, in bare C with the
 * functions of the ECU's program. Opens each chunk (AES-256-GCM), erases and programs its blocks,
 * synchronises, reads the slot back and takes its SHA-256. Synchronises once, or after so many chunks.
 *   bench-floor FLASH BYTES-OF-IT SLOT-OFFSET CIPHERTEXT LENGTH KEY NONCE SHA256 CHUNKS|0
 * with key, nonce and SHA-256 in hexadecimal.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../../hal/quickjs/crypto/crypto.h"
#include "../../hal/quickjs/engine/platform.h"

enum { HEADER = 56, CHUNK = 16384, BLOCK = 4096 };

bool platform_random(uint8_t *out, size_t length) {
  return getrandom(out, length, 0) == (ssize_t)length;
}

static void decode(const char *text, uint8_t *out, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned value;
    if (sscanf(text + 2 * i, "%2x", &value) != 1) exit(2);
    out[i] = (uint8_t)value;
  }
}

int main(int argc, char **argv) {
  if (argc != 10) return 2;
  const char *problem = NULL;
  uint64_t part = strtoull(argv[2], NULL, 10), slot = strtoull(argv[3], NULL, 10);
  uint64_t length = strtoull(argv[5], NULL, 10), chunks_each = strtoull(argv[9], NULL, 10);
  uint8_t key[32], base[12], nonce[12], expected[32], found[64];
  static uint8_t chunk[CHUNK + 16];
  decode(argv[6], key, sizeof key);
  decode(argv[7], base, sizeof base);
  decode(argv[8], expected, sizeof expected);
  flash_storage *flash = flash_open(argv[1], part, BLOCK, 0xff, &problem);
  int file = open(argv[4], O_RDONLY);
  if (flash == NULL || file < 0) return 1;
  uint64_t written = 0, at = HEADER;
  for (uint64_t number = 0; at < length; number++) {
    size_t sealed = length - at < sizeof chunk ? (size_t)(length - at) : sizeof chunk;
    size_t plain = sealed - 16;
    bool broken;
    if (pread(file, chunk, sealed, (off_t)at) != (ssize_t)sealed) return 1;
    memcpy(nonce, base, sizeof nonce);
    for (int i = 0; i < 8; i++) nonce[11 - i] ^= (uint8_t)(number >> (8 * i));
    if (!aead_open(key, nonce, NULL, 0, chunk, plain, chunk + plain)) return 3;
    uint64_t blocks = (plain + BLOCK - 1) / BLOCK * BLOCK;
    if (blocks > 0 && !flash_erase(flash, slot + written, blocks)) return 1;
    if (!flash_program(flash, slot + written, chunk, plain, &broken)) return 1;
    written += plain;
    at += sealed;
    if (chunks_each > 0 && (number + 1) % chunks_each == 0 && !flash_sync(flash)) return 1;
  }
  if (!flash_sync(flash)) return 1;
  digest_state *digest = digest_new(DIGEST_SHA_256);
  for (uint64_t done = 0; done < written;) {
    size_t piece = written - done < CHUNK ? (size_t)(written - done) : CHUNK;
    if (!flash_read(flash, slot + done, chunk, piece)) return 1;
    digest_update(digest, chunk, piece);
    done += piece;
  }
  digest_finish(digest, found);
  if (memcmp(found, expected, sizeof expected) != 0) return 3;
  puts("installed");
  return 0;
}
