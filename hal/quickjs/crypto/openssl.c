/*
 * The classical half of crypto.h by OpenSSL 3, for CPUs with AES instructions and where a validated
 * library is asked for. Chosen by CRYPTO=openssl; about ten times the memory of bearssl.c.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"

struct digest_state {
  EVP_MD_CTX *context;
};

static const EVP_MD *message_digest(digest_algorithm algorithm) {
  return algorithm == DIGEST_SHA_256 ? EVP_sha256() : EVP_sha512();
}

size_t digest_bytes(digest_algorithm algorithm) { return algorithm == DIGEST_SHA_256 ? 32 : 64; }

digest_state *digest_new(digest_algorithm algorithm) {
  digest_state *state = malloc(sizeof *state);
  if (state == NULL) return NULL;
  state->context = EVP_MD_CTX_new();
  if (state->context != NULL &&
      EVP_DigestInit_ex(state->context, message_digest(algorithm), NULL) == 1) {
    return state;
  }
  digest_free(state);
  return NULL;
}

void digest_update(digest_state *state, const uint8_t *bytes, size_t length) {
  /* Only a provider that fails makes this fail, and a digest must never be wrong in silence. */
  if (EVP_DigestUpdate(state->context, bytes, length) != 1) abort();
}

void digest_finish(digest_state *state, uint8_t *out) {
  if (EVP_DigestFinal_ex(state->context, out, NULL) != 1) abort();
}

void digest_free(digest_state *state) {
  if (state == NULL) return;
  EVP_MD_CTX_free(state->context);
  free(state);
}

void hmac_compute(digest_algorithm algorithm, const uint8_t *key, size_t key_length,
                  const uint8_t *message, size_t length, uint8_t *out) {
  /* An empty key is a key; a null pointer would mean another thing. */
  if (HMAC(message_digest(algorithm), key, (int)key_length, message, length, out, NULL) == NULL) {
    abort();
  }
}

static EVP_CIPHER_CTX *gcm_start(bool encrypt, const uint8_t *key, const uint8_t *nonce,
                                 const uint8_t *additional, size_t additional_length) {
  int ignored;
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL ||
      EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, encrypt) != 1 ||
      (additional_length > 0 &&
       EVP_CipherUpdate(context, NULL, &ignored, additional, (int)additional_length) != 1)) {
    abort();
  }
  return context;
}

void aead_seal(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               const uint8_t *additional, size_t additional_length, uint8_t *text, size_t length,
               uint8_t tag[AEAD_TAG_BYTES]) {
  int done;
  EVP_CIPHER_CTX *context = gcm_start(true, key, nonce, additional, additional_length);
  if (EVP_CipherUpdate(context, text, &done, text, (int)length) != 1 ||
      EVP_CipherFinal_ex(context, tag, &done) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, AEAD_TAG_BYTES, tag) != 1) {
    abort();
  }
  EVP_CIPHER_CTX_free(context);
}

bool aead_open(const uint8_t key[AEAD_KEY_BYTES], const uint8_t nonce[AEAD_NONCE_BYTES],
               const uint8_t *additional, size_t additional_length, uint8_t *text, size_t length,
               const uint8_t tag[AEAD_TAG_BYTES]) {
  int done;
  uint8_t none[16];
  EVP_CIPHER_CTX *context = gcm_start(false, key, nonce, additional, additional_length);
  bool authentic = EVP_CipherUpdate(context, text, &done, text, (int)length) == 1 &&
                   EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, AEAD_TAG_BYTES,
                                       (void *)tag) == 1 &&
                   EVP_CipherFinal_ex(context, none, &done) == 1;
  EVP_CIPHER_CTX_free(context);
  if (!authentic) wipe(text, length);
  return authentic;
}

/* A key of a named curve from its parts; NULL when they are not of the curve. */
static EVP_PKEY *curve_key(const char *curve, const uint8_t *point, size_t point_length) {
  EVP_PKEY *key = NULL;
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, point_length),
      OSSL_PARAM_construct_end()};
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
      EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
    key = NULL;
  }
  EVP_PKEY_CTX_free(context);
  return key;
}

static bool ecdsa_verify(const char *curve, const EVP_MD *digest, const uint8_t *point,
                         size_t point_length, const uint8_t *message, size_t length,
                         const uint8_t *signature, size_t half) {
  bool valid = false;
  unsigned char *der = NULL;
  if (point[0] != 4) return false;
  EVP_PKEY *key = curve_key(curve, point, point_length);
  ECDSA_SIG *parts = ECDSA_SIG_new();
  BIGNUM *r = BN_bin2bn(signature, (int)half, NULL);
  BIGNUM *s = BN_bin2bn(signature + half, (int)half, NULL);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (parts != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(parts, r, s) == 1) {
    int der_length = i2d_ECDSA_SIG(parts, &der);
    valid = key != NULL && context != NULL && der_length > 0 &&
            EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
            EVP_DigestVerify(context, der, (size_t)der_length, message, length) == 1;
  } else {
    BN_free(r);
    BN_free(s);
  }
  OPENSSL_free(der);
  ECDSA_SIG_free(parts);
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  return valid;
}

