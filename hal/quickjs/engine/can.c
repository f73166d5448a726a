/* `native.openCan`: a port of hal/types.ts `CanPort`, whose events call JavaScript. */
#include <string.h>

#include "host.h"
#include "platform.h"

enum { MAX_FILTERS = 64 };

static JSClassID can_class;

typedef struct {
  JSContext *context;
  can_port *port;
  JSValue on_readable, on_writable, on_error;
} can_object;

static void call_with_count(can_object *object, JSValueConst callback, int count) {
  JSValue argument = JS_NewInt32(object->context, count);
  if (JS_IsFunction(object->context, callback)) host_call(object->context, callback, 1, &argument);
}

static void readable(void *opaque, int count) {
  can_object *object = opaque;
  call_with_count(object, object->on_readable, count);
}

static void writable(void *opaque, int count) {
  can_object *object = opaque;
  call_with_count(object, object->on_writable, count);
}

static void failed(void *opaque, const char *message) {
  can_object *object = opaque;
  JSValue argument = JS_NewError(object->context);
  JS_SetPropertyStr(object->context, argument, "message", JS_NewString(object->context, message));
  if (JS_IsFunction(object->context, object->on_error)) {
    host_call(object->context, object->on_error, 1, &argument);
  } else {
    JS_FreeValue(object->context, argument);
  }
}

static const can_events events = {readable, writable, failed};

static void free_object(JSRuntime *runtime, can_object *object) {
  if (object->port != NULL) can_close(object->port);
  JS_FreeValueRT(runtime, object->on_readable);
  JS_FreeValueRT(runtime, object->on_writable);
  JS_FreeValueRT(runtime, object->on_error);
  js_free_rt(runtime, object);
}

static void finalize_can(JSRuntime *runtime, JSValueConst value) {
  can_object *object = JS_GetOpaque(value, can_class);
  if (object != NULL) free_object(runtime, object);
}

static void mark_can(JSRuntime *runtime, JSValueConst value, JS_MarkFunc *mark) {
  can_object *object = JS_GetOpaque(value, can_class);
  if (object == NULL) return;
  JS_MarkValue(runtime, object->on_readable, mark);
  JS_MarkValue(runtime, object->on_writable, mark);
  JS_MarkValue(runtime, object->on_error, mark);
}

/* Reads a list of identifiers; -1 with an exception when it is none. */
static int read_filters(JSContext *context, JSValueConst list, uint32_t filters[MAX_FILTERS]) {
  int64_t length;
  if (JS_GetLength(context, list, &length) < 0) return -1;
  if (length > MAX_FILTERS) {
    JS_ThrowRangeError(context, "filters: at most %d", MAX_FILTERS);
    return -1;
  }
  for (uint32_t i = 0; i < (uint32_t)length; i++) {
    uint64_t identifier;
    JSValue one = JS_GetPropertyUint32(context, list, i);
    bool valid = integer_argument(context, one, "filters", 0x1fffffff, &identifier);
    JS_FreeValue(context, one);
    if (!valid) return -1;
    filters[i] = (uint32_t)identifier;
  }
  return (int)length;
}

/* openCan(address, filters | undefined, onReadable, onWritable, onError) */
static JSValue js_open_can(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint32_t filters[MAX_FILTERS];
  const char *problem = NULL;
  int filter_count = JS_IsUndefined(argv[1]) ? 0 : read_filters(context, argv[1], filters);
  if (filter_count < 0) return JS_EXCEPTION;
  can_object *object = js_mallocz(context, sizeof *object);
  if (object == NULL) return JS_EXCEPTION;
  object->context = context;
  object->on_readable = JS_DupValue(context, argv[2]);
  object->on_writable = JS_DupValue(context, argv[3]);
  object->on_error = JS_DupValue(context, argv[4]);
  const char *address = JS_ToCString(context, argv[0]);
  if (address != NULL) {
    object->port = can_open(address, JS_IsUndefined(argv[1]) ? NULL : filters,
                            (size_t)filter_count, &events, object, &problem);
  }
  JS_FreeCString(context, address);
  JSValue value = object->port == NULL ? JS_EXCEPTION : JS_NewObjectClass(context, (int)can_class);
  if (JS_IsException(value)) {
    free_object(JS_GetRuntime(context), object);
    return problem == NULL ? value : JS_ThrowInternalError(context, "CAN: %s", problem);
  }
  JS_SetOpaque(value, object);
  return value;
}

static can_object *can_this(JSContext *context, JSValueConst this) {
  return JS_GetOpaque2(context, this, can_class);
}

static bool set(JSContext *context, JSValueConst object, const char *name, JSValue value) {
  return !JS_IsException(value) && JS_SetPropertyStr(context, object, name, value) >= 0;
}

