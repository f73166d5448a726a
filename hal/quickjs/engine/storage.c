/* `native.openFlash` and `native.openKeyValue`: durable bytes. Policy is in flash.ts. */
#include <stdlib.h>
#include <string.h>

#include "../crypto/crypto.h"
#include "host.h"
#include "platform.h"
#include "storage.h"

static JSClassID flash_class;
static JSClassID key_value_class;

static const uint64_t max_offset = (uint64_t)1 << 53;

static void finalize_flash(JSRuntime *runtime, JSValueConst value) {
  (void)runtime;
  flash_storage *storage = JS_GetOpaque(value, flash_class);
  if (storage != NULL) flash_close(storage);
}

/* openFlash(path, size, blockLength, eraseValue) */
static JSValue js_open_flash(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)this, (void)argc;
  uint64_t size, block_length, erase_value;
  const char *problem = NULL;
  if (!integer_argument(context, argv[1], "size", max_offset, &size) ||
      !integer_argument(context, argv[2], "blockLength", max_offset, &block_length) ||
      !integer_argument(context, argv[3], "eraseValue", 255, &erase_value)) {
    return JS_EXCEPTION;
  }
  JSValue value = JS_NewObjectClass(context, (int)flash_class);
  if (JS_IsException(value)) return value;
  const char *path = JS_ToCString(context, argv[0]);
  flash_storage *storage =
      path == NULL ? NULL : flash_open(path, size, block_length, (uint8_t)erase_value, &problem);
  JS_FreeCString(context, path);
  if (storage != NULL) {
    JS_SetOpaque(value, storage);
    return value;
  }
  JS_FreeValue(context, value);
  return problem == NULL ? JS_EXCEPTION : JS_ThrowInternalError(context, "flash: %s", problem);
}

flash_storage *flash_this(JSContext *context, JSValueConst this) {
  flash_storage *storage = JS_GetOpaque(this, flash_class);
  if (storage == NULL) JS_ThrowTypeError(context, "flash: closed, or no flash");
  return storage;
}

/* read(buffer, offset) */
static JSValue js_flash_read(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  size_t length;
  uint64_t offset;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL) return JS_EXCEPTION;
  uint8_t *bytes = bytes_argument(context, argv[0], "buffer", &length);
  if (bytes == NULL || !integer_argument(context, argv[1], "offset", max_offset, &offset)) {
    return JS_EXCEPTION;
  }
  if (flash_read(storage, offset, bytes, length)) return JS_UNDEFINED;
  return JS_ThrowInternalError(context, "flash: reading %u bytes at %.0f failed", (unsigned)length,
                               (double)offset);
}

/* program(buffer, offset) */
static JSValue js_flash_program(JSContext *context, JSValueConst this, int argc,
                                JSValueConst *argv) {
  (void)argc;
  size_t length;
  uint64_t offset;
  bool broken_rule = false;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL) return JS_EXCEPTION;
  const uint8_t *bytes = bytes_argument(context, argv[0], "buffer", &length);
  if (bytes == NULL || !integer_argument(context, argv[1], "offset", max_offset, &offset)) {
    return JS_EXCEPTION;
  }
  if (flash_program(storage, offset, bytes, length, &broken_rule)) return JS_UNDEFINED;
  return JS_ThrowInternalError(context, "flash: %s at %.0f",
                               broken_rule ? "programming what is not erased" : "writing failed",
                               (double)offset);
}

/* erase(offset, length) */
static JSValue js_flash_erase(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc;
  uint64_t offset, length;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL || !integer_argument(context, argv[0], "offset", max_offset, &offset) ||
      !integer_argument(context, argv[1], "length", max_offset, &length)) {
    return JS_EXCEPTION;
  }
  if (flash_erase(storage, offset, length)) return JS_UNDEFINED;
  return JS_ThrowInternalError(context, "flash: erasing at %.0f failed", (double)offset);
}

/* isErased(offset, length) */
static JSValue js_flash_is_erased(JSContext *context, JSValueConst this, int argc,
                                  JSValueConst *argv) {
  (void)argc;
  uint64_t offset, length;
  bool erased = false;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL || !integer_argument(context, argv[0], "offset", max_offset, &offset) ||
      !integer_argument(context, argv[1], "length", max_offset, &length)) {
    return JS_EXCEPTION;
  }
  if (flash_is_erased(storage, offset, length, &erased)) return JS_NewBool(context, erased);
  return JS_ThrowInternalError(context, "flash: reading at %.0f failed", (double)offset);
}

