/* The FIPS 202 interface that mlkem-native asks for, over keccak.c. */
#ifndef OTA_ML_KEM_FIPS202_H
#define OTA_ML_KEM_FIPS202_H

#include "keccak.h"

#define mlk_shake128ctx keccak_state

static MLK_INLINE void mlk_shake128_init(keccak_state *state) { keccak_init(state); }
static MLK_INLINE void mlk_shake128_release(keccak_state *state) { (void)state; }
static MLK_INLINE void mlk_shake128_absorb_once(keccak_state *state, const uint8_t *in,
                                                size_t length) {
  keccak_absorb(state, SHAKE128_RATE, in, length);
  keccak_finalize(state, SHAKE128_RATE, SHAKE_SUFFIX);
}
static MLK_INLINE void mlk_shake128_squeezeblocks(uint8_t *out, size_t blocks,
                                                  keccak_state *state) {
  keccak_squeeze(state, SHAKE128_RATE, out, blocks * SHAKE128_RATE);
}
static MLK_INLINE void mlk_shake256(uint8_t *out, size_t out_length, const uint8_t *in,
                                    size_t length) {
  keccak_hash(SHAKE256_RATE, SHAKE_SUFFIX, in, length, out, out_length);
}
static MLK_INLINE void mlk_sha3_256(uint8_t *out, const uint8_t *in, size_t length) {
  keccak_hash(SHA3_256_RATE, SHA3_SUFFIX, in, length, out, 32);
}
static MLK_INLINE void mlk_sha3_512(uint8_t *out, const uint8_t *in, size_t length) {
  keccak_hash(SHA3_512_RATE, SHA3_SUFFIX, in, length, out, 64);
}

#endif
