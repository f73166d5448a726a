/*
 * What the bootloader needs to replace this very program (kind `runtime`): which release it is, what
 * a file holds, a copy from the flash to a file, and a start in its place. Policy: runtime-program.ts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../crypto/crypto.h"
#include "host.h"
#include "platform.h"
#include "storage.h"

enum { PIECE_BYTES = 4096, MAX_WORDS = 16 };

static const uint64_t max_offset = (uint64_t)1 << 53;
static const char slot_option[] = "--program-slot";
/* The command line of this program, without the slot. */
static char *given_words[MAX_WORDS];
static int given_count;
static int own_slot = -1;
/* What the bootloader has said to the engine after its own. */
static int chosen_slot = -1;
static bool is_replaced;

char **program_arguments(int *count, char **words) {
  given_count = 0;
  for (int i = 0; i < *count; i++) {
    if (strcmp(words[i], slot_option) != 0) {
      if (given_count == MAX_WORDS - 3) return NULL;
      given_words[given_count++] = words[i];
    } else if (i + 1 < *count && (strcmp(words[i + 1], "0") == 0 || strcmp(words[i + 1], "1") == 0)) {
      own_slot = words[++i][0] - '0';
    } else {
      return NULL;
    }
  }
  *count = given_count;
  return given_words;
}

static void digest_piece(void *opaque, const uint8_t *bytes, size_t length) {
  digest_update(opaque, bytes, length);
}

/* isProgram(path | undefined, length, sha256): the file holds exactly these bytes */
static JSValue js_is_program(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t length;
  uint8_t found[DIGEST_MAX_BYTES];
  const char *path = NULL;
  if (!integer_argument(context, argv[1], "length", UINT32_MAX, &length)) return JS_EXCEPTION;
  if (!JS_IsUndefined(argv[0])) {
    path = JS_ToCString(context, argv[0]);
    if (path == NULL) return JS_EXCEPTION;
  }
  /* After the path: becoming a text may run code that takes the bytes away. */
  const uint8_t *expected = fixed_argument(context, argv[2], "sha256", 32);
  digest_state *digest = expected == NULL ? NULL : digest_new(DIGEST_SHA_256);
  JSValue result = JS_EXCEPTION;
  if (digest != NULL) {
    bool whole = program_read(path, length, digest_piece, digest);
    digest_finish(digest, found);
    result = JS_NewBool(context, whole && memcmp(found, expected, 32) == 0);
  } else if (expected != NULL) {
    JS_ThrowOutOfMemory(context);
  }
  digest_free(digest);
  JS_FreeCString(context, path);
  return result;
}

/* True when the file at `path` was replaced by these bytes of the flash; false leaves it as it was. */
static bool copy_program(flash_storage *storage, uint64_t offset, uint64_t length,
                         const uint8_t *expected, const char *path) {
  uint8_t piece[PIECE_BYTES], found[DIGEST_MAX_BYTES];
  digest_state *digest = digest_new(DIGEST_SHA_256);
  program_file *program = digest == NULL ? NULL : program_create(path);
  bool whole = program != NULL;
  for (uint64_t done = 0; whole && done < length; done += sizeof piece) {
    size_t count = length - done < sizeof piece ? (size_t)(length - done) : sizeof piece;
    whole = flash_read(storage, offset + done, piece, count) &&
            program_append(program, piece, count);
    if (whole) digest_update(digest, piece, count);
  }
  if (whole) {
    digest_finish(digest, found);
    whole = memcmp(found, expected, 32) == 0;
  }
  digest_free(digest);
  if (program != NULL) whole = program_close(program, whole) && whole;
  return whole;
}

JSValue js_flash_copy_program(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  uint64_t offset, length;
  if (!integer_argument(context, argv[0], "offset", UINT32_MAX, &offset) ||
      !integer_argument(context, argv[1], "length", UINT32_MAX, &length)) {
    return JS_EXCEPTION;
  }
  const char *path = JS_ToCString(context, argv[3]);
  if (path == NULL) return JS_EXCEPTION;
  JSValue result = JS_EXCEPTION;
  const uint8_t *expected = fixed_argument(context, argv[2], "sha256", 32);
  flash_storage *storage = expected == NULL ? NULL : flash_this(context, this);
  if (storage != NULL) {
    result = JS_NewBool(context, copy_program(storage, offset, length, expected, path));
  }
  JS_FreeCString(context, path);
  return result;
}

/* startProgram(path, slot): another program in place of this one; returns when it cannot be started */
static JSValue js_start_program(JSContext *context, JSValueConst this, int argc,
                                JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t slot;
  char number[2], option[sizeof slot_option], *words[MAX_WORDS];
  if (!integer_argument(context, argv[1], "slot", 1, &slot)) return JS_EXCEPTION;
  const char *path = JS_ToCString(context, argv[0]);
  if (path == NULL) return JS_EXCEPTION;
  memcpy(words, given_words, sizeof words);
  snprintf(option, sizeof option, "%s", slot_option);
  snprintf(number, sizeof number, "%u", (unsigned)slot);
  words[given_count] = option;
  words[given_count + 1] = number;
  words[given_count + 2] = NULL;
  program_start(path, words);
  JS_FreeCString(context, path);
  return JS_UNDEFINED;
}

