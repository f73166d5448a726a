/* `native.crypto`: the functions of `Crypto` in hal/types.ts that are worth native code. */
#include <stdlib.h>
#include <string.h>

#include "../crypto/crypto.h"
#include "host.h"

static JSClassID digest_class;

static bool algorithm_argument(JSContext *context, JSValueConst value, digest_algorithm *result) {
  uint64_t number;
  if (!integer_argument(context, value, "algorithm", 1, &number)) return false;
  *result = (digest_algorithm)number;
  return true;
}

/* digest(algorithm, bytes) */
static JSValue js_digest(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  digest_algorithm algorithm;
  size_t length;
  uint8_t *out;
  if (!algorithm_argument(context, argv[0], &algorithm)) return JS_EXCEPTION;
  const uint8_t *bytes = bytes_argument(context, argv[1], "bytes", &length);
  if (bytes == NULL) return JS_EXCEPTION;
  digest_state *state = digest_new(algorithm);
  if (state == NULL) return JS_ThrowOutOfMemory(context);
  digest_update(state, bytes, length);
  JSValue result = new_bytes(context, digest_bytes(algorithm), &out);
  if (!JS_IsException(result)) digest_finish(state, out);
  digest_free(state);
  return result;
}

typedef struct {
  digest_state *state;
  digest_algorithm algorithm;
} digest_object;

static void finalize_digest(JSRuntime *runtime, JSValueConst value) {
  digest_object *object = JS_GetOpaque(value, digest_class);
  if (object == NULL) return;
  digest_free(object->state);
  js_free_rt(runtime, object);
}

/* createDigest(algorithm) */
static JSValue js_create_digest(JSContext *context, JSValueConst this, int argc,
                                JSValueConst *argv) {
  (void)this, (void)argc;
  digest_algorithm algorithm;
  if (!algorithm_argument(context, argv[0], &algorithm)) return JS_EXCEPTION;
  JSValue value = JS_NewObjectClass(context, (int)digest_class);
  if (JS_IsException(value)) return value;
  digest_object *object = js_mallocz(context, sizeof *object);
  if (object != NULL) {
    object->algorithm = algorithm;
    object->state = digest_new(algorithm);
    if (object->state != NULL) {
      JS_SetOpaque(value, object);
      return value;
    }
    js_free(context, object);
    JS_ThrowOutOfMemory(context);
  }
  JS_FreeValue(context, value);
  return JS_EXCEPTION;
}

static digest_object *digest_this(JSContext *context, JSValueConst this) {
  digest_object *object = JS_GetOpaque2(context, this, digest_class);
  if (object != NULL && object->state == NULL) {
    JS_ThrowTypeError(context, "the digest was finished");
    return NULL;
  }
  return object;
}

static JSValue js_digest_update(JSContext *context, JSValueConst this, int argc,
                                JSValueConst *argv) {
  (void)argc;
  size_t length;
  digest_object *object = digest_this(context, this);
  if (object == NULL) return JS_EXCEPTION;
  const uint8_t *bytes = bytes_argument(context, argv[0], "bytes", &length);
  if (bytes == NULL) return JS_EXCEPTION;
  digest_update(object->state, bytes, length);
  return JS_UNDEFINED;
}

static JSValue js_digest_finish(JSContext *context, JSValueConst this, int argc,
                                JSValueConst *argv) {
  (void)argc, (void)argv;
  uint8_t *out;
  digest_object *object = digest_this(context, this);
  if (object == NULL) return JS_EXCEPTION;
  JSValue result = new_bytes(context, digest_bytes(object->algorithm), &out);
  if (JS_IsException(result)) return result;
  digest_finish(object->state, out);
  digest_free(object->state);
  object->state = NULL;
  return result;
}

/* hmac(algorithm, key, message) */
static JSValue js_hmac(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  digest_algorithm algorithm;
  size_t key_length, length;
  uint8_t *out;
  if (!algorithm_argument(context, argv[0], &algorithm)) return JS_EXCEPTION;
  const uint8_t *key = bytes_argument(context, argv[1], "key", &key_length);
  if (key == NULL) return JS_EXCEPTION;
  const uint8_t *message = bytes_argument(context, argv[2], "message", &length);
  if (message == NULL) return JS_EXCEPTION;
  JSValue result = new_bytes(context, digest_bytes(algorithm), &out);
  if (!JS_IsException(result)) hmac_compute(algorithm, key, key_length, message, length, out);
  return result;
}

