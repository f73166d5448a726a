/* Clock, log, restart, watchdog and commands: what is left of `native`. */
#include <stdlib.h>

#include "host.h"
#include "platform.h"

/* monotonic(): milliseconds since start */
static JSValue js_monotonic(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  return JS_NewInt64(context, (int64_t)platform_monotonic());
}

/* A waiting timer: owned by the platform until it is due or cancelled. */
typedef struct {
  JSContext *context;
  JSValue callback;
} waiting_timer;

static void timer_due(void *opaque) {
  waiting_timer *timer = opaque;
  JSContext *context = timer->context;
  JSValue callback = timer->callback;
  free(timer);
  host_call(context, callback, 0, NULL);
  JS_FreeValue(context, callback);
}

/* after(milliseconds, callback): a number for `cancel` */
static JSValue js_after(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  double milliseconds;
  if (JS_ToFloat64(context, &milliseconds, argv[0]) < 0) return JS_EXCEPTION;
  if (!JS_IsFunction(context, argv[1])) return JS_ThrowTypeError(context, "callback: no function");
  if (!(milliseconds >= 0)) milliseconds = 0;
  if (milliseconds > 1e12) milliseconds = 1e12;
  waiting_timer *timer = malloc(sizeof *timer);
  if (timer == NULL) return JS_ThrowOutOfMemory(context);
  timer->context = context;
  timer->callback = JS_DupValue(context, argv[1]);
  /* A fraction waits for the whole millisecond: a timer never comes early. */
  uint64_t whole = (uint64_t)milliseconds;
  if ((double)whole < milliseconds) whole++;
  uint32_t number = platform_after(whole, timer_due, timer);
  if (number != 0) return JS_NewUint32(context, number);
  JS_FreeValue(context, timer->callback);
  free(timer);
  return JS_ThrowOutOfMemory(context);
}

/* cancel(number): of a timer that is over already, nothing happens */
static JSValue js_cancel(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t number;
  if (!integer_argument(context, argv[0], "timer", UINT32_MAX, &number)) return JS_EXCEPTION;
  waiting_timer *timer = platform_cancel((uint32_t)number);
  if (timer != NULL) {
    JS_FreeValue(context, timer->callback);
    free(timer);
  }
  return JS_UNDEFINED;
}

/* log(line) */
static JSValue js_log(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  const char *line = JS_ToCStringLen(context, &length, argv[0]);
  if (line == NULL) return JS_EXCEPTION;
  platform_log(line, length);
  JS_FreeCString(context, line);
  return JS_UNDEFINED;
}

/* reboot() */
static JSValue js_reboot(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)context, (void)this, (void)argc, (void)argv;
  platform_reboot(NULL);
}

/* exit(status) */
static JSValue js_exit(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t status;
  if (!integer_argument(context, argv[0], "status", 255, &status)) return JS_EXCEPTION;
  platform_exit((int)status);
}

/* command(program, first, second): exit status, or -1 */
static JSValue js_command(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  JSValue result = JS_EXCEPTION;
  const char *program = JS_ToCString(context, argv[0]);
  const char *first = program == NULL ? NULL : JS_ToCString(context, argv[1]);
  const char *second = first == NULL ? NULL : JS_ToCString(context, argv[2]);
  if (second != NULL) result = JS_NewInt32(context, platform_command(program, first, second));
  JS_FreeCString(context, second);
  JS_FreeCString(context, first);
  JS_FreeCString(context, program);
  return result;
}

/* watchdog(seconds): starts or feeds it; 0 stops it; false when the platform has none */
static JSValue js_watchdog(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t seconds;
  if (!integer_argument(context, argv[0], "seconds", 3600, &seconds)) return JS_EXCEPTION;
  return JS_NewBool(context, platform_watchdog((unsigned)seconds));
}

void add_board(JSContext *context, JSValueConst native) {
  add_function(context, native, "monotonic", js_monotonic, 0);
  add_function(context, native, "after", js_after, 2);
  add_function(context, native, "cancel", js_cancel, 1);
  add_function(context, native, "log", js_log, 1);
  add_function(context, native, "reboot", js_reboot, 0);
  add_function(context, native, "exit", js_exit, 1);
  add_function(context, native, "command", js_command, 3);
  add_function(context, native, "watchdog", js_watchdog, 1);
}
