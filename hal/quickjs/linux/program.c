/*
 * The files of an ECU's own program: looked at, replaced as a whole, started in place of the one that
 * runs. A file that is being written has another name until every byte of it is durable.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../engine/platform.h"

enum { PIECE_BYTES = 4096, MAX_PATH_BYTES = 4096 };

struct program_file {
  int file;
  char path[MAX_PATH_BYTES];
  char temporary[MAX_PATH_BYTES];
};

bool program_read(const char *path, uint64_t length,
                  void (*piece)(void *opaque, const uint8_t *bytes, size_t length), void *opaque) {
  uint8_t bytes[PIECE_BYTES];
  struct stat status;
  int file = open(path == NULL ? "/proc/self/exe" : path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  bool whole = fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
               (uint64_t)status.st_size == length;
  while (whole && length > 0) {
    ssize_t count = read(file, bytes, length < sizeof bytes ? (size_t)length : sizeof bytes);
    if (count < 0 && errno == EINTR) continue;
    whole = count > 0;
    if (!whole) break;
    piece(opaque, bytes, (size_t)count);
    length -= (uint64_t)count;
  }
  close(file);
  return whole;
}

/* The folder that the path lies in, made when it is missing: -1 when that fails. */
static int open_folder(const char *path) {
  char folder[MAX_PATH_BYTES];
  snprintf(folder, sizeof folder, "%s", path);
  char *end = strrchr(folder, '/');
  if (end == NULL || end == folder) return -1;
  *end = '\0';
  if (mkdir(folder, 0700) < 0 && errno != EEXIST) return -1;
  return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

program_file *program_create(const char *path) {
  program_file *program = malloc(sizeof *program);
  if (program == NULL) return NULL;
  int folder = open_folder(path);
  size_t room = sizeof program->path;
  program->file = -1;
  if (folder >= 0 && snprintf(program->path, room, "%s", path) < (int)room &&
      snprintf(program->temporary, room, "%s.new", path) < (int)room) {
    program->file =
        open(program->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0700);
  }
  if (folder >= 0) close(folder);
  if (program->file >= 0) return program;
  free(program);
  return NULL;
}

bool program_append(program_file *program, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = write(program->file, bytes, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes += count;
    length -= (size_t)count;
  }
  return true;
}

bool program_close(program_file *program, bool keep) {
  keep = keep && fsync(program->file) == 0;
  /* Closed before it is started: the kernel runs no file that is open for writing. */
  keep = close(program->file) == 0 && keep;
  keep = keep && rename(program->temporary, program->path) == 0;
  if (!keep) unlink(program->temporary);
  int folder = keep ? open_folder(program->path) : -1;
  if (folder >= 0) {
    keep = fsync(folder) == 0;
    close(folder);
  } else {
    keep = false;
  }
  free(program);
  return keep;
}

void program_start(const char *path, char *const *words) {
  fflush(stdout);
  fflush(stderr);
  execv(path, words);
}
