/*
 * Flash on Linux: an MTD character device (MEMGETINFO, MEMERASE), or a file that stands for a part.
 * Either keeps NOR's rule, so that code tried on a file works on a device: a bit once programmed
 * comes back by erasing only.
 *
 * What is erased in a file is programmed soon after, front to back. So its blank bytes are written
 * only when something else comes first: each byte is written once, and none is read to check the rule.
 * Until the next synchronisation a cut may leave the old bytes, as with any write.
 */
#include <errno.h>
#include <fcntl.h>
#include <mtd/mtd-user.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../engine/platform.h"

enum { PIECE_BYTES = 16384 };

struct flash_storage {
  int file;
  bool is_device;
  uint8_t erase_value;
  uint64_t size;
  /* Erased, and not written yet: from here up to there. Nothing on a device. */
  uint64_t blank_from, blank_to;
};

static char message[320];

static const char *say(const char *path, const char *what) {
  snprintf(message, sizeof message, "%s: %s", path, what);
  return message;
}

static bool write_all(int file, uint64_t offset, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = pwrite(file, bytes, length, (off_t)offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes += count;
    offset += (uint64_t)count;
    length -= (size_t)count;
  }
  return true;
}

static bool read_all(int file, uint64_t offset, uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = pread(file, bytes, length, (off_t)offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes += count;
    offset += (uint64_t)count;
    length -= (size_t)count;
  }
  return true;
}

static bool fill(int file, uint64_t offset, uint64_t length, uint8_t value) {
  uint8_t blank[PIECE_BYTES];
  memset(blank, value, sizeof blank);
  while (length > 0) {
    size_t piece = length < sizeof blank ? (size_t)length : sizeof blank;
    if (!write_all(file, offset, blank, piece)) return false;
    offset += piece;
    length -= piece;
  }
  return true;
}

/* Makes the file erased, under another name first: a half-made part is never found. */
static bool create_erased(const char *path, uint64_t size, uint8_t value) {
  char temporary[4096];
  if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) return false;
  int file = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return false;
  bool made = fill(file, 0, size, value) && fsync(file) == 0;
  close(file);
  return made && rename(temporary, path) == 0;
}

static const char *check_device(const char *path, int file, uint64_t size, uint64_t block_length) {
  struct mtd_info_user info;
  if (ioctl(file, MEMGETINFO, &info) < 0) return say(path, "no MTD device");
  if (!(info.flags & MTD_WRITEABLE)) return say(path, "the MTD device is read-only");
  if (info.size < size) return say(path, "the MTD device is smaller than the flash map");
  if (info.erasesize != block_length) return say(path, "the device's erase blocks differ");
  return NULL;
}

flash_storage *flash_open(const char *path, uint64_t size, uint64_t block_length,
                          uint8_t erase_value, const char **problem) {
  struct stat status;
  *problem = NULL;
  if (stat(path, &status) < 0 && (errno != ENOENT || !create_erased(path, size, erase_value))) {
    *problem = say(path, strerror(errno));
    return NULL;
  }
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0 || fstat(file, &status) < 0) {
    *problem = say(path, strerror(errno));
  } else if (S_ISCHR(status.st_mode)) {
    *problem = check_device(path, file, size, block_length);
  } else if ((uint64_t)status.st_size != size) {
    snprintf(message, sizeof message, "%s has %lld bytes, its flash map needs %llu", path,
             (long long)status.st_size, (unsigned long long)size);
    *problem = message;
  }
  flash_storage *storage = *problem == NULL ? malloc(sizeof *storage) : NULL;
  if (storage == NULL) {
    if (*problem == NULL) *problem = "out of memory";
    if (file >= 0) close(file);
    return NULL;
  }
  *storage = (flash_storage){file, S_ISCHR(status.st_mode), erase_value, size, 0, 0};
  return storage;
}

static bool inside(const flash_storage *storage, uint64_t offset, uint64_t length) {
  return offset <= storage->size && length <= storage->size - offset;
}

