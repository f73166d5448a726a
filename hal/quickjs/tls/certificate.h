/*
 * What BearSSL does not tell of a certificate (X.509 in DER, RFC 5280 §4.1): when it is valid, whose
 * name it bears and whether it is a server's. Nothing is trusted because of it: whether the chain
 * leads to a trust anchor is BearSSL's to judge.
 */
#ifndef OTA_CERTIFICATE_H
#define OTA_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  /* Seconds since 1970; earlier dates are 0. */
  uint64_t not_before, not_after;
  /* Basic constraints make it an authority's (§4.2.1.9). */
  bool of_authority;
  /* serverAuth is among its extended key usages (§4.2.1.12). */
  bool for_servers;
  /* The name asked for is among its DNS names (§4.2.1.6), as it is: wildcards count for nothing. */
  bool has_name;
} certificate_facts;

/* False when the bytes are no certificate. */
bool certificate_read(const uint8_t *bytes, size_t length, const char *name,
                      certificate_facts *facts);

/* Length of the DER element that begins at `bytes`; 0 when it does not end within `length`. */
size_t der_element_length(const uint8_t *bytes, size_t length);

#endif
