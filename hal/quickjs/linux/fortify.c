/*
 * Debian's libbearssl.a was compiled for glibc with bounds checks at run time; musl has none of the
 * functions behind them. They check as glibc's do and end the program instead of overrunning.
 */
#include <stdlib.h>
#include <string.h>

void *__memcpy_chk(void *to, const void *from, size_t length, size_t room) {
  if (length > room) abort();
  return memcpy(to, from, length);
}

void *__memmove_chk(void *to, const void *from, size_t length, size_t room) {
  if (length > room) abort();
  return memmove(to, from, length);
}

void *__memset_chk(void *to, int value, size_t length, size_t room) {
  if (length > room) abort();
  return memset(to, value, length);
}