/* Writes the blank bytes that were left for later. */
static bool settle(flash_storage *storage) {
  uint64_t from = storage->blank_from, to = storage->blank_to;
  if (from == to) return true;
  if (!fill(storage->file, from, to - from, storage->erase_value)) return false;
  storage->blank_from = storage->blank_to = 0;
  return true;
}

static bool is_blank(const flash_storage *storage, uint64_t offset, uint64_t length) {
  return offset >= storage->blank_from && offset + length <= storage->blank_to;
}

static bool settle_for(flash_storage *storage, uint64_t offset, uint64_t length) {
  bool apart = offset >= storage->blank_to || offset + length <= storage->blank_from;
  return apart || settle(storage);
}

bool flash_read(flash_storage *storage, uint64_t offset, uint8_t *bytes, size_t length) {
  return inside(storage, offset, length) && settle_for(storage, offset, length) &&
         read_all(storage->file, offset, bytes, length);
}

/* Whether no bit of `bytes` would have to go back to erased. Without a branch a byte: vectors. */
static bool keeps_rule(const uint8_t *old, const uint8_t *bytes, size_t length, uint8_t erased) {
  uint8_t broken = 0;
  /* Bits that differ from the erased value are programmed; they must stay so. */
  for (size_t i = 0; i < length; i++) broken |= (old[i] ^ erased) & ~(bytes[i] ^ erased);
  return broken == 0;
}

bool flash_program(flash_storage *storage, uint64_t offset, const uint8_t *bytes, size_t length,
                   bool *broken_rule) {
  uint8_t old[PIECE_BYTES];
  if (!inside(storage, offset, length)) return false;
  if (offset == storage->blank_from && is_blank(storage, offset, length)) {
    if (!write_all(storage->file, offset, bytes, length)) return false;
    storage->blank_from += length;
    return true;
  }
  if (!settle_for(storage, offset, length)) return false;
  for (size_t done = 0; done < length; done += sizeof old) {
    size_t piece = length - done < sizeof old ? length - done : sizeof old;
    if (!read_all(storage->file, offset + done, old, piece)) return false;
    if (keeps_rule(old, bytes + done, piece, storage->erase_value)) continue;
    *broken_rule = true;
    return false;
  }
  return write_all(storage->file, offset, bytes, length);
}

bool flash_erase(flash_storage *storage, uint64_t offset, uint64_t length) {
  if (!inside(storage, offset, length)) return false;
  if (!storage->is_device) {
    if (offset != storage->blank_to && !settle(storage)) return false;
    if (storage->blank_from == storage->blank_to) storage->blank_from = offset;
    storage->blank_to = offset + length;
    return true;
  }
  struct erase_info_user64 range = {offset, length};
  return ioctl(storage->file, MEMERASE64, &range) == 0;
}

bool flash_is_erased(flash_storage *storage, uint64_t offset, uint64_t length, bool *erased) {
  uint8_t bytes[PIECE_BYTES], blank[PIECE_BYTES];
  if (!inside(storage, offset, length)) return false;
  *erased = true;
  if (is_blank(storage, offset, length)) return true;
  if (!settle_for(storage, offset, length)) return false;
  memset(blank, storage->erase_value, sizeof blank);
  while (*erased && length > 0) {
    size_t piece = length < sizeof bytes ? (size_t)length : sizeof bytes;
    if (!read_all(storage->file, offset, bytes, piece)) return false;
    *erased = memcmp(bytes, blank, piece) == 0;
    offset += piece;
    length -= piece;
  }
  return true;
}

bool flash_sync(flash_storage *storage) {
  /* An MTD device writes through: the driver returns when the part has finished. */
  return storage->is_device || (settle(storage) && fdatasync(storage->file) == 0);
}

void flash_close(flash_storage *storage) {
  settle(storage);
  close(storage->file);
  free(storage);
}