static JSValue js_can_read(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  can_frame_data frame;
  can_object *object = can_this(context, this);
  if (object == NULL) return JS_EXCEPTION;
  if (object->port == NULL || !can_read(object->port, &frame)) return JS_UNDEFINED;
  uint8_t *out;
  JSValue data = new_bytes(context, frame.length, &out);
  if (JS_IsException(data)) return data;
  memcpy(out, frame.data, frame.length);
  JSValue value = JS_NewObject(context);
  if (JS_IsException(value)) {
    JS_FreeValue(context, data);
    return value;
  }
  if (set(context, value, "identifier", JS_NewUint32(context, frame.identifier)) &&
      set(context, value, "extended", JS_NewBool(context, frame.extended)) &&
      set(context, value, "flexibleData", JS_NewBool(context, frame.flexible_data)) &&
      set(context, value, "bitRateSwitch", JS_NewBool(context, frame.bit_rate_switch)) &&
      set(context, value, "data", data)) {
    return value;
  }
  JS_FreeValue(context, value);
  return JS_EXCEPTION;
}

static JSValue js_can_writable(JSContext *context, JSValueConst this) {
  can_object *object = can_this(context, this);
  if (object == NULL) return JS_EXCEPTION;
  return JS_NewInt32(context, object->port == NULL ? 0 : can_writable(object->port));
}

static bool flag(JSContext *context, JSValueConst frame, const char *name) {
  JSValue value = JS_GetPropertyStr(context, frame, name);
  bool result = JS_ToBool(context, value) == 1;
  JS_FreeValue(context, value);
  return result;
}

static bool flexible_data_length(size_t length) {
  return length <= 8 || length == 12 || length == 16 || length == 20 || length == 24 ||
         length == 32 || length == 48 || length == 64;
}

static JSValue js_can_write(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  can_frame_data frame;
  uint64_t identifier;
  size_t length;
  can_object *object = can_this(context, this);
  if (object == NULL) return JS_EXCEPTION;
  if (!JS_IsObject(argv[0])) return JS_ThrowTypeError(context, "frame: expected an object");
  frame.extended = flag(context, argv[0], "extended");
  frame.flexible_data = flag(context, argv[0], "flexibleData");
  frame.bit_rate_switch = flag(context, argv[0], "bitRateSwitch");
  JSValue value = JS_GetPropertyStr(context, argv[0], "identifier");
  bool valid = integer_argument(context, value, "identifier", frame.extended ? 0x1fffffff : 0x7ff,
                                &identifier);
  JS_FreeValue(context, value);
  if (!valid) return JS_EXCEPTION;
  frame.identifier = (uint32_t)identifier;
  value = JS_GetPropertyStr(context, argv[0], "data");
  const uint8_t *bytes = bytes_argument(context, value, "data", &length);
  valid = bytes != NULL && (frame.flexible_data ? flexible_data_length(length) : length <= 8) &&
          (frame.flexible_data || !frame.bit_rate_switch);
  if (valid) memcpy(frame.data, bytes, length);
  JS_FreeValue(context, value);
  if (bytes == NULL) return JS_EXCEPTION;
  if (!valid) return JS_ThrowRangeError(context, "data: no frame of this kind has %u bytes",
                                        (unsigned)length);
  frame.length = (uint8_t)length;
  if (object->port != NULL && can_write(object->port, &frame)) return JS_UNDEFINED;
  return JS_ThrowInternalError(context, "the CAN port takes no frame now");
}

static JSValue js_can_close(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  can_object *object = can_this(context, this);
  if (object == NULL) return JS_EXCEPTION;
  if (object->port != NULL) can_close(object->port);
  object->port = NULL;
  return JS_UNDEFINED;
}

static const JSClassDef can_definition = {
    "CanPort", .finalizer = finalize_can, .gc_mark = mark_can};
static const JSCFunctionListEntry writable_getter[] = {
    JS_CGETSET_DEF("writable", js_can_writable, NULL)};

void add_can(JSContext *context, JSValueConst native) {
  JSRuntime *runtime = JS_GetRuntime(context);
  JS_NewClassID(runtime, &can_class);
  JS_NewClass(runtime, can_class, &can_definition);
  JSValue prototype = JS_NewObject(context);
  add_function(context, prototype, "read", js_can_read, 0);
  add_function(context, prototype, "write", js_can_write, 1);
  add_function(context, prototype, "close", js_can_close, 0);
  JS_SetPropertyFunctionList(context, prototype, writable_getter, 1);
  JS_SetClassProto(context, can_class, prototype);
  add_function(context, native, "openCan", js_open_can, 5);
}
