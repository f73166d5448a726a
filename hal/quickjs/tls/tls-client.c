#include "tls-client.h"

#include <bearssl.h>
#include <string.h>

#include "../crypto/crypto.h"
#include "certificate.h"
#include "server-chain.h"

enum { RECORD_BYTES = 4096, IN_OVERHEAD_BYTES = 325, OUT_OVERHEAD_BYTES = 85 };
enum { MAX_OWN_CERTIFICATES = 3, MAX_OWN_CHAIN_BYTES = 4096, SEED_BYTES = 32 };

struct tls_client {
  bool used, open;
  br_ssl_client_context ssl;
  server_chain chain;

  br_x509_certificate own_chain[MAX_OWN_CERTIFICATES];
  br_ec_private_key private_key;
  uint8_t own_bytes[MAX_OWN_CHAIN_BYTES];
  uint8_t scalar[TLS_SCALAR_BYTES];

  uint8_t in[RECORD_BYTES + IN_OVERHEAD_BYTES];
  uint8_t out[RECORD_BYTES + OUT_OVERHEAD_BYTES];
};

static tls_client pool[TLS_CONNECTIONS];

static const uint16_t suites[] = {BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                  BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384};

/* -- A session's bytes: id length | id | cipher suite | master secret ---------------------------- */

enum { ID_BYTES = 32, MASTER_BYTES = 48 };

static bool read_session(const uint8_t *bytes, br_ssl_session_parameters *session) {
  session->session_id_len = bytes[0];
  memcpy(session->session_id, bytes + 1, ID_BYTES);
  session->version = BR_TLS12;
  session->cipher_suite = (uint16_t)(bytes[33] << 8 | bytes[34]);
  memcpy(session->master_secret, bytes + 35, MASTER_BYTES);
  bool known = session->cipher_suite == suites[0] || session->cipher_suite == suites[1];
  return known && session->session_id_len >= 1 && session->session_id_len <= ID_BYTES;
}

bool tls_session(const tls_client *client, uint8_t bytes[TLS_SESSION_BYTES]) {
  const br_ssl_session_parameters *session = &client->ssl.eng.session;
  if (!client->open || session->session_id_len == 0) return false;
  bytes[0] = session->session_id_len;
  memcpy(bytes + 1, session->session_id, ID_BYTES);
  bytes[33] = (uint8_t)(session->cipher_suite >> 8);
  bytes[34] = (uint8_t)session->cipher_suite;
  memcpy(bytes + 35, session->master_secret, MASTER_BYTES);
  return true;
}

/* -- Opening ----------------------------------------------------------------------------------- */

static const char *take_own_chain(tls_client *client, const tls_options *options) {
  size_t length = options->own_chain_length, count = 0;
  if (length > MAX_OWN_CHAIN_BYTES) return "certificate: too long";
  memcpy(client->own_bytes, options->own_chain, length);
  for (size_t at = 0; at < length; count++) {
    size_t next = der_element_length(client->own_bytes + at, length - at);
    if (next == 0 || count == MAX_OWN_CERTIFICATES) return "certificate: not one to three of them";
    client->own_chain[count] = (br_x509_certificate){client->own_bytes + at, next};
    at += next;
  }
  uint8_t point[P256_POINT_BYTES];
  if (options->private_key == NULL || !p256_public(options->private_key, point)) {
    return "private key: no scalar of P-256";
  }
  memcpy(client->scalar, options->private_key, sizeof client->scalar);
  client->private_key = (br_ec_private_key){BR_EC_secp256r1, client->scalar, TLS_SCALAR_BYTES};
  br_ssl_client_set_single_ec(&client->ssl, client->own_chain, count, &client->private_key,
                              BR_KEYTYPE_SIGN, BR_KEYTYPE_EC, &br_ec_p256_m31,
                              br_ecdsa_i31_sign_asn1);
  return NULL;
}

static void choose_algorithms(tls_client *client) {
  br_ssl_engine_context *engine = &client->ssl.eng;
  br_ssl_client_zero(&client->ssl);
  br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
  br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION);
  br_ssl_engine_set_suites(engine, suites, sizeof suites / sizeof suites[0]);
  br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
  br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
  br_ssl_engine_set_prf_sha256(engine, br_tls12_sha256_prf);
  br_ssl_engine_set_prf_sha384(engine, br_tls12_sha384_prf);
  br_ssl_engine_set_ec(engine, &br_ec_p256_m31);
  br_ssl_engine_set_ecdsa(engine, br_ecdsa_i31_vrfy_asn1);
  br_ssl_engine_set_default_aes_gcm(engine);
  br_ssl_engine_set_x509(engine, &client->chain.vtable);
}

