/*
 * Serves the native functions of hal/quickjs/engine/crypto.c to a test in another process, by way of
 * the engine: requests on standard input, answers on standard output, until the input ends.
 *
 * request: length (u32, little-endian) | name length | name | arguments
 *   argument: kind (0 undefined, 1 number, 2 bytes) | length (u32) | bytes (a number: 4)
 *   a name that begins with `.` is a method of the object that was answered last
 * answer: length | kind (0 undefined, 1 false, 2 true, 3 bytes, 4 exception, 5 object) | bytes
 *   a boolean is followed by the last argument's bytes, which the function may have written
 */
#include <quickjs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../hal/quickjs/crypto/crypto.h"
#include "../../hal/quickjs/engine/host.h"

enum { UNDEFINED, FALSE_ANSWER, TRUE_ANSWER, BYTES, EXCEPTION, OBJECT };
enum { MAX_ARGUMENTS = 8, MAX_REQUEST_BYTES = 1 << 24 };

bool platform_random(uint8_t *out, size_t length) {
  return getrandom(out, length, 0) == (ssize_t)length;
}

void host_fail(JSContext *context) {
  (void)context;
  abort();
}

static uint32_t number(const uint8_t *bytes) {
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static void answer(int kind, const uint8_t *bytes, size_t length) {
  uint32_t total = (uint32_t)length + 1;
  uint8_t head[5] = {(uint8_t)total, (uint8_t)(total >> 8), (uint8_t)(total >> 16),
                     (uint8_t)(total >> 24), (uint8_t)kind};
  fwrite(head, 1, sizeof head, stdout);
  if (length > 0) fwrite(bytes, 1, length, stdout);
  fflush(stdout);
}

static void answer_value(JSContext *context, JSValue *last, JSValue value, JSValueConst written) {
  if (JS_IsException(value)) {
    JSValue exception = JS_GetException(context);
    const char *message = JS_ToCString(context, exception);
    answer(EXCEPTION, (const uint8_t *)(message ? message : ""), message ? strlen(message) : 0);
    JS_FreeCString(context, message);
    JS_FreeValue(context, exception);
  } else if (JS_IsUndefined(value)) {
    answer(UNDEFINED, NULL, 0);
  } else if (JS_IsBool(value)) {
    size_t length = 0;
    const uint8_t *bytes = JS_GetTypedArrayType(written) == JS_TYPED_ARRAY_UINT8
                               ? JS_GetUint8Array(context, &length, written)
                               : NULL;
    answer(JS_ToBool(context, value) ? TRUE_ANSWER : FALSE_ANSWER, bytes, length);
  } else if (JS_GetTypedArrayType(value) == JS_TYPED_ARRAY_UINT8) {
    size_t length;
    const uint8_t *bytes = JS_GetUint8Array(context, &length, value);
    answer(BYTES, bytes, length);
  } else {
    JS_FreeValue(context, *last);
    *last = JS_DupValue(context, value);
    answer(OBJECT, NULL, 0);
  }
  JS_FreeValue(context, value);
}

static void serve(JSContext *context, JSValueConst native, JSValue *last, uint8_t *request,
                  size_t length) {
  JSValue arguments[MAX_ARGUMENTS];
  char name[64] = "";
  int count = 0;
  size_t at = 1 + (size_t)request[0];
  if (request[0] >= sizeof name || at > length) abort();
  memcpy(name, request + 1, request[0]);
  while (at + 5 <= length && count < MAX_ARGUMENTS) {
    uint8_t kind = request[at];
    size_t size = number(request + at + 1);
    const uint8_t *bytes = request + at + 5;
    if (size > length - at - 5) abort();
    arguments[count++] = kind == 2   ? JS_NewUint8ArrayCopy(context, bytes, size)
                         : kind == 1 ? JS_NewInt32(context, (int32_t)number(bytes))
                                     : JS_UNDEFINED;
    at += 5 + size;
  }
  JSValueConst owner = name[0] == '.' ? *last : native;
  JSValue function = JS_GetPropertyStr(context, owner, name[0] == '.' ? name + 1 : name);
  JSValue result = JS_Call(context, function, owner, count, (JSValueConst *)arguments);
  answer_value(context, last, result, count > 0 ? arguments[count - 1] : JS_UNDEFINED);
  for (int i = 0; i < count; i++) JS_FreeValue(context, arguments[i]);
  JS_FreeValue(context, function);
}

int main(void) {
  JSRuntime *runtime = JS_NewRuntime();
  JSContext *context = JS_NewContext(runtime);
  JSValue native = JS_NewObject(context);
  JSValue last = JS_UNDEFINED;
  add_crypto(context, native);
  uint8_t head[4];
  while (fread(head, 1, sizeof head, stdin) == sizeof head) {
    size_t length = number(head);
    if (length == 0 || length > MAX_REQUEST_BYTES) return 1;
    /* Exactly as long as the request, so that a sanitizer sees every read past its end. */
    uint8_t *request = malloc(length);
    if (request == NULL || fread(request, 1, length, stdin) != length) return 1;
    serve(context, native, &last, request, length);
    free(request);
  }
  JS_FreeValue(context, last);
  JS_FreeValue(context, native);
  JS_FreeContext(context);
  JS_FreeRuntime(runtime);
  return 0;
}