bool p256_verify(const uint8_t point[P256_POINT_BYTES], const uint8_t *message, size_t length,
                 const uint8_t signature[P256_SIGNATURE_BYTES]) {
  return ecdsa_verify("P-256", EVP_sha256(), point, P256_POINT_BYTES, message, length, signature,
                      P256_SIGNATURE_BYTES / 2);
}

bool p384_verify(const uint8_t point[P384_POINT_BYTES], const uint8_t *message, size_t length,
                 const uint8_t signature[P384_SIGNATURE_BYTES]) {
  return ecdsa_verify("P-384", EVP_sha384(), point, P384_POINT_BYTES, message, length, signature,
                      P384_SIGNATURE_BYTES / 2);
}

bool p256_public(const uint8_t scalar[P256_SCALAR_BYTES], uint8_t point[P256_POINT_BYTES]) {
  EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
  BIGNUM *number = BN_secure_new();
  EC_POINT *product = group == NULL ? NULL : EC_POINT_new(group);
  bool valid = product != NULL && number != NULL &&
               BN_bin2bn(scalar, P256_SCALAR_BYTES, number) != NULL && !BN_is_zero(number) &&
               BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
               EC_POINT_mul(group, product, number, NULL, NULL, NULL) == 1 &&
               EC_POINT_point2oct(group, product, POINT_CONVERSION_UNCOMPRESSED, point,
                                  P256_POINT_BYTES, NULL) == P256_POINT_BYTES;
  EC_POINT_free(product);
  BN_clear_free(number);
  EC_GROUP_free(group);
  return valid;
}

/* A private key with its point; NULL for a scalar that is none. */
static EVP_PKEY *private_key(const uint8_t scalar[P256_SCALAR_BYTES]) {
  uint8_t point[P256_POINT_BYTES], reversed[P256_SCALAR_BYTES];
  EVP_PKEY *key = NULL;
  if (!p256_public(scalar, point)) return NULL;
  /* Numbers among the parameters are in the machine's order, which is little-endian here. */
  for (int i = 0; i < P256_SCALAR_BYTES; i++) reversed[i] = scalar[P256_SCALAR_BYTES - 1 - i];
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
      OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, reversed, sizeof reversed),
      OSSL_PARAM_construct_end()};
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
      EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters) != 1) {
    key = NULL;
  }
  EVP_PKEY_CTX_free(context);
  wipe(reversed, sizeof reversed);
  return key;
}

bool p256_agree(const uint8_t scalar[P256_SCALAR_BYTES], const uint8_t point[P256_POINT_BYTES],
                uint8_t shared[P256_SCALAR_BYTES]) {
  size_t length = P256_SCALAR_BYTES;
  if (point[0] != 4) return false;
  EVP_PKEY *own = private_key(scalar);
  EVP_PKEY *peer = curve_key("P-256", point, P256_POINT_BYTES);
  EVP_PKEY_CTX *context = own == NULL ? NULL : EVP_PKEY_CTX_new(own, NULL);
  bool valid = context != NULL && peer != NULL && EVP_PKEY_derive_init(context) == 1 &&
               EVP_PKEY_derive_set_peer(context, peer) == 1 &&
               EVP_PKEY_derive(context, shared, &length) == 1 && length == P256_SCALAR_BYTES;
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(peer);
  EVP_PKEY_free(own);
  return valid;
}

bool p256_sign(const uint8_t scalar[P256_SCALAR_BYTES], const uint8_t *message, size_t length,
               uint8_t signature[P256_SIGNATURE_BYTES]) {
  uint8_t der[80];
  size_t der_length = sizeof der;
  bool valid = false;
  EVP_PKEY *key = private_key(scalar);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (key != NULL && context != NULL &&
      EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
      EVP_DigestSign(context, der, &der_length, message, length) == 1) {
    const unsigned char *at = der;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)der_length);
    valid = parts != NULL &&
            BN_bn2binpad(ECDSA_SIG_get0_r(parts), signature, P256_SIGNATURE_BYTES / 2) > 0 &&
            BN_bn2binpad(ECDSA_SIG_get0_s(parts), signature + P256_SIGNATURE_BYTES / 2,
                         P256_SIGNATURE_BYTES / 2) > 0;
    ECDSA_SIG_free(parts);
  }
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  return valid;
}