static const char *start(tls_client *client, const tls_options *options) {
  uint8_t seed[SEED_BYTES];
  br_ssl_session_parameters session;
  time_bounds bounds = {options->ends_after, options->begins_before};
  const char *problem =
      server_chain_init(&client->chain, options->anchors, options->anchors_length, bounds);
  if (problem != NULL) return problem;
  choose_algorithms(client);
  if (options->own_chain_length > 0) problem = take_own_chain(client, options);
  if (problem != NULL) return problem;
  br_ssl_engine_context *engine = &client->ssl.eng;
  br_ssl_engine_set_buffers_bidi(engine, client->in, sizeof client->in, client->out,
                                 sizeof client->out);
  if (!platform_random(seed, sizeof seed)) return "no-entropy: the platform has no random bytes";
  br_ssl_engine_inject_entropy(engine, seed, sizeof seed);
  wipe(seed, sizeof seed);
  bool resume = options->session != NULL && read_session(options->session, &session);
  if (resume) br_ssl_engine_set_session_parameters(engine, &session);
  wipe(&session, sizeof session);
  /* An empty name would turn the comparison off. */
  if (options->server_name[0] == '\0') return "server name: empty";
  return br_ssl_client_reset(&client->ssl, options->server_name, resume) == 1
             ? NULL
             : "server name: too long";
}

tls_client *tls_open(const tls_options *options, const char **problem) {
  for (size_t i = 0; i < TLS_CONNECTIONS; i++) {
    tls_client *client = &pool[i];
    if (client->used) continue;
    memset(client, 0, sizeof *client);
    client->used = true;
    *problem = start(client, options);
    if (*problem == NULL) return client;
    tls_free(client);
    return NULL;
  }
  *problem = "too many TLS connections at once";
  return NULL;
}

void tls_free(tls_client *client) { wipe(client, sizeof *client); }

/* -- Moving bytes ------------------------------------------------------------------------------ */

/* Application bytes flow only after the handshake, so that is the moment to look. */
static void note_state(tls_client *client) {
  unsigned state = br_ssl_engine_current_state(&client->ssl.eng);
  if ((state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) != 0) client->open = true;
}

uint8_t *tls_wire_room(tls_client *client, size_t *length) {
  uint8_t *room = br_ssl_engine_recvrec_buf(&client->ssl.eng, length);
  if (room == NULL) *length = 0;
  return room;
}

void tls_wire_received(tls_client *client, size_t length) {
  if (length > 0) br_ssl_engine_recvrec_ack(&client->ssl.eng, length);
  note_state(client);
}

const uint8_t *tls_wire_waiting(tls_client *client, size_t *length) {
  const uint8_t *bytes = br_ssl_engine_sendrec_buf(&client->ssl.eng, length);
  if (bytes == NULL) *length = 0;
  return bytes;
}

void tls_wire_sent(tls_client *client, size_t length) {
  if (length > 0) br_ssl_engine_sendrec_ack(&client->ssl.eng, length);
  note_state(client);
}

bool tls_is_open(const tls_client *client) { return client->open; }

bool tls_is_over(const tls_client *client) {
  return (br_ssl_engine_current_state(&client->ssl.eng) & BR_SSL_CLOSED) != 0;
}

size_t tls_readable(const tls_client *client) {
  size_t length;
  return br_ssl_engine_recvapp_buf(&client->ssl.eng, &length) == NULL ? 0 : length;
}

bool tls_writable(const tls_client *client) {
  return (br_ssl_engine_current_state(&client->ssl.eng) & BR_SSL_SENDAPP) != 0;
}

size_t tls_read(tls_client *client, uint8_t *bytes, size_t length) {
  size_t waiting;
  const uint8_t *from = br_ssl_engine_recvapp_buf(&client->ssl.eng, &waiting);
  if (from == NULL || length == 0) return 0;
  if (length > waiting) length = waiting;
  memcpy(bytes, from, length);
  br_ssl_engine_recvapp_ack(&client->ssl.eng, length);
  return length;
}

size_t tls_write(tls_client *client, const uint8_t *bytes, size_t length) {
  size_t room;
  uint8_t *to = br_ssl_engine_sendapp_buf(&client->ssl.eng, &room);
  if (to == NULL || length == 0) return 0;
  if (length > room) length = room;
  memcpy(to, bytes, length);
  br_ssl_engine_sendapp_ack(&client->ssl.eng, length);
  br_ssl_engine_flush(&client->ssl.eng, 0);
  return length;
}

void tls_end(tls_client *client) { br_ssl_engine_close(&client->ssl.eng); }

/* -- What came of it --------------------------------------------------------------------------- */

/* Alerts by which a server says that it does not take the client's certificate. */
static bool about_certificates(unsigned alert) {
  return (alert >= 41 && alert <= 46) || alert == 48 || alert == 49;
}

const char *tls_problem(const tls_client *client, unsigned *number) {
  unsigned error = (unsigned)br_ssl_engine_last_error(&client->ssl.eng);
  *number = error;
  if (error == BR_ERR_OK) return NULL;
  if (error >= BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_SEND_FATAL_ALERT) {
    return about_certificates(error - BR_ERR_RECV_FATAL_ALERT) ? "tls-refused" : "tls-malformed";
  }
  if (error == BR_ERR_X509_EXPIRED) return "tls-certificate-expired";
  if (error == CHAIN_NOT_YET_VALID) return "tls-not-yet-valid";
  if (error == BR_ERR_X509_BAD_SERVER_NAME) return "tls-name";
  return error > BR_ERR_X509_OK && error < BR_ERR_RECV_FATAL_ALERT ? "tls-untrusted"
                                                                   : "tls-malformed";
}

bool tls_resumed(const tls_client *client) { return client->open && client->chain.shown == 0; }

void tls_validity(const tls_client *client, uint64_t *not_before, uint64_t *not_after) {
  *not_before = client->chain.not_before;
  *not_after = client->chain.not_after;
}
