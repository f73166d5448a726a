/* The Keccak sponge of FIPS 202: SHAKE128, SHAKE256, SHA3-256 and SHA3-512. */
#ifndef OTA_KECCAK_H
#define OTA_KECCAK_H

#include <stddef.h>
#include <stdint.h>

enum { SHAKE128_RATE = 168, SHAKE256_RATE = 136, SHA3_256_RATE = 136, SHA3_512_RATE = 72 };
/* Domain separation bits with the first bit of the padding. */
enum { SHAKE_SUFFIX = 0x1f, SHA3_SUFFIX = 0x06 };

typedef struct {
  uint64_t lanes[25];
  /* Bytes of the current block that were absorbed or squeezed. */
  unsigned position;
} keccak_state;

void keccak_init(keccak_state *state);
void keccak_absorb(keccak_state *state, unsigned rate, const uint8_t *bytes, size_t length);
/* Ends absorbing; squeezing may begin. */
void keccak_finalize(keccak_state *state, unsigned rate, uint8_t suffix);
void keccak_squeeze(keccak_state *state, unsigned rate, uint8_t *out, size_t length);
/* Absorbs one message and squeezes `out_length` bytes. */
void keccak_hash(unsigned rate, uint8_t suffix, const uint8_t *bytes, size_t length, uint8_t *out,
                 size_t out_length);

#endif
