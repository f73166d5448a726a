/*
 * Runs one script of tests in QuickJS-ng: `engine-host SCRIPT.js`. The script finds
 *   native         the crypto of an ECU's binary (hal/quickjs/engine/crypto.c)
 *   hostPrint(s)   writes to standard output
 *   hostMemory()   bytes that the engine has allocated
 *   hostCall(s)    sends a text to the process that started this one, on descriptor 4, and waits for
 *                  its answer, on descriptor 3; each is preceded by its length (u32, little-endian)
 * and defines two globals: `nextTimer()` is called whenever no job is left, until it gives false; then
 * `exitStatus` is the status that this process ends with.
 */
#include <errno.h>
#include <quickjs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../../hal/quickjs/crypto/crypto.h"
#include "../../hal/quickjs/engine/host.h"

enum { ANSWERS = 3, REQUESTS = 4, MAX_ANSWER_BYTES = 1 << 28, STACK_BYTES = 4 << 20 };

bool platform_random(uint8_t *out, size_t length) {
  return getrandom(out, length, 0) == (ssize_t)length;
}

_Noreturn void host_fail(JSContext *context) {
  JSValue exception = JS_GetException(context);
  const char *message = JS_ToCString(context, exception);
  JSValue stack = JS_GetPropertyStr(context, exception, "stack");
  const char *places = JS_ToCString(context, stack);
  fflush(stdout);
  fprintf(stderr, "%s\n%s\n", message == NULL ? "out of memory" : message,
          places == NULL ? "" : places);
  exit(1);
}

static void write_all(const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = write(REQUESTS, bytes, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) exit(1);
    bytes += count;
    length -= (size_t)count;
  }
}

static void read_all(uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = read(ANSWERS, bytes, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) exit(1);
    bytes += count;
    length -= (size_t)count;
  }
}

static JSValue js_call(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  const char *text = JS_ToCStringLen(context, &length, argv[0]);
  if (text == NULL) return JS_EXCEPTION;
  uint8_t head[4] = {(uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16),
                     (uint8_t)(length >> 24)};
  write_all(head, sizeof head);
  write_all((const uint8_t *)text, length);
  JS_FreeCString(context, text);
  read_all(head, sizeof head);
  size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
  uint8_t *answer = size > MAX_ANSWER_BYTES ? NULL : malloc(size + 1);
  if (answer == NULL) return JS_ThrowOutOfMemory(context);
  read_all(answer, size);
  JSValue result = JS_NewStringLen(context, (const char *)answer, size);
  free(answer);
  return result;
}

static JSValue js_print(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  const char *text = JS_ToCStringLen(context, &length, argv[0]);
  if (text == NULL) return JS_EXCEPTION;
  fwrite(text, 1, length, stdout);
  JS_FreeCString(context, text);
  return JS_UNDEFINED;
}

static JSValue js_memory(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  JSMemoryUsage usage;
  JS_ComputeMemoryUsage(JS_GetRuntime(context), &usage);
  return JS_NewInt64(context, usage.malloc_size);
}

static void run_jobs(JSContext *context) {
  JSContext *failed;
  int result;
  while ((result = JS_ExecutePendingJob(JS_GetRuntime(context), &failed)) > 0) continue;
  if (result < 0) host_fail(failed);
}

static char *read_script(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) return NULL;
  *length = (size_t)ftell(file);
  rewind(file);
  char *text = malloc(*length + 1);
  if (text == NULL || fread(text, 1, *length, file) != *length) return NULL;
  text[*length] = '\0';
  fclose(file);
  return text;
}

int main(int argc, char **argv) {
  size_t length;
  char *script = argc == 2 ? read_script(argv[1], &length) : NULL;
  if (script == NULL) {
    fprintf(stderr, "usage: engine-host SCRIPT.js\n");
    return 2;
  }
  JSRuntime *runtime = JS_NewRuntime();
  JS_SetMaxStackSize(runtime, STACK_BYTES);
  JSContext *context = JS_NewContext(runtime);
  JSValue global = JS_GetGlobalObject(context);
  JSValue native = JS_NewObject(context);
  add_crypto(context, native);
  JS_SetPropertyStr(context, global, "native", native);
  add_function(context, global, "hostCall", js_call, 1);
  add_function(context, global, "hostPrint", js_print, 1);
  add_function(context, global, "hostMemory", js_memory, 0);
  JSValue result = JS_Eval(context, script, length, argv[1], JS_EVAL_TYPE_GLOBAL);
  if (JS_IsException(result)) host_fail(context);
  JS_FreeValue(context, result);
  int more;
  do {
    run_jobs(context);
    JSValue next = JS_GetPropertyStr(context, global, "nextTimer");
    JSValue called = JS_Call(context, next, JS_UNDEFINED, 0, NULL);
    JS_FreeValue(context, next);
    if (JS_IsException(called)) host_fail(context);
    more = JS_ToBool(context, called);
    JS_FreeValue(context, called);
  } while (more > 0);
  int32_t status = 1;
  JSValue ended = JS_GetPropertyStr(context, global, "exitStatus");
  if (JS_ToInt32(context, &status, ended) < 0) host_fail(context);
  fflush(stdout);
  /* Without freeing what the tests left: the process ends. */
  _exit(status);
}
