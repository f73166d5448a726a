/* Process, log, randomness, watchdog and commands of the Linux platform. */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <linux/watchdog.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../engine/platform.h"
#include "service-manager.h"

enum { MAX_TEXT_BYTES = 1 << 20 };

const char *events_start(void);

static int watchdog_file = -1;
static const size_t *heap_peak;

static void stop_signal(int number) {
  (void)number;
  platform_exit(0);
}

const char *platform_start(const size_t *peak) {
  heap_peak = peak;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, stop_signal);
  setvbuf(stdout, NULL, _IOLBF, 1024);
  uint8_t probe[1];
  /* Keys, nonces and session ids rest on it: without entropy this ECU does not start. */
  if (!platform_random(probe, sizeof probe)) {
    return "no-entropy detail=the kernel's generator gives no bytes";
  }
  return events_start();
}

void *platform_heap(size_t bytes) {
  const uint64_t limit = (uint64_t)1 << 32;
  /* The kernel takes the address that it is asked for where nothing lies; the program lies lowest. */
  for (uint64_t address = 1 << 28; address + bytes <= limit; address += 1 << 28) {
    void *region = mmap((void *)(uintptr_t)address, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) return NULL;
    if ((uint64_t)(uintptr_t)region + bytes <= limit) return region;
    munmap(region, bytes);
  }
  return NULL;
}

void platform_log(const char *line, size_t length) {
  fwrite(line, 1, length, stdout);
  fputc('\n', stdout);
}

/* The largest resident set since exec; getrusage would count that of the parent before it, too. */
static long peak_kibibytes(void) {
  char line[128];
  long peak = 0;
  FILE *status = fopen("/proc/self/status", "re");
  while (status != NULL && fgets(line, sizeof line, status) != NULL) {
    if (sscanf(line, "VmHWM: %ld kB", &peak) == 1) break;
  }
  if (status != NULL) fclose(status);
  return peak;
}

void platform_exit(int status) {
  printf("peak-rss bytes=%lld heap=%zu\n", (long long)peak_kibibytes() * 1024, *heap_peak);
  fflush(stdout);
  _exit(status);
}

void platform_reboot(const char *argument) {
  if (getpid() != 1 && getenv("OTA_REBOOT_MACHINE") == NULL) {
    if (argument != NULL) printf("restart argument=%s\n", argument);
    platform_exit(status_reboot);
  }
  sync();
  if (argument != NULL) {
    /* The C library's reboot() takes no argument. */
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART2, argument);
  }
  reboot(RB_AUTOBOOT);
  platform_exit(status_reboot);
}

bool platform_random(uint8_t *out, size_t length) {
  while (length > 0) {
    ssize_t count = getrandom(out, length, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    out += count;
    length -= (size_t)count;
  }
  return true;
}

/* OTA_WATCHDOG: the path of a watchdog device, or `notify` for that of the service manager. */
bool platform_watchdog(unsigned seconds) {
  const char *device = getenv("OTA_WATCHDOG");
  if (device == NULL) return false;
  if (strcmp(device, "notify") == 0) {
    char state[64];
    snprintf(state, sizeof state, "WATCHDOG_USEC=%llu\nWATCHDOG=1", seconds * 1000000ULL);
    return service_notify(state);
  }
  if (seconds == 0) {
    /* The magic character disarms it; closing alone would not. */
    bool stopped = watchdog_file >= 0 && write(watchdog_file, "V", 1) == 1;
    if (watchdog_file >= 0) close(watchdog_file);
    watchdog_file = -1;
    return stopped;
  }
  if (watchdog_file < 0) {
    int timeout = (int)seconds;
    watchdog_file = open(device, O_WRONLY | O_CLOEXEC);
    if (watchdog_file < 0) return false;
    ioctl(watchdog_file, WDIOC_SETTIMEOUT, &timeout);
  }
  return write(watchdog_file, ".", 1) == 1;
}

char *platform_read_text(const char *path, size_t *length, const char **problem) {
  static char message[256];
  int file = open(path, O_RDONLY | O_CLOEXEC);
  char *text = file < 0 ? NULL : malloc(MAX_TEXT_BYTES);
  *length = 0;
  while (text != NULL && *length < MAX_TEXT_BYTES) {
    ssize_t count = read(file, text + *length, MAX_TEXT_BYTES - *length);
    if (count == 0) break;
    if (count > 0) {
      *length += (size_t)count;
    } else if (errno != EINTR) {
      free(text);
      text = NULL;
    }
  }
  if (text == NULL) {
    snprintf(message, sizeof message, "%s: %s", path, strerror(errno));
    *problem = message;
  } else {
    char *fitted = realloc(text, *length + 1);
    if (fitted != NULL) text = fitted;
  }
  if (file >= 0) close(file);
  return text;
}

int platform_command(const char *program, const char *first, const char *second) {
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, 0), dup2(nothing, 1), dup2(nothing, 2);
    execl(program, program, first, second, (char *)NULL);
    _exit(127);
  }
  int status;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