/* Parameter sets are their numbers: 256, 384: ECDSA; 44, 65, 87: ML-DSA; 128: SLH-DSA-SHA2-128s. */
static bool verify_signature(int set, const uint8_t *key, size_t key_length,
                             const uint8_t *message, size_t length, const uint8_t *signature,
                             size_t signature_length, const uint8_t *context,
                             size_t context_length) {
  if (set == 256) {
    return context_length == 0 && key_length == P256_POINT_BYTES &&
           signature_length == P256_SIGNATURE_BYTES && p256_verify(key, message, length, signature);
  }
  if (set == 384) {
    return context_length == 0 && key_length == P384_POINT_BYTES &&
           signature_length == P384_SIGNATURE_BYTES && p384_verify(key, message, length, signature);
  }
  if (set == 128) {
    return slh_dsa_128s_verify(key, key_length, message, length, signature, signature_length,
                               context, context_length);
  }
  return ml_dsa_verify(set, key, key_length, message, length, signature, signature_length, context,
                       context_length);
}

/* verify(parameterSet, publicKey, message, signature, context) */
static JSValue js_verify(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t set;
  size_t lengths[4];
  const uint8_t *bytes[4];
  static const char *const names[4] = {"publicKey", "message", "signature", "context"};
  if (!integer_argument(context, argv[0], "parameterSet", 512, &set)) return JS_EXCEPTION;
  for (int i = 0; i < 4; i++) {
    bytes[i] = bytes_argument(context, argv[i + 1], names[i], &lengths[i]);
    if (bytes[i] == NULL) return JS_EXCEPTION;
  }
  return JS_NewBool(context, verify_signature((int)set, bytes[0], lengths[0], bytes[1], lengths[1],
                                              bytes[2], lengths[2], bytes[3], lengths[3]));
}

/* sign(scalar, message) */
static JSValue js_sign(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  uint8_t *out;
  const uint8_t *scalar = fixed_argument(context, argv[0], "privateKey", P256_SCALAR_BYTES);
  if (scalar == NULL) return JS_EXCEPTION;
  const uint8_t *message = bytes_argument(context, argv[1], "message", &length);
  if (message == NULL) return JS_EXCEPTION;
  JSValue result = new_bytes(context, P256_SIGNATURE_BYTES, &out);
  if (JS_IsException(result) || p256_sign(scalar, message, length, out)) return result;
  JS_FreeValue(context, result);
  return JS_ThrowRangeError(context, "privateKey: no scalar of P-256");
}

typedef struct {
  const uint8_t *key, *nonce, *additional, *text;
  size_t additional_length, length;
} aead_arguments;

static bool aead_arguments_of(JSContext *context, JSValueConst *argv, aead_arguments *out) {
  out->key = fixed_argument(context, argv[0], "key", AEAD_KEY_BYTES);
  if (out->key == NULL) return false;
  out->nonce = fixed_argument(context, argv[1], "nonce", AEAD_NONCE_BYTES);
  if (out->nonce == NULL) return false;
  out->additional = bytes_argument(context, argv[2], "additionalData", &out->additional_length);
  if (out->additional == NULL) return false;
  out->text = bytes_argument(context, argv[3], "text", &out->length);
  return out->text != NULL;
}

/* aeadOpen(key, nonce, additionalData, ciphertextAndTag, out): out may be the same memory */
static JSValue js_aead_open(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  aead_arguments in;
  uint8_t tag[AEAD_TAG_BYTES];
  if (!aead_arguments_of(context, argv, &in)) return JS_EXCEPTION;
  if (in.length < AEAD_TAG_BYTES) return JS_FALSE;
  size_t length = in.length - AEAD_TAG_BYTES;
  uint8_t *out = fixed_argument(context, argv[4], "out", length);
  if (out == NULL) return JS_EXCEPTION;
  memcpy(tag, in.text + length, sizeof tag);
  memmove(out, in.text, length);
  return JS_NewBool(context, aead_open(in.key, in.nonce, in.additional, in.additional_length, out,
                                       length, tag));
}

