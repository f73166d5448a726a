/* Ranges of files and devices that belong to the machine's loader (U-Boot's environment). */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../engine/platform.h"

int64_t range_read(const char *path, uint64_t offset, uint8_t *bytes, size_t length) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  size_t done = 0;
  bool failed = file < 0;
  while (!failed && done < length) {
    ssize_t count = pread(file, bytes + done, length - done, (off_t)(offset + done));
    if (count < 0 && errno == EINTR) continue;
    failed = count < 0;
    if (count <= 0) break;
    done += (size_t)count;
  }
  if (file >= 0) close(file);
  return failed ? -1 : (int64_t)done;
}

bool range_write(const char *path, uint64_t offset, const uint8_t *bytes, size_t length) {
  int file = open(path, O_WRONLY | O_CLOEXEC);
  bool written = file >= 0;
  for (size_t done = 0; written && done < length;) {
    ssize_t count = pwrite(file, bytes + done, length - done, (off_t)(offset + done));
    if (count < 0 && errno == EINTR) continue;
    written = count > 0;
    if (written) done += (size_t)count;
  }
  written = written && fsync(file) == 0;
  if (file >= 0) written = close(file) == 0 && written;
  return written;
}
