/* The classical half of crypto.h by BearSSL: constant time, no allocation but for digests. */
#include <bearssl.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"

struct digest_state {
  const br_hash_class *class;
  union {
    br_sha256_context sha256;
    br_sha512_context sha512;
  } context;
};

static const br_hash_class *hash_class(digest_algorithm algorithm) {
  return algorithm == DIGEST_SHA_256 ? &br_sha256_vtable : &br_sha512_vtable;
}

size_t digest_bytes(digest_algorithm algorithm) { return algorithm == DIGEST_SHA_256 ? 32 : 64; }

digest_state *digest_new(digest_algorithm algorithm) {
  digest_state *state = malloc(sizeof *state);
  if (state == NULL) return NULL;
  state->class = hash_class(algorithm);
  state->class->init((const br_hash_class **)&state->context);
  return state;
}

void digest_update(digest_state *state, const uint8_t *bytes, size_t length) {
  state->class->update((const br_hash_class **)&state->context, bytes, length);
}

void digest_finish(digest_state *state, uint8_t *out) {
  state->class->out((const br_hash_class *const *)&state->context, out);
}

void digest_free(digest_state *state) { free(state); }

void hmac_compute(digest_algorithm algorithm, const uint8_t *key, size_t key_length,
                  const uint8_t *message, size_t length, uint8_t *out) {
  br_hmac_key_context key_context;
  br_hmac_context context;
  br_hmac_key_init(&key_context, hash_class(algorithm), key, key_length);
  br_hmac_init(&context, &key_context, 0);
  br_hmac_update(&context, message, length);
  br_hmac_out(&context, out);
  wipe(&key_context, sizeof key_context);
  wipe(&context, sizeof context);
}

/* The fastest constant-time implementations that this CPU has. */
static const br_block_ctr_class *aes_class(void) {
  const br_block_ctr_class *native = br_aes_x86ni_ctr_get_vtable();
  if (native != NULL) return native;
  return sizeof(void *) >= 8 ? &br_aes_ct64_ctr_vtable : &br_aes_ct_ctr_vtable;
}

static br_ghash ghash_function(void) {
  br_ghash native = br_ghash_pclmul_get();
  if (native != NULL) return native;
  return sizeof(void *) >= 8 ? br_ghash_ctmul64 : br_ghash_ctmul32;
}

typedef struct {
  br_aes_gen_ctr_keys keys;
  br_gcm_context gcm;
} gcm_state;

static void gcm_start(gcm_state *state, const uint8_t *key, const uint8_t *nonce,
                      const uint8_t *additional, size_t additional_length) {
  const br_block_ctr_class *aes = aes_class();
  aes->init(&state->keys.vtable, key, AEAD_KEY_BYTES);
  br_gcm_init(&state->gcm, &state->keys.vtable, ghash_function());
  br_gcm_reset(&state->gcm, nonce, AEAD_NONCE_BYTES);
  br_gcm_aad_inject(&state->gcm, additional, additional_length);
  br_gcm_flip(&state->gcm);
}

void aead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               const uint8_t *additional, size_t additional_length, uint8_t *text, size_t length,
               uint8_t tag[AEAD_TAG_BYTES]) {
  gcm_state state;
  gcm_start(&state, key, nonce, additional, additional_length);
  br_gcm_run(&state.gcm, 1, text, length);
  br_gcm_get_tag(&state.gcm, tag);
  wipe(&state, sizeof state);
}

bool aead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               const uint8_t *additional, size_t additional_length, uint8_t *text, size_t length,
               const uint8_t tag[AEAD_TAG_BYTES]) {
  gcm_state state;
  gcm_start(&state, key, nonce, additional, additional_length);
  br_gcm_run(&state.gcm, 0, text, length);
  bool authentic = br_gcm_check_tag(&state.gcm, tag) == 1;
  if (!authentic) wipe(text, length);
  wipe(&state, sizeof state);
  return authentic;
}

