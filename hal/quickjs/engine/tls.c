/*
 * `native.createTls`: TLS over a socket of `native.connect`. Moves bytes between the two when it is
 * told to and says what came of it; when that is, and what it means, is in net.ts.
 */
#include "../tls/tls-client.h"

#include "../crypto/crypto.h"
#include "host.h"
#include "platform.h"

static JSClassID tls_class;

static void finalize_tls(JSRuntime *runtime, JSValueConst value) {
  (void)runtime;
  tls_client *client = JS_GetOpaque(value, tls_class);
  if (client != NULL) tls_free(client);
}

static tls_client *tls_this(JSContext *context, JSValueConst this) {
  tls_client *client = JS_GetOpaque(this, tls_class);
  if (client == NULL) JS_ThrowTypeError(context, "tls: closed, or no TLS connection");
  return client;
}

/* Like `bytes_argument`, but undefined stands for NULL and no bytes. */
static bool optional_bytes(JSContext *context, JSValueConst value, const char *name,
                           const uint8_t **bytes, size_t *length) {
  *length = 0;
  *bytes = NULL;
  if (JS_IsUndefined(value)) return true;
  *bytes = bytes_argument(context, value, name, length);
  return *bytes != NULL;
}

static bool optional_fixed(JSContext *context, JSValueConst value, const char *name, size_t length,
                           const uint8_t **bytes) {
  *bytes = NULL;
  if (JS_IsUndefined(value)) return true;
  *bytes = fixed_argument(context, value, name, length);
  return *bytes != NULL;
}

/*
 * createTls(serverName, trustAnchors, chain | undefined, privateKey | undefined,
 *   session | undefined, endsAfter, beginsBefore): certificates in DER, one behind the other
 */
static JSValue js_create_tls(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  static const uint64_t max_seconds = (uint64_t)1 << 53;
  tls_options options;
  tls_client *client = NULL;
  const char *problem = NULL;
  /* The text first: becoming one may run code that takes the bytes away. */
  options.server_name = JS_ToCString(context, argv[0]);
  if (options.server_name == NULL) return JS_EXCEPTION;
  options.anchors = bytes_argument(context, argv[1], "trustAnchors", &options.anchors_length);
  JSValue value = JS_EXCEPTION;
  if (options.anchors != NULL &&
      optional_bytes(context, argv[2], "chain", &options.own_chain, &options.own_chain_length) &&
      optional_fixed(context, argv[3], "privateKey", TLS_SCALAR_BYTES, &options.private_key) &&
      optional_fixed(context, argv[4], "session", TLS_SESSION_BYTES, &options.session) &&
      integer_argument(context, argv[5], "endsAfter", max_seconds, &options.ends_after) &&
      integer_argument(context, argv[6], "beginsBefore", max_seconds, &options.begins_before)) {
    value = JS_NewObjectClass(context, (int)tls_class);
  }
  if (!JS_IsException(value)) client = tls_open(&options, &problem);
  JS_FreeCString(context, options.server_name);
  if (client != NULL) {
    JS_SetOpaque(value, client);
    return value;
  }
  JS_FreeValue(context, value);
  return problem == NULL ? JS_EXCEPTION : JS_ThrowInternalError(context, "tls: %s", problem);
}

/* exchange(socket): moves bytes both ways until neither side has any or room for them */
static JSValue js_exchange(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  size_t length, moved;
  tls_client *client = tls_this(context, this);
  stream *connection = client == NULL ? NULL : socket_stream(context, argv[0]);
  if (connection == NULL) return JS_EXCEPTION;
  do {
    moved = 0;
    const uint8_t *waiting = tls_wire_waiting(client, &length);
    if (length > 0) {
      size_t sent = stream_write(connection, waiting, length);
      tls_wire_sent(client, sent);
      moved += sent;
    }
    uint8_t *room = tls_wire_room(client, &length);
    if (length > 0) {
      size_t received = stream_read(connection, room, length);
      tls_wire_received(client, received);
      moved += received;
    }
  } while (moved > 0);
  return JS_UNDEFINED;
}

/* read(buffer): bytes read */
static JSValue js_read(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  size_t length;
  tls_client *client = tls_this(context, this);
  uint8_t *bytes = client == NULL ? NULL : bytes_argument(context, argv[0], "buffer", &length);
  if (bytes == NULL) return JS_EXCEPTION;
  return JS_NewInt64(context, (int64_t)tls_read(client, bytes, length));
}

