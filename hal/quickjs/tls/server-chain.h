/*
 * Judges the certificate chain of a TLS server (RFC 5280, by BearSSL's minimal engine) with a time
 * rule of its own: an ECU may have no clock, so each bound of a certificate's validity is compared
 * with a time that the caller gives, and what the chain allows is handed back to be judged again.
 */
#ifndef OTA_SERVER_CHAIN_H
#define OTA_SERVER_CHAIN_H

#include <bearssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As in agent/limits.ts: trust anchors, certificates up to one, and bytes of a certificate. */
enum { MAX_ANCHORS = 2, MAX_CHAIN_CERTIFICATES = 2, MAX_CERTIFICATE_BYTES = 1024 };
enum { MAX_NAME_BYTES = 256, P256_KEY_BYTES = 65 };

/* Seconds since 1970: a certificate has to end at the one or later and begin at the other or
 * earlier. */
typedef struct {
  uint64_t ends_after, begins_before;
} time_bounds;

typedef struct {
  /* First: BearSSL calls by way of it. */
  const br_x509_class *vtable;
  br_x509_minimal_context minimal;
  time_bounds bounds;
  const char *server_name;
  unsigned shown;
  /* When all certificates between the server and the trust anchor are valid. */
  uint64_t not_before, not_after;
  /* Reasons to refuse a chain that BearSSL takes. */
  bool unreadable, not_of_server, other_name;
  size_t length;
  uint8_t certificate[MAX_CERTIFICATE_BYTES];

  size_t anchor_count;
  br_x509_trust_anchor anchors[MAX_ANCHORS];
  uint8_t anchor_names[MAX_ANCHORS][MAX_NAME_BYTES];
  uint8_t anchor_keys[MAX_ANCHORS][P256_KEY_BYTES];
} server_chain;

/* Beside BearSSL's own errors, which has one number for both bounds of the validity. */
enum { CHAIN_NOT_YET_VALID = 250, CHAIN_NOT_OF_SERVER = 251 };

/*
 * Prepares judging by these trust anchors: DER certificates of authorities one behind the other, of
 * which name and key count. NULL, or what is wrong with them.
 */
const char *server_chain_init(server_chain *chain, const uint8_t *anchors, size_t length,
                              time_bounds bounds);

#endif