static bool ecdsa_verify(int curve, const br_hash_class *hash, const uint8_t *point,
                         size_t point_length, const uint8_t *message, size_t length,
                         const uint8_t *signature, size_t signature_length) {
  br_hash_compat_context context;
  uint8_t digest[DIGEST_MAX_BYTES];
  if (point[0] != 4) return false;
  hash->init(&context.vtable);
  hash->update(&context.vtable, message, length);
  hash->out(&context.vtable, digest);
  size_t digest_length = (hash->desc >> BR_HASHDESC_OUT_OFF) & BR_HASHDESC_OUT_MASK;
  br_ec_public_key key = {curve, (unsigned char *)point, point_length};
  const br_ec_impl *curves = curve == BR_EC_secp256r1 ? &br_ec_p256_m31 : &br_ec_prime_i31;
  return br_ecdsa_i31_vrfy_raw(curves, digest, digest_length, &key, signature, signature_length) == 1;
}

bool p256_verify(const uint8_t point[P256_POINT_BYTES], const uint8_t *message, size_t length,
                 const uint8_t signature[P256_SIGNATURE_BYTES]) {
  return ecdsa_verify(BR_EC_secp256r1, &br_sha256_vtable, point, P256_POINT_BYTES, message, length,
                      signature, P256_SIGNATURE_BYTES);
}

bool p384_verify(const uint8_t point[P384_POINT_BYTES], const uint8_t *message, size_t length,
                 const uint8_t signature[P384_SIGNATURE_BYTES]) {
  return ecdsa_verify(BR_EC_secp384r1, &br_sha384_vtable, point, P384_POINT_BYTES, message, length,
                      signature, P384_SIGNATURE_BYTES);
}

bool p256_public(const uint8_t scalar[P256_SCALAR_BYTES], uint8_t point[P256_POINT_BYTES]) {
  /* BearSSL's point multiplication asks for a scalar in 1 … n-1; compared in constant time. */
  size_t order_length;
  const unsigned char *order = br_ec_p256_m31.order(BR_EC_secp256r1, &order_length);
  uint8_t any = 0;
  int borrow = 0;
  for (size_t i = P256_SCALAR_BYTES; i-- > 0;) {
    any |= scalar[i];
    borrow = (scalar[i] - order[i] - borrow) < 0;
  }
  if (any == 0 || !borrow) return false;
  return br_ec_p256_m31.mulgen(point, scalar, P256_SCALAR_BYTES, BR_EC_secp256r1) ==
         P256_POINT_BYTES;
}

bool p256_agree(const uint8_t scalar[P256_SCALAR_BYTES], const uint8_t point[P256_POINT_BYTES],
                uint8_t shared[P256_SCALAR_BYTES]) {
  uint8_t product[P256_POINT_BYTES];
  memcpy(product, point, sizeof product);
  bool valid = point[0] == 4 && br_ec_p256_m31.mul(product, sizeof product, scalar,
                                                   P256_SCALAR_BYTES, BR_EC_secp256r1) == 1;
  if (valid) memcpy(shared, product + 1, P256_SCALAR_BYTES);
  wipe(product, sizeof product);
  return valid;
}

bool p256_sign(const uint8_t scalar[P256_SCALAR_BYTES], const uint8_t *message, size_t length,
               uint8_t signature[P256_SIGNATURE_BYTES]) {
  uint8_t point[P256_POINT_BYTES], digest[32];
  br_sha256_context context;
  if (!p256_public(scalar, point)) return false;
  br_sha256_init(&context);
  br_sha256_update(&context, message, length);
  br_sha256_out(&context, digest);
  br_ec_private_key key = {BR_EC_secp256r1, (unsigned char *)scalar, P256_SCALAR_BYTES};
  /* Deterministic nonces (RFC 6979): a weak random source cannot give the key away. */
  return br_ecdsa_i31_sign_raw(&br_ec_p256_m31, &br_sha256_vtable, digest, &key, signature) ==
         P256_SIGNATURE_BYTES;
}
