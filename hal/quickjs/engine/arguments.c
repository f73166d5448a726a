/* Arguments of native functions: checked here once, so that no C code sees a wrong length. */
#include <math.h>

#include "host.h"

uint8_t *bytes_argument(JSContext *context, JSValueConst value, const char *name, size_t *length) {
  if (JS_GetTypedArrayType(value) != JS_TYPED_ARRAY_UINT8) {
    JS_ThrowTypeError(context, "%s: expected a Uint8Array", name);
    return NULL;
  }
  uint8_t *bytes = JS_GetUint8Array(context, length, value);
  static uint8_t none[1];
  /* An empty array may have no memory, which is no mistake; a detached one raised its own. */
  if (bytes == NULL && !JS_HasException(context)) {
    *length = 0;
    return none;
  }
  return bytes;
}

uint8_t *fixed_argument(JSContext *context, JSValueConst value, const char *name, size_t length) {
  size_t found;
  uint8_t *bytes = bytes_argument(context, value, name, &found);
  if (bytes != NULL && found != length) {
    JS_ThrowRangeError(context, "%s: expected %u bytes, got %u", name, (unsigned)length,
                       (unsigned)found);
    return NULL;
  }
  return bytes;
}

bool integer_argument(JSContext *context, JSValueConst value, const char *name, uint64_t max,
                      uint64_t *result) {
  double number;
  if (!JS_IsNumber(value) || JS_ToFloat64(context, &number, value) < 0) {
    if (!JS_HasException(context)) JS_ThrowTypeError(context, "%s: expected a number", name);
    return false;
  }
  if (!(number >= 0 && number <= (double)max) || number != floor(number)) {
    JS_ThrowRangeError(context, "%s: expected an integer from 0 to %.0f", name, (double)max);
    return false;
  }
  *result = (uint64_t)number;
  return true;
}

JSValue new_bytes(JSContext *context, size_t length, uint8_t **bytes) {
  static const uint8_t none[1];
  /* The engine copies from a buffer; an array made from nothing is filled in place instead. */
  JSValue length_value = JS_NewInt64(context, (int64_t)length);
  JSValue array = JS_NewTypedArray(context, 1, &length_value, JS_TYPED_ARRAY_UINT8);
  if (JS_IsException(array)) return array;
  size_t found;
  *bytes = JS_GetUint8Array(context, &found, array);
  if (*bytes == NULL) *bytes = (uint8_t *)none;
  return array;
}

void add_function(JSContext *context, JSValueConst object, const char *name, JSCFunction *function,
                  int arguments) {
  JSValue value = JS_NewCFunction(context, function, name, arguments);
  if (JS_IsException(value) || JS_SetPropertyStr(context, object, name, value) < 0) {
    host_fail(context);
  }
}