/* sha256(offset, length) */
static JSValue js_flash_sha256(JSContext *context, JSValueConst this, int argc,
                               JSValueConst *argv) {
  (void)argc;
  uint64_t offset, length;
  uint8_t piece[16384], *out;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL || !integer_argument(context, argv[0], "offset", max_offset, &offset) ||
      !integer_argument(context, argv[1], "length", max_offset, &length)) {
    return JS_EXCEPTION;
  }
  digest_state *digest = digest_new(DIGEST_SHA_256);
  if (digest == NULL) return JS_ThrowOutOfMemory(context);
  bool whole = true;
  for (uint64_t done = 0; whole && done < length;) {
    size_t count = length - done < sizeof piece ? (size_t)(length - done) : sizeof piece;
    whole = flash_read(storage, offset + done, piece, count);
    if (whole) digest_update(digest, piece, count);
    done += count;
  }
  JSValue result = JS_EXCEPTION;
  if (whole) {
    result = new_bytes(context, digest_bytes(DIGEST_SHA_256), &out);
    if (!JS_IsException(result)) digest_finish(digest, out);
  } else {
    JS_ThrowInternalError(context, "flash: reading at %.0f failed", (double)offset);
  }
  digest_free(digest);
  return result;
}

static JSValue js_flash_sync(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL) return JS_EXCEPTION;
  if (flash_sync(storage)) return JS_UNDEFINED;
  return JS_ThrowInternalError(context, "flash: what was written is not durable");
}

static JSValue js_flash_close(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
  (void)argc, (void)argv;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL) return JS_EXCEPTION;
  flash_close(storage);
  JS_SetOpaque(this, NULL);
  return JS_UNDEFINED;
}

/* The program that the bootloader has proved. It outlives the bootloader's runtime: the engine runs
 * instructions where they lie, below 4 GiB (build/reduce-engine.pl). */
static struct {
  uint32_t slot;
  size_t length;
  uint8_t *bytes;
} proven;

/* Room for a program; what a smaller one had is used again. */
static uint8_t *program_room(size_t bytes) {
  static uint8_t *room;
  static size_t room_bytes;
  if (room != NULL && room_bytes >= bytes) return room;
  room = platform_heap(bytes);
  room_bytes = bytes;
  return room;
}

static bool is_digest_of(const uint8_t *bytes, size_t length, const uint8_t *expected) {
  uint8_t found[DIGEST_MAX_BYTES];
  digest_state *digest = digest_new(DIGEST_SHA_256);
  if (digest == NULL) return false;
  digest_update(digest, bytes, length);
  digest_finish(digest, found);
  digest_free(digest);
  return memcmp(found, expected, 32) == 0;
}

/*
 * proveProgram(slot, offset, length, sha256): reads the bytes in the flash and keeps them when they
 * are right. Bytecode is native code to the engine, which does not verify it: nothing of it is
 * looked at before its digest is right. Returns undefined for another digest, false for another
 * version.
 */
static JSValue js_flash_prove_program(JSContext *context, JSValueConst this, int argc,
                                      JSValueConst *argv) {
  (void)argc;
  uint64_t slot, offset, length;
  flash_storage *storage = flash_this(context, this);
  if (storage == NULL || !integer_argument(context, argv[0], "slot", 1, &slot) ||
      !integer_argument(context, argv[1], "offset", max_offset, &offset) ||
      !integer_argument(context, argv[2], "length", UINT32_MAX, &length)) {
    return JS_EXCEPTION;
  }
  const uint8_t *expected = fixed_argument(context, argv[3], "sha256", 32);
  if (expected == NULL) return JS_EXCEPTION;
  proven.slot = (uint32_t)slot;
  proven.length = (size_t)length;
  proven.bytes = program_room((size_t)length + 1);
  JSValue result = JS_UNDEFINED;
  if (proven.bytes == NULL) {
    result = JS_ThrowOutOfMemory(context);
  } else if (!flash_read(storage, offset, proven.bytes, (size_t)length)) {
    result = JS_ThrowInternalError(context, "flash: reading the program failed");
  } else if (is_digest_of(proven.bytes, (size_t)length, expected)) {
    /* The version is the first byte: asked for here, so that no other error looks like it. */
    bool runs = length > 0 && proven.bytes[0] == bytecode_version();
    if (runs) return JS_TRUE;
    result = JS_FALSE;
  }
  proven.bytes = NULL;
  return result;
}

/* loadProgram(): the slot of the program */
static JSValue js_load_program(JSContext *context, JSValueConst this, int argc,
                               JSValueConst *argv) {
  (void)this, (void)argc, (void)argv;
  if (proven.bytes == NULL) return JS_ThrowInternalError(context, "no program was proved");
  JSValue code = JS_ReadObject(context, proven.bytes, proven.length, JS_READ_OBJ_BYTECODE);
  JSValue result = JS_IsException(code) ? code : JS_EvalFunction(context, code);
  if (JS_IsException(result)) return result;
  JS_FreeValue(context, result);
  return JS_NewUint32(context, proven.slot);
}

static void finalize_key_value(JSRuntime *runtime, JSValueConst value) {
  (void)runtime, (void)value; /* lives as long as the process */
}

/* The ECU's values, once they are open. */
static key_value *opened_values;

void note_failure(const char *code) {
  if (opened_values == NULL) return;
  key_value_write(opened_values, "failure", (const uint8_t *)code, strlen(code));
}

