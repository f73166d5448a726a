/* The flash object of storage.c, for other files of the engine that read it natively. */
#ifndef OTA_STORAGE_H
#define OTA_STORAGE_H

#include <quickjs.h>

/* The open flash of `native.openFlash`; NULL with an exception pending. */
struct flash_storage *flash_this(JSContext *context, JSValueConst value);

/* copyProgram(offset, length, sha256, path) of that object (program.c): the file at `path` is replaced
 * as a whole, once what was copied has proven right; else false. */
JSValue js_flash_copy_program(JSContext *context, JSValueConst value, int argc, JSValueConst *argv);

#endif
