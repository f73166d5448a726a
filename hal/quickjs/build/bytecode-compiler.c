/*
 * Compiles one classic script to bytecode without names, lines and source:
 *   bytecode-compiler IN.js OUT.bytecode
 * The result runs on every little-endian machine whose engine has the same version of bytecode.
 */
#include <quickjs.h>
#include <stdio.h>
#include <stdlib.h>

static char *read_file(const char *path, size_t *length) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  *length = (size_t)ftell(file);
  rewind(file);
  char *text = malloc(*length + 1);
  if (text != NULL && fread(text, 1, *length, file) != *length) {
    free(text);
    text = NULL;
  }
  fclose(file);
  if (text != NULL) text[*length] = '\0';
  return text;
}

int main(int argc, char **argv) {
  size_t length, size;
  if (argc != 3) {
    fprintf(stderr, "usage: bytecode-compiler IN.js OUT.bytecode\n");
    return 2;
  }
  char *source = read_file(argv[1], &length);
  if (source == NULL) {
    perror(argv[1]);
    return 1;
  }
  JSContext *context = JS_NewContext(JS_NewRuntime());
  JSValue code = JS_Eval(context, source, length, "slot",
                         JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(code)) {
    JSValue exception = JS_GetException(context);
    fprintf(stderr, "%s: %s\n", argv[1], JS_ToCString(context, exception));
    return 1;
  }
  uint8_t *bytes = JS_WriteObject(context, &size, code,
                                  JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE |
                                      JS_WRITE_OBJ_STRIP_DEBUG);
  FILE *out = bytes == NULL ? NULL : fopen(argv[2], "wb");
  if (out == NULL || fwrite(bytes, 1, size, out) != size || fclose(out) != 0) {
    perror(argv[2]);
    return 1;
  }
  return 0;
}
