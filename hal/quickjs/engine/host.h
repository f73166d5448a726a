/*
 * The host of the engine: one runtime, one context, one event loop. The files of engine/ know
 * QuickJS and no operating system; those of a platform folder (linux/) know no QuickJS. Between
 * them stands platform.h.
 */
#ifndef OTA_HOST_H
#define OTA_HOST_H

#include <quickjs.h>
#include <stdbool.h>
#include <stdint.h>

/* Functions and classes that each file adds to the object `native` (hal/quickjs/native.ts). */
void add_crypto(JSContext *context, JSValueConst native);
void add_storage(JSContext *context, JSValueConst native);
void add_can(JSContext *context, JSValueConst native);
void add_net(JSContext *context, JSValueConst native);
void add_tls(JSContext *context, JSValueConst native);
void add_vehicle(JSContext *context, JSValueConst native);
void add_board(JSContext *context, JSValueConst native);
void add_program(JSContext *context, JSValueConst native);

/* Keeps the command line, with which the next program is started (program.c). The words without the
 * slot, and how many; NULL for a wrong slot or too many words. */
char **program_arguments(int *count, char **words);
/* Set by the build (RUNTIME_RELEASE). */
extern const uint32_t program_release;

/* A runtime whose heap is bounded; it takes the place of the one before, which is freed. */
JSRuntime *new_runtime(size_t heap_bytes);

/* Adds one function; `name` must outlive the context. */
void add_function(JSContext *context, JSValueConst object, const char *name, JSCFunction *function,
                  int arguments);

/*
 * Calls `callback` with no `this` and runs the jobs that follow. Takes ownership of `arguments`.
 * An exception ends the process: a bug, after which the ECU starts anew from durable state.
 */
void host_call(JSContext *context, JSValueConst callback, int count, JSValue *arguments);

/* The open connection of a socket of `native.connect`; NULL with an exception pending. */
struct stream *socket_stream(JSContext *context, JSValueConst socket);

/*
 * Prints the pending exception as a line of the log and ends the process: a bug, or no memory left,
 * which is noted for the report of the next run.
 */
_Noreturn void host_fail(JSContext *context);

/* The version of bytecode that this engine runs. */
uint8_t bytecode_version(void);

/* Keeps a code among the ECU's values, under the key `failure`; nowhere before they are open. */
void note_failure(const char *code);

/* The bytes of a Uint8Array argument; NULL with an exception pending for anything else. */
uint8_t *bytes_argument(JSContext *context, JSValueConst value, const char *name, size_t *length);
/* The bytes of a Uint8Array argument of exactly `length`; NULL with an exception otherwise. */
uint8_t *fixed_argument(JSContext *context, JSValueConst value, const char *name, size_t length);
/* An integer from 0 to `max` (at most 2^53 - 1); false with an exception pending otherwise. */
bool integer_argument(JSContext *context, JSValueConst value, const char *name, uint64_t max,
                      uint64_t *result);
/* A Uint8Array of `length` bytes whose memory is `*bytes`, to be filled; exception: no memory. */
JSValue new_bytes(JSContext *context, size_t length, uint8_t **bytes);

#endif
