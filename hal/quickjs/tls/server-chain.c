/*
 * BearSSL's minimal engine compares both dates with one time, and takes no callback for it in the
 * version that Debian has. So each certificate is kept until it is whole, its dates are judged here,
 * and the engine is told that it is the first second of its validity, which it never refuses.
 */
#include "server-chain.h"

#include <string.h>

#include "certificate.h"

/* BearSSL counts days from the year 0. */
enum { DAYS_TO_1970 = 719528, SECONDS_A_DAY = 86400 };

static void start_chain(const br_x509_class **context, const char *server_name) {
  server_chain *chain = (server_chain *)(void *)context;
  chain->server_name = server_name;
  chain->shown = 0;
  chain->not_before = 0;
  chain->not_after = UINT64_MAX;
  chain->unreadable = chain->not_of_server = chain->other_name = false;
  /* Without a name: BearSSL would take the common name and wildcards, too. */
  chain->minimal.vtable->start_chain(&chain->minimal.vtable, NULL);
}

static void start_cert(const br_x509_class **context, uint32_t length) {
  server_chain *chain = (server_chain *)(void *)context;
  (void)length;
  chain->length = 0;
  chain->shown++;
}

static void append(const br_x509_class **context, const unsigned char *bytes, size_t length) {
  server_chain *chain = (server_chain *)(void *)context;
  if (length > sizeof chain->certificate - chain->length) {
    chain->unreadable = true;
  } else {
    memcpy(chain->certificate + chain->length, bytes, length);
    chain->length += length;
  }
}

static const br_x509_pkey *get_pkey(const br_x509_class *const *context, unsigned *usages) {
  const server_chain *chain = (const server_chain *)(const void *)context;
  return chain->minimal.vtable->get_pkey(&chain->minimal.vtable, usages);
}

static void end_cert(const br_x509_class **context) {
  server_chain *chain = (server_chain *)(void *)context;
  const br_x509_class **minimal = &chain->minimal.vtable;
  certificate_facts facts;
  /* The engine has a key once it has reached a trust anchor: what comes then is not needed. */
  if (chain->unreadable || get_pkey(&chain->vtable, NULL) != NULL) return;
  if (chain->shown > MAX_CHAIN_CERTIFICATES ||
      !certificate_read(chain->certificate, chain->length, chain->server_name, &facts)) {
    chain->unreadable = true;
    return;
  }
  if (facts.not_before > chain->not_before) chain->not_before = facts.not_before;
  if (facts.not_after < chain->not_after) chain->not_after = facts.not_after;
  if (chain->shown == 1) {
    chain->not_of_server = facts.of_authority || !facts.for_servers;
    chain->other_name = !facts.has_name;
  }
  br_x509_minimal_set_time(&chain->minimal,
                           DAYS_TO_1970 + (uint32_t)(facts.not_before / SECONDS_A_DAY),
                           (uint32_t)(facts.not_before % SECONDS_A_DAY));
  (*minimal)->start_cert(minimal, (uint32_t)chain->length);
  (*minimal)->append(minimal, chain->certificate, chain->length);
  (*minimal)->end_cert(minimal);
}

/* The name and the dates of a chain that nobody vouches for say nothing: they come last. */
static unsigned end_chain(const br_x509_class **context) {
  server_chain *chain = (server_chain *)(void *)context;
  unsigned error = chain->minimal.vtable->end_chain(&chain->minimal.vtable);
  if (chain->unreadable) return BR_ERR_X509_LIMIT_EXCEEDED;
  if (error != 0) return error;
  if (chain->not_of_server) return CHAIN_NOT_OF_SERVER;
  if (chain->other_name) return BR_ERR_X509_BAD_SERVER_NAME;
  if (chain->not_after < chain->bounds.ends_after) return BR_ERR_X509_EXPIRED;
  if (chain->not_before > chain->bounds.begins_before) return CHAIN_NOT_YET_VALID;
  return 0;
}

static const br_x509_class chain_class = {
    sizeof(server_chain), start_chain, start_cert, append, end_cert, end_chain, get_pkey};

typedef struct {
  uint8_t *bytes;
  size_t length;
  bool too_long;
} name_copy;

static void append_name(void *opaque, const void *bytes, size_t length) {
  name_copy *name = opaque;
  name->too_long = name->too_long || length > MAX_NAME_BYTES - name->length;
  if (name->too_long) return;
  memcpy(name->bytes + name->length, bytes, length);
  name->length += length;
}

static const char *add_anchor(server_chain *chain, const uint8_t *bytes, size_t length) {
  if (chain->anchor_count == MAX_ANCHORS) return "trust anchors: more than two";
  br_x509_trust_anchor *anchor = &chain->anchors[chain->anchor_count];
  uint8_t *point = chain->anchor_keys[chain->anchor_count];
  name_copy name = {chain->anchor_names[chain->anchor_count], 0, false};
  br_x509_decoder_context decoder;
  br_x509_decoder_init(&decoder, append_name, &name);
  br_x509_decoder_push(&decoder, bytes, length);
  const br_x509_pkey *key = br_x509_decoder_get_pkey(&decoder);
  if (key == NULL || name.too_long) return "trust anchors: not a certificate";
  if (key->key_type != BR_KEYTYPE_EC || key->key.ec.curve != BR_EC_secp256r1 ||
      key->key.ec.qlen != P256_KEY_BYTES) {
    return "trust anchors: no key on P-256";
  }
  if (!br_x509_decoder_isCA(&decoder)) return "trust anchors: not of an authority";
  memcpy(point, key->key.ec.q, key->key.ec.qlen);
  anchor->dn = (br_x500_name){name.bytes, name.length};
  anchor->flags = BR_X509_TA_CA;
  anchor->pkey.key_type = BR_KEYTYPE_EC;
  anchor->pkey.key.ec = (br_ec_public_key){key->key.ec.curve, point, key->key.ec.qlen};
  chain->anchor_count++;
  return NULL;
}

const char *server_chain_init(server_chain *chain, const uint8_t *anchors, size_t length,
                              time_bounds bounds) {
  memset(chain, 0, sizeof *chain);
  chain->vtable = &chain_class;
  chain->bounds = bounds;
  for (size_t at = 0; at < length;) {
    size_t next = der_element_length(anchors + at, length - at);
    const char *problem =
        next == 0 ? "trust anchors: not a certificate" : add_anchor(chain, anchors + at, next);
    if (problem != NULL) return problem;
    at += next;
  }
  if (chain->anchor_count == 0) return "trust anchors: none";
  br_x509_minimal_init(&chain->minimal, &br_sha256_vtable, chain->anchors, chain->anchor_count);
  br_x509_minimal_set_hash(&chain->minimal, br_sha256_ID, &br_sha256_vtable);
  br_x509_minimal_set_ecdsa(&chain->minimal, &br_ec_p256_m31, br_ecdsa_i31_vrfy_asn1);
  return NULL;
}
