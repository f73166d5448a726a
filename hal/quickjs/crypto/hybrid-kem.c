/*
 * MLKEM768-P256 (draft-irtf-cfrg-concrete-hybrid-kems):
 *   private key = 32-byte seed; SHAKE256(seed) = ML-KEM seed (64) | candidates of the scalar (4 x 32)
 *   public key  = ML-KEM-768 key | uncompressed point
 *   ciphertext  = ML-KEM-768 ciphertext | uncompressed ephemeral point
 *   shared      = SHA3-256(ML-KEM secret | x of the ECDH point | ephemeral point | own point | label)
 */
#include <string.h>

#include "crypto.h"
#include "keccak.h"

enum { SCALAR_CANDIDATES = 4 };
static const char label[] = "MLKEM768-P256";

/* The first candidate in 1 … n-1 with its point. */
static bool choose_scalar(const uint8_t *candidates, const uint8_t **scalar,
                          uint8_t point[P256_POINT_BYTES]) {
  for (int i = 0; i < SCALAR_CANDIDATES; i++) {
    *scalar = candidates + i * P256_SCALAR_BYTES;
    if (p256_public(*scalar, point)) return true;
  }
  return false;
}

static void combine(const uint8_t lattice_secret[ML_KEM_SECRET_BYTES],
                    const uint8_t shared_x[P256_SCALAR_BYTES], const uint8_t *ephemeral_point,
                    const uint8_t *own_point, uint8_t secret[HYBRID_SECRET_BYTES]) {
  keccak_state state;
  keccak_init(&state);
  keccak_absorb(&state, SHA3_256_RATE, lattice_secret, ML_KEM_SECRET_BYTES);
  keccak_absorb(&state, SHA3_256_RATE, shared_x, P256_SCALAR_BYTES);
  keccak_absorb(&state, SHA3_256_RATE, ephemeral_point, P256_POINT_BYTES);
  keccak_absorb(&state, SHA3_256_RATE, own_point, P256_POINT_BYTES);
  keccak_absorb(&state, SHA3_256_RATE, (const uint8_t *)label, sizeof label - 1);
  keccak_finalize(&state, SHA3_256_RATE, SHA3_SUFFIX);
  keccak_squeeze(&state, SHA3_256_RATE, secret, HYBRID_SECRET_BYTES);
  wipe(&state, sizeof state);
}

bool hybrid_decapsulate(const uint8_t seed[HYBRID_SEED_BYTES],
                        const uint8_t ciphertext[HYBRID_CIPHERTEXT_BYTES],
                        uint8_t secret[HYBRID_SECRET_BYTES]) {
  uint8_t expanded[ML_KEM_768_SEED_BYTES + SCALAR_CANDIDATES * P256_SCALAR_BYTES];
  uint8_t own_point[P256_POINT_BYTES], shared_x[P256_SCALAR_BYTES];
  uint8_t lattice_secret[ML_KEM_SECRET_BYTES];
  const uint8_t *scalar;
  const uint8_t *ephemeral_point = ciphertext + ML_KEM_768_CIPHERTEXT_BYTES;

  keccak_hash(SHAKE256_RATE, SHAKE_SUFFIX, seed, HYBRID_SEED_BYTES, expanded, sizeof expanded);
  bool opened = choose_scalar(expanded + ML_KEM_768_SEED_BYTES, &scalar, own_point) &&
                p256_agree(scalar, ephemeral_point, shared_x) &&
                ml_kem_768_decapsulate(expanded, ciphertext, lattice_secret);
  if (opened) combine(lattice_secret, shared_x, ephemeral_point, own_point, secret);
  wipe(expanded, sizeof expanded);
  wipe(shared_x, sizeof shared_x);
  wipe(lattice_secret, sizeof lattice_secret);
  return opened;
}

bool hybrid_encapsulate(const uint8_t key[HYBRID_PUBLIC_BYTES],
                        uint8_t ciphertext[HYBRID_CIPHERTEXT_BYTES],
                        uint8_t secret[HYBRID_SECRET_BYTES]) {
  uint8_t candidates[SCALAR_CANDIDATES * P256_SCALAR_BYTES], shared_x[P256_SCALAR_BYTES];
  uint8_t lattice_secret[ML_KEM_SECRET_BYTES];
  const uint8_t *scalar;
  const uint8_t *own_point = key + ML_KEM_768_PUBLIC_BYTES;
  uint8_t *ephemeral_point = ciphertext + ML_KEM_768_CIPHERTEXT_BYTES;

  if (!platform_random(candidates, sizeof candidates)) return false;
  bool sealed = choose_scalar(candidates, &scalar, ephemeral_point) &&
                p256_agree(scalar, own_point, shared_x) &&
                ml_kem_768_encapsulate(key, ciphertext, lattice_secret);
  if (sealed) combine(lattice_secret, shared_x, ephemeral_point, own_point, secret);
  wipe(candidates, sizeof candidates);
  wipe(shared_x, sizeof shared_x);
  wipe(lattice_secret, sizeof lattice_secret);
  return sealed;
}