/* aeadSeal(key, nonce, additionalData, plaintext) */
static JSValue js_aead_seal(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  aead_arguments in;
  uint8_t *out;
  if (!aead_arguments_of(context, argv, &in)) return JS_EXCEPTION;
  JSValue result = new_bytes(context, in.length + AEAD_TAG_BYTES, &out);
  if (JS_IsException(result)) return result;
  memcpy(out, in.text, in.length);
  aead_seal(in.key, in.nonce, in.additional, in.additional_length, out, in.length,
            out + in.length);
  return result;
}

/* decapsulate(seed, ciphertext) */
static JSValue js_decapsulate(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  uint8_t secret[HYBRID_SECRET_BYTES], *out;
  const uint8_t *seed = fixed_argument(context, argv[0], "privateKey", HYBRID_SEED_BYTES);
  if (seed == NULL) return JS_EXCEPTION;
  const uint8_t *ciphertext = bytes_argument(context, argv[1], "ciphertext", &length);
  if (ciphertext == NULL) return JS_EXCEPTION;
  if (length != HYBRID_CIPHERTEXT_BYTES || !hybrid_decapsulate(seed, ciphertext, secret)) {
    return JS_UNDEFINED;
  }
  JSValue result = new_bytes(context, sizeof secret, &out);
  if (!JS_IsException(result)) memcpy(out, secret, sizeof secret);
  wipe(secret, sizeof secret);
  return result;
}

/* encapsulate(publicKey): ciphertext | shared secret, or undefined */
static JSValue js_encapsulate(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  uint8_t *out;
  const uint8_t *key = bytes_argument(context, argv[0], "publicKey", &length);
  if (key == NULL) return JS_EXCEPTION;
  if (length != HYBRID_PUBLIC_BYTES) return JS_UNDEFINED;
  JSValue result = new_bytes(context, HYBRID_CIPHERTEXT_BYTES + HYBRID_SECRET_BYTES, &out);
  if (JS_IsException(result)) return result;
  if (hybrid_encapsulate(key, out, out + HYBRID_CIPHERTEXT_BYTES)) return result;
  JS_FreeValue(context, result);
  return JS_UNDEFINED;
}

/* randomBytes(count) */
static JSValue js_random(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t count;
  uint8_t *out;
  if (!integer_argument(context, argv[0], "count", 65536, &count)) return JS_EXCEPTION;
  JSValue result = new_bytes(context, (size_t)count, &out);
  if (JS_IsException(result) || platform_random(out, (size_t)count)) return result;
  JS_FreeValue(context, result);
  return JS_ThrowInternalError(context, "random: the platform has no entropy");
}

static const JSClassDef digest_class_definition = {"Digest", .finalizer = finalize_digest};

void add_crypto(JSContext *context, JSValueConst native) {
  JSRuntime *runtime = JS_GetRuntime(context);
  JS_NewClassID(runtime, &digest_class);
  JS_NewClass(runtime, digest_class, &digest_class_definition);
  JSValue prototype = JS_NewObject(context);
  add_function(context, prototype, "update", js_digest_update, 1);
  add_function(context, prototype, "finish", js_digest_finish, 0);
  JS_SetClassProto(context, digest_class, prototype);

  add_function(context, native, "digest", js_digest, 2);
  add_function(context, native, "createDigest", js_create_digest, 1);
  add_function(context, native, "hmac", js_hmac, 3);
  add_function(context, native, "verify", js_verify, 5);
  add_function(context, native, "sign", js_sign, 2);
  add_function(context, native, "aeadOpen", js_aead_open, 5);
  add_function(context, native, "aeadSeal", js_aead_seal, 4);
  add_function(context, native, "decapsulate", js_decapsulate, 2);
  add_function(context, native, "encapsulate", js_encapsulate, 1);
  add_function(context, native, "randomBytes", js_random, 1);
}
