/*
 * The program of an ECU: `ecu-primary [--heap BYTES] DESCRIPTION.json [--watchdog]`; the last says
 * that the watchdog ended the run before. `--program-slot N` is said by the program on the board to
 * the one that came over the air, which it starts in its place (program.c).
 *
 * Makes a runtime with a bounded heap and a context with only the intrinsics that the agent uses,
 * without parser, `eval` and RegExp, and runs two programs whose bytecode is part of this binary, one
 * after the other, each in a runtime of its own: the bootloader (hal/quickjs/bootloader.ts), and
 * what starts the agent that it has chosen (hal/quickjs/main.ts). The agent itself lies in a flash
 * slot.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "platform.h"

/* Made from bootloader.ts and main.ts by the build. Writable: the engine binds names in them. */
extern uint8_t bootloader_bytecode[], main_bytecode[];
extern const uint32_t bootloader_bytecode_size, main_bytecode_size;
/* Of the engine as the build changes it: bytes of all its heaps at their largest. */
extern size_t js_heap_peak_bytes;

enum { STACK_BYTES = 256 * 1024, COLLECT_EVERY_BYTES = 32 * 1024 };
enum { MIN_HEAP_BYTES = 65536, MAX_HEAP_BYTES = 1 << 30 };

/* The programs of this binary were compiled for this engine. */
uint8_t bytecode_version(void) { return bootloader_bytecode[0]; }

static void say(const char *line) { platform_log(line, strlen(line)); }

/* Memory has run out when the engine says so, or has too little even to say it: then there is no
 * error, or one without its text. */
static bool is_out_of_memory(JSValueConst exception, const char *message) {
  return message == NULL || JS_IsNull(exception) || JS_IsUninitialized(exception) ||
         strcmp(message, "InternalError") == 0 ||
         strcmp(message, "InternalError: out of memory") == 0;
}

/* Nothing is half done: all that lasts is written in whole records. */
_Noreturn static void fail_without_memory(void) {
  say("refused code=heap-exhausted detail=what was under way ends here");
  note_failure("heap-exhausted");
  platform_exit(status_bug);
}

_Noreturn void host_fail(JSContext *context) {
  JSValue exception = JS_GetException(context);
  const char *message = JS_ToCString(context, exception);
  char line[512];
  if (is_out_of_memory(exception, message)) fail_without_memory();
  snprintf(line, sizeof line, "failed detail=%s", message);
  say(line);
  JSValue stack = JS_GetPropertyStr(context, exception, "stack");
  const char *places = JS_IsString(stack) ? JS_ToCString(context, stack) : NULL;
  if (places != NULL) fputs(places, stderr);
  platform_exit(status_bug);
}

static void run_jobs(JSContext *context) {
  JSContext *failed;
  int result;
  while ((result = JS_ExecutePendingJob(JS_GetRuntime(context), &failed)) > 0) continue;
  if (result < 0) host_fail(failed);
}

void host_call(JSContext *context, JSValueConst callback, int count, JSValue *arguments) {
  /* The callback may close, and so free, what holds it. */
  JSValue held = JS_DupValue(context, callback);
  JSValue result = JS_Call(context, held, JS_UNDEFINED, count, (JSValueConst *)arguments);
  for (int i = 0; i < count; i++) JS_FreeValue(context, arguments[i]);
  JS_FreeValue(context, held);
  if (JS_IsException(result)) host_fail(context);
  JS_FreeValue(context, result);
  run_jobs(context);
}

/* A promise was rejected and nobody listens: as bad as an exception. */
static void rejected(JSContext *context, JSValueConst promise, JSValueConst reason, bool handled,
                     void *opaque) {
  (void)promise, (void)opaque;
  if (handled) return;
  JS_Throw(context, JS_DupValue(context, reason));
  host_fail(context);
}

