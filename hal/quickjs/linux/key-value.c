/*
 * Small durable values as files of one folder. A write goes to a temporary file, is synchronised,
 * renamed over the old one, and the folder is synchronised: after a power cut the old or the new
 * value is there, whole (docs/SPEC.md §6).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../engine/platform.h"

enum { MAX_NAME_BYTES = 255, MAX_VALUE_BYTES = 1 << 24 };
static const char value_suffix[] = ".value";
static const char temporary_suffix[] = ".new";

struct key_value {
  int folder;
};

static bool ends_with(const char *name, const char *suffix) {
  size_t length = strlen(name), end = strlen(suffix);
  return length > end && strcmp(name + length - end, suffix) == 0;
}

/* Writes that a power cut ended left these behind. */
static void remove_leftovers(int folder) {
  int copy = dup(folder);
  DIR *list = copy < 0 ? NULL : fdopendir(copy);
  if (list == NULL) return;
  for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
    if (ends_with(entry->d_name, temporary_suffix)) unlinkat(folder, entry->d_name, 0);
  }
  closedir(list);
}

key_value *key_value_open(const char *folder, const char **problem) {
  static char message[320];
  if (mkdir(folder, 0700) < 0 && errno != EEXIST) {
    snprintf(message, sizeof message, "%s: %s", folder, strerror(errno));
    *problem = message;
    return NULL;
  }
  int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  key_value *store = file < 0 ? NULL : malloc(sizeof *store);
  if (store == NULL) {
    snprintf(message, sizeof message, "%s: %s", folder, strerror(errno));
    *problem = message;
    if (file >= 0) close(file);
    return NULL;
  }
  store->folder = file;
  remove_leftovers(file);
  return store;
}

static bool with_suffix(char out[MAX_NAME_BYTES + 1], const char *name, const char *suffix) {
  return snprintf(out, MAX_NAME_BYTES + 1, "%s%s", name, suffix) <= MAX_NAME_BYTES;
}

uint8_t *key_value_read(key_value *store, const char *name, size_t *length, bool *missing) {
  char file_name[MAX_NAME_BYTES + 1];
  struct stat status;
  *missing = false;
  if (!with_suffix(file_name, name, value_suffix)) return NULL;
  int file = openat(store->folder, file_name, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    *missing = errno == ENOENT;
    return NULL;
  }
  uint8_t *bytes = NULL;
  if (fstat(file, &status) == 0 && status.st_size <= MAX_VALUE_BYTES) {
    *length = (size_t)status.st_size;
    bytes = malloc(*length + 1);
  }
  for (size_t done = 0; bytes != NULL && done < *length;) {
    ssize_t count = read(file, bytes + done, *length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      free(bytes);
      bytes = NULL;
    } else {
      done += (size_t)count;
    }
  }
  close(file);
  return bytes;
}

bool key_value_write(key_value *store, const char *name, const uint8_t *bytes, size_t length) {
  char file_name[MAX_NAME_BYTES + 1], temporary[MAX_NAME_BYTES + 1];
  if (!with_suffix(file_name, name, value_suffix) ||
      !with_suffix(temporary, name, temporary_suffix)) {
    return false;
  }
  int file = openat(store->folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return false;
  bool written = true;
  for (size_t done = 0; written && done < length;) {
    ssize_t count = write(file, bytes + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    written = count > 0;
    if (written) done += (size_t)count;
  }
  written = written && fsync(file) == 0;
  written = close(file) == 0 && written;
  if (!written) {
    unlinkat(store->folder, temporary, 0);
    return false;
  }
  return renameat(store->folder, temporary, store->folder, file_name) == 0 &&
         fsync(store->folder) == 0;
}

bool key_value_delete(key_value *store, const char *name) {
  char file_name[MAX_NAME_BYTES + 1];
  if (!with_suffix(file_name, name, value_suffix)) return false;
  if (unlinkat(store->folder, file_name, 0) < 0 && errno != ENOENT) return false;
  return fsync(store->folder) == 0;
}