/* openKeyValue(folder) */
static JSValue js_open_key_value(JSContext *context, JSValueConst this, int argc,
                                 JSValueConst *argv) {
  (void)this, (void)argc;
  const char *problem = NULL;
  const char *folder = JS_ToCString(context, argv[0]);
  if (folder == NULL) return JS_EXCEPTION;
  key_value *store = key_value_open(folder, &problem);
  JS_FreeCString(context, folder);
  if (store == NULL) return JS_ThrowInternalError(context, "key-value: %s", problem);
  opened_values = store;
  JSValue value = JS_NewObjectClass(context, (int)key_value_class);
  if (!JS_IsException(value)) JS_SetOpaque(value, store);
  return value;
}

static const char *name_argument(JSContext *context, JSValueConst value) {
  const char *name = JS_ToCString(context, value);
  /* Names come escaped from key-value.ts; a path among them would be a bug. */
  if (name != NULL && (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)) {
    JS_FreeCString(context, name);
    JS_ThrowRangeError(context, "key-value: not a file name");
    return NULL;
  }
  return name;
}

static JSValue js_key_value_read(JSContext *context, JSValueConst this, int argc,
                                 JSValueConst *argv) {
  (void)argc;
  size_t length;
  bool missing;
  uint8_t *out;
  key_value *store = JS_GetOpaque2(context, this, key_value_class);
  if (store == NULL) return JS_EXCEPTION;
  const char *name = name_argument(context, argv[0]);
  if (name == NULL) return JS_EXCEPTION;
  uint8_t *bytes = key_value_read(store, name, &length, &missing);
  JS_FreeCString(context, name);
  if (bytes == NULL) {
    return missing ? JS_UNDEFINED : JS_ThrowInternalError(context, "key-value: reading failed");
  }
  JSValue result = new_bytes(context, length, &out);
  if (!JS_IsException(result)) memcpy(out, bytes, length);
  wipe(bytes, length);
  free(bytes);
  return result;
}

static JSValue js_key_value_write(JSContext *context, JSValueConst this, int argc,
                                  JSValueConst *argv) {
  (void)argc;
  size_t length;
  key_value *store = JS_GetOpaque2(context, this, key_value_class);
  if (store == NULL) return JS_EXCEPTION;
  const char *name = name_argument(context, argv[0]);
  if (name == NULL) return JS_EXCEPTION;
  /* After the name: becoming a text may run code that takes the bytes away. */
  const uint8_t *bytes = bytes_argument(context, argv[1], "value", &length);
  bool written = bytes != NULL && key_value_write(store, name, bytes, length);
  JS_FreeCString(context, name);
  if (bytes == NULL) return JS_EXCEPTION;
  return written ? JS_UNDEFINED : JS_ThrowInternalError(context, "key-value: writing failed");
}

static JSValue js_key_value_delete(JSContext *context, JSValueConst this, int argc,
                                   JSValueConst *argv) {
  (void)argc;
  key_value *store = JS_GetOpaque2(context, this, key_value_class);
  if (store == NULL) return JS_EXCEPTION;
  const char *name = name_argument(context, argv[0]);
  if (name == NULL) return JS_EXCEPTION;
  bool deleted = key_value_delete(store, name);
  JS_FreeCString(context, name);
  return deleted ? JS_UNDEFINED : JS_ThrowInternalError(context, "key-value: deleting failed");
}

static const JSClassDef flash_definition = {"Flash", .finalizer = finalize_flash};
static const JSClassDef key_value_definition = {"KeyValue", .finalizer = finalize_key_value};

void add_storage(JSContext *context, JSValueConst native) {
  JSRuntime *runtime = JS_GetRuntime(context);
  JS_NewClassID(runtime, &flash_class);
  JS_NewClass(runtime, flash_class, &flash_definition);
  JSValue flash = JS_NewObject(context);
  add_function(context, flash, "read", js_flash_read, 2);
  add_function(context, flash, "program", js_flash_program, 2);
  add_function(context, flash, "erase", js_flash_erase, 2);
  add_function(context, flash, "isErased", js_flash_is_erased, 2);
  add_function(context, flash, "sha256", js_flash_sha256, 2);
  add_function(context, flash, "sync", js_flash_sync, 0);
  add_function(context, flash, "close", js_flash_close, 0);
  add_function(context, flash, "proveProgram", js_flash_prove_program, 4);
  add_function(context, flash, "copyProgram", js_flash_copy_program, 4);
  JS_SetClassProto(context, flash_class, flash);

  JS_NewClassID(runtime, &key_value_class);
  JS_NewClass(runtime, key_value_class, &key_value_definition);
  JSValue store = JS_NewObject(context);
  add_function(context, store, "read", js_key_value_read, 1);
  add_function(context, store, "write", js_key_value_write, 2);
  add_function(context, store, "delete", js_key_value_delete, 1);
  JS_SetClassProto(context, key_value_class, store);

  add_function(context, native, "openFlash", js_open_flash, 4);
  add_function(context, native, "loadProgram", js_load_program, 0);
  add_function(context, native, "openKeyValue", js_open_key_value, 1);
}
