/* The engine's heap for programs with sanitizers: each block is one of malloc, which they watch. */
#include "../../hal/quickjs/engine/host.h"

JSRuntime *new_runtime(size_t heap_bytes) {
  JSRuntime *runtime = JS_NewRuntime();
  if (runtime != NULL) JS_SetMemoryLimit(runtime, heap_bytes);
  return runtime;
}