static JSContext *make_context(size_t heap_bytes) {
  JSRuntime *runtime = new_runtime(heap_bytes);
  if (runtime == NULL) return NULL;
  JS_SetMaxStackSize(runtime, STACK_BYTES);
  JS_SetGCThreshold(runtime, COLLECT_EVERY_BYTES);
  JS_SetHostPromiseRejectionTracker(runtime, rejected, NULL);
  JSContext *context = JS_NewContextRaw(runtime);
  if (context == NULL) return NULL;
  JS_AddIntrinsicBaseObjects(context);
  JS_AddIntrinsicJSON(context);
  JS_AddIntrinsicMapSet(context);
  JS_AddIntrinsicTypedArrays(context);
  JS_AddIntrinsicPromise(context);
  return context;
}

static void add_native(JSContext *context, const char *description, size_t length, bool expired) {
  JSValue global = JS_GetGlobalObject(context);
  JSValue native = JS_NewObject(context);
  if (JS_IsException(native)) host_fail(context);
  add_crypto(context, native);
  add_storage(context, native);
  add_can(context, native);
#ifdef PRIMARY
  add_net(context, native);
  add_tls(context, native);
  add_vehicle(context, native);
#endif
  add_board(context, native);
  add_program(context, native);
  JS_SetPropertyStr(context, native, "bytecodeVersion",
                    JS_NewInt32(context, bytecode_version()));
  JS_SetPropertyStr(context, native, "watchdogExpired", JS_NewBool(context, expired));
  JS_SetPropertyStr(context, native, "description",
                    JS_NewStringLen(context, description, length));
  if (JS_SetPropertyStr(context, global, "native", native) < 0) host_fail(context);
  JS_FreeValue(context, global);
}

static void run(JSContext *context, uint8_t *bytecode, size_t length) {
  JSValue code = JS_ReadObject(context, bytecode, length, JS_READ_OBJ_BYTECODE);
  if (JS_IsException(code)) host_fail(context);
  JSValue result = JS_EvalFunction(context, code);
  if (JS_IsException(result)) host_fail(context);
  JS_FreeValue(context, result);
  run_jobs(context);
}

_Noreturn static void usage(const char *program, const char *problem) {
  if (problem != NULL) fprintf(stderr, "%s: %s\n", program, problem);
  fprintf(stderr, "usage: %s [--heap BYTES] DESCRIPTION.json [--watchdog]\n", program);
  exit(status_usage);
}

int main(int argc, char **words) {
  size_t heap_bytes = DEFAULT_HEAP_BYTES;
  const char *path = NULL;
  bool expired = false;
  char **argv = program_arguments(&argc, words);
  if (argv == NULL) usage(words[0], NULL);
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--heap") == 0 && i + 1 < argc) {
      char *end;
      errno = 0;
      unsigned long long bytes = strtoull(argv[++i], &end, 10);
      if (errno != 0 || *end != '\0' || bytes < MIN_HEAP_BYTES || bytes > MAX_HEAP_BYTES) {
        usage(argv[0], "--heap: expected bytes, 65536 to 1073741824");
      }
      heap_bytes = (size_t)bytes;
    } else if (strcmp(argv[i], "--watchdog") == 0) {
      expired = true;
    } else if (argv[i][0] == '-' || path != NULL) {
      usage(argv[0], NULL);
    } else {
      path = argv[i];
    }
  }
  if (path == NULL) usage(argv[0], NULL);

  const char *problem = platform_start(&js_heap_peak_bytes);
  if (problem != NULL) {
    char line[256];
    snprintf(line, sizeof line, "refused code=%s", problem);
    say(line);
    platform_exit(status_bug);
  }
  size_t length = 0;
  char *description = platform_read_text(path, &length, &problem);
  if (description == NULL) usage(argv[0], problem);

  JSContext *context = make_context(heap_bytes);
  if (context == NULL) usage(argv[0], "--heap: too small to start");
  add_native(context, description, length, expired);
  run(context, bootloader_bytecode, bootloader_bytecode_size);
  JSRuntime *runtime = JS_GetRuntime(context);
  JS_FreeContext(context);
  JS_FreeRuntime(runtime);

  context = make_context(heap_bytes);
  if (context == NULL) usage(argv[0], "--heap: too small to start");
  add_native(context, description, length, expired);
  free(description);
  run(context, main_bytecode, main_bytecode_size);
  platform_run();
  platform_exit(0);
}