/* write(buffer): bytes taken, which `exchange` sends */
static JSValue js_write(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  size_t length;
  tls_client *client = tls_this(context, this);
  const uint8_t *bytes = client == NULL ? NULL : bytes_argument(context, argv[0], "buffer", &length);
  if (bytes == NULL) return JS_EXCEPTION;
  return JS_NewInt64(context, (int64_t)tls_write(client, bytes, length));
}

/* end(): after it, `exchange` says goodbye to the server */
static JSValue js_end(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  tls_client *client = tls_this(context, this);
  if (client == NULL) return JS_EXCEPTION;
  tls_end(client);
  return JS_UNDEFINED;
}

/* close(): keys and memory are gone; calls after it throw */
static JSValue js_close(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  tls_client *client = tls_this(context, this);
  if (client == NULL) return JS_EXCEPTION;
  tls_free(client);
  JS_SetOpaque(this, NULL);
  return JS_UNDEFINED;
}

/* session(): bytes that resume it, or undefined */
static JSValue js_session(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  uint8_t session[TLS_SESSION_BYTES];
  tls_client *client = tls_this(context, this);
  if (client == NULL) return JS_EXCEPTION;
  if (!tls_session(client, session)) return JS_UNDEFINED;
  JSValue result = JS_NewUint8ArrayCopy(context, session, sizeof session);
  wipe(session, sizeof session);
  return result;
}

/* What can be asked of a connection; the numbers are those of the getters below. */
enum { IS_OPEN, IS_OVER, RESUMED, READABLE, WRITABLE, NOT_BEFORE, NOT_AFTER, REFUSED, ERROR_NUMBER };

static JSValue js_ask(JSContext *context, JSValueConst this, int question) {
  uint64_t not_before, not_after;
  unsigned number;
  tls_client *client = tls_this(context, this);
  if (client == NULL) return JS_EXCEPTION;
  tls_validity(client, &not_before, &not_after);
  const char *refused = tls_problem(client, &number);
  switch (question) {
    case IS_OPEN: return JS_NewBool(context, tls_is_open(client));
    case IS_OVER: return JS_NewBool(context, tls_is_over(client));
    case RESUMED: return JS_NewBool(context, tls_resumed(client));
    case READABLE: return JS_NewInt64(context, (int64_t)tls_readable(client));
    case WRITABLE: return JS_NewBool(context, tls_writable(client));
    case NOT_BEFORE: return JS_NewInt64(context, (int64_t)not_before);
    case NOT_AFTER: return JS_NewInt64(context, (int64_t)not_after);
    case REFUSED: return refused == NULL ? JS_UNDEFINED : JS_NewString(context, refused);
    default: return JS_NewUint32(context, number);
  }
}

static const JSClassDef tls_definition = {"Tls", .finalizer = finalize_tls};
static const JSCFunctionListEntry getters[] = {
    JS_CGETSET_MAGIC_DEF("open", js_ask, NULL, IS_OPEN),
    JS_CGETSET_MAGIC_DEF("over", js_ask, NULL, IS_OVER),
    JS_CGETSET_MAGIC_DEF("resumed", js_ask, NULL, RESUMED),
    JS_CGETSET_MAGIC_DEF("readable", js_ask, NULL, READABLE),
    JS_CGETSET_MAGIC_DEF("writable", js_ask, NULL, WRITABLE),
    JS_CGETSET_MAGIC_DEF("notBefore", js_ask, NULL, NOT_BEFORE),
    JS_CGETSET_MAGIC_DEF("notAfter", js_ask, NULL, NOT_AFTER),
    JS_CGETSET_MAGIC_DEF("refused", js_ask, NULL, REFUSED),
    JS_CGETSET_MAGIC_DEF("errorNumber", js_ask, NULL, ERROR_NUMBER),
};

void add_tls(JSContext *context, JSValueConst native) {
  JSRuntime *runtime = JS_GetRuntime(context);
  JS_NewClassID(runtime, &tls_class);
  JS_NewClass(runtime, tls_class, &tls_definition);
  JSValue prototype = JS_NewObject(context);
  add_function(context, prototype, "exchange", js_exchange, 1);
  add_function(context, prototype, "read", js_read, 1);
  add_function(context, prototype, "write", js_write, 1);
  add_function(context, prototype, "end", js_end, 0);
  add_function(context, prototype, "close", js_close, 0);
  add_function(context, prototype, "session", js_session, 0);
  JS_SetPropertyFunctionList(context, prototype, getters, sizeof getters / sizeof getters[0]);
  JS_SetClassProto(context, tls_class, prototype);
  add_function(context, native, "createTls", js_create_tls, 7);
}
