/* Runs a program; prints its wall, user and system seconds and its peak resident set in bytes. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval time) { return (double)time.tv_sec + time.tv_usec / 1e6; }

int main(int argc, char **argv) {
  struct timespec before, after;
  struct rusage usage;
  int status;
  if (argc < 2) return 2;
  clock_gettime(CLOCK_MONOTONIC, &before);
  pid_t child = fork();
  if (child == 0) {
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  if (child < 0 || wait4(child, &status, 0, &usage) < 0) return 2;
  clock_gettime(CLOCK_MONOTONIC, &after);
  double wall = (double)(after.tv_sec - before.tv_sec) + (after.tv_nsec - before.tv_nsec) / 1e9;
  fprintf(stderr, "measured wall=%.6f user=%.6f system=%.6f rss=%lld\n", wall,
          seconds(usage.ru_utime), seconds(usage.ru_stime), (long long)usage.ru_maxrss * 1024);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