enum { MAX_RANGE_BYTES = 1 << 20 };

/* readRange(path, offset, length): the bytes, or undefined */
static JSValue js_read_range(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t offset, length;
  uint8_t *out;
  if (!integer_argument(context, argv[1], "offset", max_offset, &offset) ||
      !integer_argument(context, argv[2], "length", MAX_RANGE_BYTES, &length)) {
    return JS_EXCEPTION;
  }
  const char *path = JS_ToCString(context, argv[0]);
  uint8_t *bytes = path == NULL ? NULL : malloc((size_t)length + 1);
  int64_t count = bytes == NULL ? -1 : range_read(path, offset, bytes, (size_t)length);
  JSValue result = path == NULL ? JS_EXCEPTION : JS_UNDEFINED;
  if (count >= 0) {
    result = new_bytes(context, (size_t)count, &out);
    if (!JS_IsException(result)) memcpy(out, bytes, (size_t)count);
  }
  free(bytes);
  JS_FreeCString(context, path);
  return result;
}

/* writeRange(path, offset, bytes) */
static JSValue js_write_range(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t offset;
  size_t length;
  if (!integer_argument(context, argv[1], "offset", max_offset, &offset)) return JS_EXCEPTION;
  const char *path = JS_ToCString(context, argv[0]);
  if (path == NULL) return JS_EXCEPTION;
  const uint8_t *bytes = bytes_argument(context, argv[2], "bytes", &length);
  bool written = bytes != NULL && range_write(path, offset, bytes, length);
  JS_FreeCString(context, path);
  if (bytes == NULL) return JS_EXCEPTION;
  return written ? JS_UNDEFINED : JS_ThrowInternalError(context, "file: writing failed");
}

/* replaceDurably(path, bytes) */
static JSValue js_replace_durably(JSContext *context, JSValueConst this, int argc,
                                  JSValueConst *argv) {
  (void)this, (void)argc;
  size_t length;
  const char *path = JS_ToCString(context, argv[0]);
  if (path == NULL) return JS_EXCEPTION;
  const uint8_t *bytes = bytes_argument(context, argv[1], "bytes", &length);
  program_file *file = bytes == NULL ? NULL : program_create(path);
  bool replaced = file != NULL && program_append(file, bytes, length);
  if (file != NULL) replaced = program_close(file, replaced) && replaced;
  JS_FreeCString(context, path);
  if (bytes == NULL) return JS_EXCEPTION;
  return replaced ? JS_UNDEFINED : JS_ThrowInternalError(context, "file: writing failed");
}

/* restartMachine(argument | undefined) */
static JSValue js_restart_machine(JSContext *context, JSValueConst this, int argc,
                                  JSValueConst *argv) {
  (void)this, (void)argc;
  const char *argument = NULL;
  if (!JS_IsUndefined(argv[0])) {
    argument = JS_ToCString(context, argv[0]);
    if (argument == NULL) return JS_EXCEPTION;
  }
  platform_reboot(argument);
}

/* chooseProgram(slot, replaced): told to main.ts */
static JSValue js_choose_program(JSContext *context, JSValueConst this, int argc,
                                 JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t slot;
  if (!integer_argument(context, argv[0], "slot", 1, &slot)) return JS_EXCEPTION;
  chosen_slot = (int)slot;
  is_replaced = JS_ToBool(context, argv[1]) > 0;
  return JS_UNDEFINED;
}

void add_program(JSContext *context, JSValueConst native) {
  add_function(context, native, "isProgram", js_is_program, 3);
  add_function(context, native, "startProgram", js_start_program, 2);
  add_function(context, native, "readRange", js_read_range, 3);
  add_function(context, native, "writeRange", js_write_range, 3);
  add_function(context, native, "replaceDurably", js_replace_durably, 2);
  add_function(context, native, "restartMachine", js_restart_machine, 1);
  add_function(context, native, "chooseProgram", js_choose_program, 2);
  JS_SetPropertyStr(context, native, "programReplaced", JS_NewBool(context, is_replaced));
  if (chosen_slot >= 0) {
    JS_SetPropertyStr(context, native, "chosenSlot", JS_NewInt32(context, chosen_slot));
  }
  JS_SetPropertyStr(context, native, "programRelease", JS_NewUint32(context, program_release));
  if (own_slot >= 0) {
    JS_SetPropertyStr(context, native, "programSlot", JS_NewInt32(context, own_slot));
  }
}
