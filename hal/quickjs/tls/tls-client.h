/*
 * TLS 1.2 client (RFC 5246) with ECDHE-ECDSA and AES-GCM on P-256, mutual where the caller has a
 * certificate, with resumption by session id. Knows neither sockets nor the engine: bytes of the
 * wire go in and out, and so do the application's.
 *
 * Memory is a static pool, so that what TLS costs is known when the program is linked; connections
 * beyond it are refused. Records are bounded to 4 KiB each way by the extension of RFC 6066 §4; of a
 * server that does not know it, only shorter records are taken.
 */
#ifndef OTA_TLS_CLIENT_H
#define OTA_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_CONNECTIONS = 3, TLS_SESSION_BYTES = 83, TLS_SCALAR_BYTES = 32 };

typedef struct tls_client tls_client;

typedef struct {
  /* The certificate's name has to be this one: a DNS name. */
  const char *server_name;
  /* DER certificates one behind the other: of the authorities trusted, and of this client, its own
   * first; none: it shows none. */
  const uint8_t *anchors, *own_chain;
  size_t anchors_length, own_chain_length;
  /* P-256 scalar, 32 bytes; needed with `own_chain`. */
  const uint8_t *private_key;
  /* From `tls_session`, or NULL: offered to the server, which may begin anew. */
  const uint8_t *session;
  /* Seconds since 1970: certificates that end earlier, or begin later, are refused. */
  uint64_t ends_after, begins_before;
} tls_options;

/* NULL with a message when the options are wrong, memory is used up or there is no entropy. */
tls_client *tls_open(const tls_options *options, const char **problem);
/* Overwrites keys and gives the memory back. */
void tls_free(tls_client *client);

/* Where bytes from the wire have to be put, how many; 0: read application bytes first. */
uint8_t *tls_wire_room(tls_client *client, size_t *length);
void tls_wire_received(tls_client *client, size_t length);
/* Bytes to send; as many of them as were sent are taken by `tls_wire_sent`. */
const uint8_t *tls_wire_waiting(tls_client *client, size_t *length);
void tls_wire_sent(tls_client *client, size_t length);

/* The handshake is over and the server is who it should be. */
bool tls_is_open(const tls_client *client);
/* The server said that it sends no more, or the connection failed. */
bool tls_is_over(const tls_client *client);
size_t tls_readable(const tls_client *client);
bool tls_writable(const tls_client *client);
/* Bytes read, 0 when none wait. */
size_t tls_read(tls_client *client, uint8_t *bytes, size_t length);
/* Bytes taken into the next record, which is then on its way to the wire. */
size_t tls_write(tls_client *client, const uint8_t *bytes, size_t length);
/* Says that this side sends no more. */
void tls_end(tls_client *client);

/*
 * Why the connection failed, a code of agent/codes.ts; NULL when it did not. `number` says more to a
 * person: of an alert that was received or sent 256 or 512 more than its own (RFC 5246 §7.2).
 */
const char *tls_problem(const tls_client *client, unsigned *number);

/* Of an open connection: whether it continued an earlier session. */
bool tls_resumed(const tls_client *client);
/* When all certificates that the server showed are valid, in seconds since 1970; not of a session
 * that was resumed. */
void tls_validity(const tls_client *client, uint64_t *not_before, uint64_t *not_after);
/*
 * What continues this session later; secret. False when the server offered none. The caller offers
 * it to the same server only, under the same trust anchors and certificate.
 */
bool tls_session(const tls_client *client, uint8_t session[TLS_SESSION_BYTES]);

#endif
