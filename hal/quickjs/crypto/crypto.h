/*
 * Cryptographic primitives of the QuickJS host, as `hal/types.ts` asks for them. The classical
 * half has two providers, chosen at build time: bearssl.c (default: constant time, no allocation)
 * and openssl.c (CPUs with AES instructions). ML-DSA, ML-KEM and SLH-DSA come in C beside either.
 *
 * Lengths are in bytes. A function returning `bool` gives false for malformed input; none aborts.
 */
#ifndef OTA_CRYPTO_H
#define OTA_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEAD_KEY_BYTES = 32, AEAD_NONCE_BYTES = 12, AEAD_TAG_BYTES = 16 };
enum { P256_SCALAR_BYTES = 32, P256_POINT_BYTES = 65, P256_SIGNATURE_BYTES = 64 };
enum { P384_POINT_BYTES = 97, P384_SIGNATURE_BYTES = 96 };
enum { ML_KEM_768_PUBLIC_BYTES = 1184, ML_KEM_768_CIPHERTEXT_BYTES = 1088 };
enum { ML_KEM_768_SEED_BYTES = 64, ML_KEM_SECRET_BYTES = 32 };
enum { HYBRID_SEED_BYTES = 32, HYBRID_SECRET_BYTES = 32 };
enum { HYBRID_PUBLIC_BYTES = ML_KEM_768_PUBLIC_BYTES + P256_POINT_BYTES };
enum { HYBRID_CIPHERTEXT_BYTES = ML_KEM_768_CIPHERTEXT_BYTES + P256_POINT_BYTES };
enum { DIGEST_MAX_BYTES = 64 };

typedef enum { DIGEST_SHA_256, DIGEST_SHA_512 } digest_algorithm;

/* A digest being computed; holds no secret. NULL: out of memory. */
typedef struct digest_state digest_state;

size_t digest_bytes(digest_algorithm algorithm);
digest_state *digest_new(digest_algorithm algorithm);
void digest_update(digest_state *state, const uint8_t *bytes, size_t length);
/* Writes `digest_bytes` of the algorithm to `out`; the state is then only good for `digest_free`. */
void digest_finish(digest_state *state, uint8_t *out);
void digest_free(digest_state *state);

/* HMAC (RFC 2104) over one message. */
void hmac_compute(digest_algorithm algorithm, const uint8_t *key, size_t key_length,
                  const uint8_t *message, size_t length, uint8_t *out);

/*
 * AES-256-GCM in place: `text` holds `length` bytes and is replaced. `seal` writes the tag. `open`
 * returns false and clears `text` when the tag is wrong.
 */
void aead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               const uint8_t *additional, size_t additional_length, uint8_t *text, size_t length,
               uint8_t tag[AEAD_TAG_BYTES]);
bool aead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               const uint8_t *additional, size_t additional_length, uint8_t *text, size_t length,
               const uint8_t tag[AEAD_TAG_BYTES]);

/* ECDSA with SHA-256 on P-256 and with SHA-384 on P-384; points uncompressed, signatures r|s. */
bool p256_verify(const uint8_t point[P256_POINT_BYTES], const uint8_t *message, size_t length,
                 const uint8_t signature[P256_SIGNATURE_BYTES]);
bool p384_verify(const uint8_t point[P384_POINT_BYTES], const uint8_t *message, size_t length,
                 const uint8_t signature[P384_SIGNATURE_BYTES]);
bool p256_sign(const uint8_t scalar[P256_SCALAR_BYTES], const uint8_t *message, size_t length,
               uint8_t signature[P256_SIGNATURE_BYTES]);
/* The public point of a scalar in 1 … n-1; false for another. */
bool p256_public(const uint8_t scalar[P256_SCALAR_BYTES], uint8_t point[P256_POINT_BYTES]);
/* x of the shared point; false when `point` is not on the curve. */
bool p256_agree(const uint8_t scalar[P256_SCALAR_BYTES], const uint8_t point[P256_POINT_BYTES],
                uint8_t shared[P256_SCALAR_BYTES]);

/* FIPS 204, pure ML-DSA; `context` is at most 255 bytes. */
bool ml_dsa_verify(int parameter_set, const uint8_t *key, size_t key_length,
                   const uint8_t *message, size_t length, const uint8_t *signature,
                   size_t signature_length, const uint8_t *context, size_t context_length);

/* FIPS 205, pure SLH-DSA-SHA2-128s. */
bool slh_dsa_128s_verify(const uint8_t *key, size_t key_length, const uint8_t *message,
                         size_t length, const uint8_t *signature, size_t signature_length,
                         const uint8_t *context, size_t context_length);

/* FIPS 203. `decapsulate` takes the 64-byte seed d|z; false: the ciphertext's length is wrong. */
bool ml_kem_768_public(const uint8_t seed[ML_KEM_768_SEED_BYTES],
                       uint8_t key[ML_KEM_768_PUBLIC_BYTES]);
bool ml_kem_768_encapsulate(const uint8_t key[ML_KEM_768_PUBLIC_BYTES],
                            uint8_t ciphertext[ML_KEM_768_CIPHERTEXT_BYTES],
                            uint8_t secret[ML_KEM_SECRET_BYTES]);
bool ml_kem_768_decapsulate(const uint8_t seed[ML_KEM_768_SEED_BYTES],
                            const uint8_t ciphertext[ML_KEM_768_CIPHERTEXT_BYTES],
                            uint8_t secret[ML_KEM_SECRET_BYTES]);

/* MLKEM768-P256 (draft-irtf-cfrg-concrete-hybrid-kems), see hybrid-kem.c. */
bool hybrid_encapsulate(const uint8_t key[HYBRID_PUBLIC_BYTES],
                        uint8_t ciphertext[HYBRID_CIPHERTEXT_BYTES],
                        uint8_t secret[HYBRID_SECRET_BYTES]);
bool hybrid_decapsulate(const uint8_t seed[HYBRID_SEED_BYTES],
                        const uint8_t ciphertext[HYBRID_CIPHERTEXT_BYTES],
                        uint8_t secret[HYBRID_SECRET_BYTES]);

/* Overwrites a secret; never optimised away. */
void wipe(void *memory, size_t length);

/* From the platform: fills `out` with random bytes, or false when there is no entropy. */
bool platform_random(uint8_t *out, size_t length);

#endif
