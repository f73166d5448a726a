/* The vehicle around a Primary: a file for who watches, a program that consents, a medium. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../engine/platform.h"

enum { MAX_PATH_BYTES = 4096, LOOK_MILLISECONDS = 5 };

bool platform_replace_file(const char *path, const char *bytes, size_t length) {
  char temporary[MAX_PATH_BYTES];
  if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary) return false;
  int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return false;
  for (size_t done = 0; done < length;) {
    ssize_t count = write(file, bytes + done, length - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += (size_t)count;
    if (done == length) return close(file) == 0 && rename(temporary, path) == 0;
  }
  close(file);
  unlink(temporary);
  return false;
}

_Noreturn static void become(const char *program, int input) {
  int nothing = open("/dev/null", O_RDWR);
  dup2(input, 0), dup2(nothing, 1), dup2(nothing, 2);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  execl(program, program, (char *)NULL);
  _exit(127);
}

/* Writes while the program reads; one that does not want to know is no failure. */
static void feed(int pipe_end, const char *bytes, size_t length, uint64_t deadline) {
  for (uint64_t now; length > 0 && (now = platform_monotonic()) < deadline;) {
    ssize_t count = write(pipe_end, bytes, length);
    if (count > 0) {
      bytes += count;
      length -= (size_t)count;
    } else if (errno == EAGAIN) {
      struct pollfd wait = {.fd = pipe_end, .events = POLLOUT};
      poll(&wait, 1, (int)(deadline - now));
    } else if (errno != EINTR) {
      return;
    }
  }
}

int platform_ask(const char *program, const char *input, size_t length, uint64_t milliseconds) {
  int ends[2], status;
  uint64_t deadline = platform_monotonic() + milliseconds;
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  pid_t child = fork();
  if (child == 0) become(program, ends[0]);
  close(ends[0]);
  if (child > 0) feed(ends[1], input, length, deadline);
  close(ends[1]);
  if (child < 0) return -1;
  pid_t ended;
  while ((ended = waitpid(child, &status, WNOHANG)) == 0 && platform_monotonic() < deadline) {
    poll(NULL, 0, LOOK_MILLISECONDS);
  }
  if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return -1;
}

/* The medium is a folder; what a symbolic link on it names is none of it. */
static int open_on_medium(const char *folder, const char *name) {
  char path[MAX_PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return -1;
  return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

int64_t medium_length(const char *folder, const char *name) {
  struct stat status;
  int file = open_on_medium(folder, name);
  if (file < 0) return -1;
  int64_t length = fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : -1;
  close(file);
  return length;
}

bool medium_read(const char *folder, const char *name, uint64_t offset, uint8_t *bytes,
                 size_t length) {
  int file = open_on_medium(folder, name);
  if (file < 0) return false;
  while (length > 0) {
    ssize_t count = pread(file, bytes, length, (off_t)offset);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    bytes += count;
    offset += (uint64_t)count;
    length -= (size_t)count;
  }
  close(file);
  return length == 0;
}
