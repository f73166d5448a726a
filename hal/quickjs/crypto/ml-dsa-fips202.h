/* The FIPS 202 interface that mldsa-native asks for, over keccak.c. */
#ifndef OTA_ML_DSA_FIPS202_H
#define OTA_ML_DSA_FIPS202_H

#include "keccak.h"

#define mld_shake128ctx keccak_state
#define mld_shake256ctx keccak_state

static MLD_INLINE void mld_shake128_init(keccak_state *state) { keccak_init(state); }
static MLD_INLINE void mld_shake128_release(keccak_state *state) { (void)state; }
static MLD_INLINE void mld_shake128_absorb(keccak_state *state, const uint8_t *in, size_t length) {
  keccak_absorb(state, SHAKE128_RATE, in, length);
}
static MLD_INLINE void mld_shake128_finalize(keccak_state *state) {
  keccak_finalize(state, SHAKE128_RATE, SHAKE_SUFFIX);
}
static MLD_INLINE void mld_shake128_squeeze(uint8_t *out, size_t length, keccak_state *state) {
  keccak_squeeze(state, SHAKE128_RATE, out, length);
}
static MLD_INLINE void mld_shake128_squeezeblocks(uint8_t *out, size_t blocks,
                                                  keccak_state *state) {
  keccak_squeeze(state, SHAKE128_RATE, out, blocks * SHAKE128_RATE);
}

static MLD_INLINE void mld_shake256_init(keccak_state *state) { keccak_init(state); }
static MLD_INLINE void mld_shake256_release(keccak_state *state) { (void)state; }
static MLD_INLINE void mld_shake256_absorb(keccak_state *state, const uint8_t *in, size_t length) {
  keccak_absorb(state, SHAKE256_RATE, in, length);
}
static MLD_INLINE void mld_shake256_finalize(keccak_state *state) {
  keccak_finalize(state, SHAKE256_RATE, SHAKE_SUFFIX);
}
static MLD_INLINE void mld_shake256_squeeze(uint8_t *out, size_t length, keccak_state *state) {
  keccak_squeeze(state, SHAKE256_RATE, out, length);
}
static MLD_INLINE void mld_shake256_squeezeblocks(uint8_t *out, size_t blocks,
                                                  keccak_state *state) {
  keccak_squeeze(state, SHAKE256_RATE, out, blocks * SHAKE256_RATE);
}
static MLD_INLINE void mld_shake256(uint8_t *out, size_t out_length, const uint8_t *in,
                                    size_t length) {
  keccak_hash(SHAKE256_RATE, SHAKE_SUFFIX, in, length, out, out_length);
}

#endif
