/* `native.replaceFile`, `ask`, `mediumLength`, `mediumRead`: the vehicle around a Primary. */
#include "host.h"
#include "platform.h"

static const uint64_t max_number = (uint64_t)1 << 53;

/* replaceFile(path, text) */
static JSValue js_replace_file(JSContext *context, JSValueConst this, int argc,
                               JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  bool replaced = false;
  const char *path = JS_ToCString(context, argv[0]);
  const char *text = path == NULL ? NULL : JS_ToCStringLen(context, &length, argv[1]);
  bool given = text != NULL;
  if (given) replaced = platform_replace_file(path, text, length);
  JS_FreeCString(context, text);
  JS_FreeCString(context, path);
  if (given && !replaced) return JS_ThrowInternalError(context, "file: writing failed");
  return given ? JS_UNDEFINED : JS_EXCEPTION;
}

/* ask(program, input, milliseconds): exit status, or -1 */
static JSValue js_ask(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  uint64_t milliseconds;
  JSValue result = JS_EXCEPTION;
  if (!integer_argument(context, argv[2], "milliseconds", 600000, &milliseconds)) return result;
  const char *program = JS_ToCString(context, argv[0]);
  const char *input = program == NULL ? NULL : JS_ToCStringLen(context, &length, argv[1]);
  if (input != NULL) {
    result = JS_NewInt32(context, platform_ask(program, input, length, milliseconds));
  }
  JS_FreeCString(context, input);
  JS_FreeCString(context, program);
  return result;
}

/* mediumLength(folder, name): bytes, or -1 */
static JSValue js_medium_length(JSContext *context, JSValueConst this, int argc,
                                JSValueConst *argv) {
  (void)this, (void)argc;
  JSValue result = JS_EXCEPTION;
  const char *folder = JS_ToCString(context, argv[0]);
  const char *name = folder == NULL ? NULL : JS_ToCString(context, argv[1]);
  if (name != NULL) result = JS_NewInt64(context, medium_length(folder, name));
  JS_FreeCString(context, name);
  JS_FreeCString(context, folder);
  return result;
}

/* mediumRead(folder, name, buffer, offset): whether all of the buffer was filled */
static JSValue js_medium_read(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  uint64_t offset;
  JSValue result = JS_EXCEPTION;
  if (!integer_argument(context, argv[3], "offset", max_number, &offset)) return result;
  const char *folder = JS_ToCString(context, argv[0]);
  const char *name = folder == NULL ? NULL : JS_ToCString(context, argv[1]);
  /* Last: turning something into a string may run code that detaches the buffer. */
  uint8_t *bytes = name == NULL ? NULL : bytes_argument(context, argv[2], "buffer", &length);
  if (bytes != NULL) {
    result = JS_NewBool(context, medium_read(folder, name, offset, bytes, length));
  }
  JS_FreeCString(context, name);
  JS_FreeCString(context, folder);
  return result;
}

void add_vehicle(JSContext *context, JSValueConst native) {
  add_function(context, native, "replaceFile", js_replace_file, 2);
  add_function(context, native, "ask", js_ask, 3);
  add_function(context, native, "mediumLength", js_medium_length, 2);
  add_function(context, native, "mediumRead", js_medium_read, 4);
}
