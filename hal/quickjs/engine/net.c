/* `native.connect`: a socket of hal/types.ts, whose events call JavaScript. */
#include "host.h"
#include "platform.h"

static JSClassID socket_class;

enum { ON_CONNECT, ON_READABLE, ON_WRITABLE, ON_END, ON_ERROR, CALLBACKS };

typedef struct {
  JSContext *context;
  stream *connection;
  JSValue callbacks[CALLBACKS];
} socket_object;

static void call(void *opaque, int which) {
  socket_object *object = opaque;
  if (JS_IsFunction(object->context, object->callbacks[which])) {
    host_call(object->context, object->callbacks[which], 0, NULL);
  }
}

static void connected(void *opaque) { call(opaque, ON_CONNECT); }
static void readable(void *opaque) { call(opaque, ON_READABLE); }
static void writable(void *opaque) { call(opaque, ON_WRITABLE); }
static void ended(void *opaque) { call(opaque, ON_END); }

static void failed(void *opaque, const char *message) {
  socket_object *object = opaque;
  JSContext *context = object->context;
  JSValue argument = JS_NewError(context);
  JS_SetPropertyStr(context, argument, "message", JS_NewString(context, message));
  host_call(context, object->callbacks[ON_ERROR], 1, &argument);
}

static const stream_events events = {connected, readable, writable, ended, failed};

static void free_object(JSRuntime *runtime, socket_object *object) {
  if (object->connection != NULL) stream_close(object->connection);
  for (int i = 0; i < CALLBACKS; i++) JS_FreeValueRT(runtime, object->callbacks[i]);
  js_free_rt(runtime, object);
}

static void finalize_socket(JSRuntime *runtime, JSValueConst value) {
  socket_object *object = JS_GetOpaque(value, socket_class);
  if (object != NULL) free_object(runtime, object);
}

static void mark_socket(JSRuntime *runtime, JSValueConst value, JS_MarkFunc *mark) {
  socket_object *object = JS_GetOpaque(value, socket_class);
  if (object == NULL) return;
  for (int i = 0; i < CALLBACKS; i++) JS_MarkValue(runtime, object->callbacks[i], mark);
}

/* connect(host, port, onConnect, onReadable, onWritable, onEnd, onError) */
static JSValue js_connect(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t port;
  const char *problem = NULL;
  if (!integer_argument(context, argv[1], "port", 65535, &port)) return JS_EXCEPTION;
  socket_object *object = js_mallocz(context, sizeof *object);
  if (object == NULL) return JS_EXCEPTION;
  object->context = context;
  for (int i = 0; i < CALLBACKS; i++) object->callbacks[i] = JS_DupValue(context, argv[2 + i]);
  const char *host = JS_ToCString(context, argv[0]);
  if (host != NULL) {
    object->connection = stream_connect(host, (uint16_t)port, &events, object, &problem);
  }
  JS_FreeCString(context, host);
  JSValue value =
      object->connection == NULL ? JS_EXCEPTION : JS_NewObjectClass(context, (int)socket_class);
  if (JS_IsException(value)) {
    free_object(JS_GetRuntime(context), object);
    return problem == NULL ? value : JS_ThrowInternalError(context, "net: %s", problem);
  }
  JS_SetOpaque(value, object);
  return value;
}

static JSValue js_read(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  size_t length;
  socket_object *object = JS_GetOpaque2(context, this, socket_class);
  if (object == NULL) return JS_EXCEPTION;
  uint8_t *bytes = bytes_argument(context, argv[0], "buffer", &length);
  if (bytes == NULL) return JS_EXCEPTION;
  size_t count = object->connection == NULL ? 0 : stream_read(object->connection, bytes, length);
  return JS_NewInt64(context, (int64_t)count);
}

static JSValue js_write(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  size_t length;
  socket_object *object = JS_GetOpaque2(context, this, socket_class);
  if (object == NULL) return JS_EXCEPTION;
  const uint8_t *bytes = bytes_argument(context, argv[0], "buffer", &length);
  if (bytes == NULL) return JS_EXCEPTION;
  size_t count = object->connection == NULL ? 0 : stream_write(object->connection, bytes, length);
  return JS_NewInt64(context, (int64_t)count);
}

static JSValue js_close(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  socket_object *object = JS_GetOpaque2(context, this, socket_class);
  if (object == NULL) return JS_EXCEPTION;
  if (object->connection != NULL) stream_close(object->connection);
  object->connection = NULL;
  return JS_UNDEFINED;
}

stream *socket_stream(JSContext *context, JSValueConst socket) {
  socket_object *object = JS_GetOpaque2(context, socket, socket_class);
  if (object == NULL || object->connection != NULL) return object == NULL ? NULL : object->connection;
  JS_ThrowTypeError(context, "socket: closed");
  return NULL;
}

static const JSClassDef socket_definition = {
    "Socket", .finalizer = finalize_socket, .gc_mark = mark_socket};

void add_net(JSContext *context, JSValueConst native) {
  JSRuntime *runtime = JS_GetRuntime(context);
  JS_NewClassID(runtime, &socket_class);
  JS_NewClass(runtime, socket_class, &socket_definition);
  JSValue prototype = JS_NewObject(context);
  add_function(context, prototype, "read", js_read, 1);
  add_function(context, prototype, "write", js_write, 1);
  add_function(context, prototype, "close", js_close, 0);
  JS_SetClassProto(context, socket_class, prototype);
  add_function(context, native, "connect", js_connect, 7);
}
