/*
 * SLH-DSA-SHA2-128s verification (FIPS 205): about 2,200 compressions of SHA-256, nothing secret.
 *
 * signature = randomizer (16) | FORS: 14 x (secret, 12 nodes) | hypertree: 7 x (35 chains, 9 nodes)
 */
#include <string.h>

#include "crypto.h"

enum { N = 16, LAYERS = 7, LAYER_HEIGHT = 9, FORS_TREES = 14, FORS_HEIGHT = 12 };
enum { CHAINS = 35, MESSAGE_CHAINS = 32, LAST_DIGIT = 15, DIGEST_BYTES = 30, SHA_256_BYTES = 32 };
enum { SIGNATURE_BYTES = 7856, KEY_BYTES = 32, BLOCK_BYTES = 64 };
enum { WOTS_HASH, WOTS_KEY, TREE, FORS_TREE, FORS_ROOTS };

/* The compressed address (§11.2): layer | tree (8) | type | three words. */
typedef struct {
  uint8_t bytes[22];
} address;

static void set_word(address *at, int word, uint32_t value) {
  uint8_t *bytes = at->bytes + 10 + 4 * word;
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void set_type(address *at, uint8_t type, uint32_t key_pair) {
  at->bytes[9] = type;
  memset(at->bytes + 10, 0, 12);
  set_word(at, 0, key_pair);
}

static void set_tree(address *at, uint8_t layer, uint64_t tree) {
  at->bytes[0] = layer;
  for (int i = 0; i < 8; i++) at->bytes[1 + i] = (uint8_t)(tree >> (56 - 8 * i));
}

/* The tweakable hash F, H and T: SHA-256 over seed, padding to a block, address and input. */
static bool tweaked(const uint8_t *seed, const address *at, const uint8_t *input, size_t length,
                    uint8_t out[N]) {
  uint8_t first[BLOCK_BYTES] = {0}, digest[SHA_256_BYTES];
  digest_state *state = digest_new(DIGEST_SHA_256);
  if (state == NULL) return false;
  memcpy(first, seed, N);
  digest_update(state, first, sizeof first);
  digest_update(state, at->bytes, sizeof at->bytes);
  digest_update(state, input, length);
  digest_finish(state, digest);
  digest_free(state);
  memcpy(out, digest, N);
  return true;
}

/* Climbs from a leaf to the root by the nodes beside its path; `index` counts from `first_index`. */
static bool climb(const uint8_t *seed, address *at, uint32_t index, uint32_t first_index,
                  const uint8_t *path, int height, uint8_t node[N]) {
  uint32_t position = first_index + index;
  for (int level = 0; level < height; level++, path += N) {
    uint8_t pair[2 * N];
    bool right = (index >> level) & 1;
    memcpy(pair + (right ? N : 0), node, N);
    memcpy(pair + (right ? 0 : N), path, N);
    position >>= 1;
    set_word(at, 1, (uint32_t)level + 1);
    set_word(at, 2, position);
    if (!tweaked(seed, at, pair, sizeof pair, node)) return false;
  }
  return true;
}

/* The WOTS+ public key that a signature over `message` belongs to (§5.3). */
static bool wots_key(const uint8_t *seed, address at, uint32_t key_pair, const uint8_t *signature,
                     const uint8_t message[N], uint8_t out[N]) {
  uint8_t digits[CHAINS], ends[CHAINS * N];
  unsigned checksum = 0;
  for (int i = 0; i < MESSAGE_CHAINS; i++) {
    digits[i] = i % 2 == 0 ? message[i / 2] >> 4 : message[i / 2] & 15;
    checksum += LAST_DIGIT - digits[i];
  }
  for (int i = 0; i < CHAINS - MESSAGE_CHAINS; i++) {
    digits[MESSAGE_CHAINS + i] = (checksum >> (8 - 4 * i)) & 15;
  }
  set_type(&at, WOTS_HASH, key_pair);
  for (int i = 0; i < CHAINS; i++) {
    uint8_t *end = ends + i * N;
    memcpy(end, signature + i * N, N);
    set_word(&at, 1, (uint32_t)i);
    for (uint32_t step = digits[i]; step < LAST_DIGIT; step++) {
      set_word(&at, 2, step);
      if (!tweaked(seed, &at, end, N, end)) return false;
    }
  }
  set_type(&at, WOTS_KEY, key_pair);
  return tweaked(seed, &at, ends, sizeof ends, out);
}

/* The FORS public key that a signature over `message` belongs to (§8.4). */
static bool fors_key(const uint8_t *seed, address at, uint32_t key_pair, const uint8_t *signature,
                     const uint8_t *message, uint8_t out[N]) {
  uint8_t roots[FORS_TREES * N];
  unsigned bits = 0, count = 0;
  set_type(&at, FORS_TREE, key_pair);
  for (uint32_t tree = 0; tree < FORS_TREES; tree++, signature += (1 + FORS_HEIGHT) * N) {
    while (count < FORS_HEIGHT) {
      bits = (bits << 8) | *message++;
      count += 8;
    }
    count -= FORS_HEIGHT;
    uint32_t index = (bits >> count) & ((1u << FORS_HEIGHT) - 1);
    bits &= (1u << count) - 1;
    uint8_t *root = roots + tree * N;
    set_word(&at, 1, 0);
    set_word(&at, 2, (tree << FORS_HEIGHT) + index);
    if (!tweaked(seed, &at, signature, N, root) ||
        !climb(seed, &at, index, tree << FORS_HEIGHT, signature + N, FORS_HEIGHT, root)) {
      return false;
    }
  }
  set_type(&at, FORS_ROOTS, key_pair);
  return tweaked(seed, &at, roots, sizeof roots, out);
}

/* H_msg (§11.2.1): MGF1 of 30 bytes, which is one more digest with a counter of 0. */
static bool message_digest(const uint8_t *randomizer, const uint8_t *key, const uint8_t *context,
                           size_t context_length, const uint8_t *message, size_t length,
                           uint8_t out[SHA_256_BYTES]) {
  uint8_t inner[SHA_256_BYTES];
  const uint8_t domain[2] = {0, (uint8_t)context_length};
  static const uint8_t counter[4];
  digest_state *state = digest_new(DIGEST_SHA_256);
  if (state == NULL) return false;
  digest_update(state, randomizer, N);
  digest_update(state, key, KEY_BYTES);
  digest_update(state, domain, sizeof domain);
  digest_update(state, context, context_length);
  digest_update(state, message, length);
  digest_finish(state, inner);
  digest_free(state);
  state = digest_new(DIGEST_SHA_256);
  if (state == NULL) return false;
  digest_update(state, randomizer, N);
  digest_update(state, key, N);
  digest_update(state, inner, sizeof inner);
  digest_update(state, counter, sizeof counter);
  digest_finish(state, out);
  digest_free(state);
  return true;
}

bool slh_dsa_128s_verify(const uint8_t *key, size_t key_length, const uint8_t *message,
                         size_t length, const uint8_t *signature, size_t signature_length,
                         const uint8_t *context, size_t context_length) {
  uint8_t digest[SHA_256_BYTES], node[N], next[N];
  address at = {{0}};
  if (key_length != KEY_BYTES || signature_length != SIGNATURE_BYTES || context_length > 255) {
    return false;
  }
  if (!message_digest(signature, key, context, context_length, message, length, digest)) {
    return false;
  }
  /* 21 bytes of FORS indices, then the tree (54 bits of 7 bytes), then the leaf (9 bits of 2). */
  uint64_t tree = 0;
  for (int i = 21; i < 28; i++) tree = (tree << 8) | digest[i];
  tree &= ((uint64_t)1 << (LAYER_HEIGHT * (LAYERS - 1))) - 1;
  uint32_t leaf = ((uint32_t)digest[28] << 8 | digest[29]) & ((1u << LAYER_HEIGHT) - 1);

  signature += N;
  set_tree(&at, 0, tree);
  if (!fors_key(key, at, leaf, signature, digest, node)) return false;
  signature += FORS_TREES * (1 + FORS_HEIGHT) * N;
  for (uint8_t layer = 0; layer < LAYERS; layer++) {
    set_tree(&at, layer, tree);
    if (!wots_key(key, at, leaf, signature, node, next)) return false;
    signature += CHAINS * N;
    set_type(&at, TREE, 0);
    if (!climb(key, &at, leaf, 0, signature, LAYER_HEIGHT, next)) return false;
    signature += LAYER_HEIGHT * N;
    memcpy(node, next, N);
    leaf = (uint32_t)(tree & ((1u << LAYER_HEIGHT) - 1));
    tree >>= LAYER_HEIGHT;
  }
  return memcmp(node, key + N, N) == 0;
}
