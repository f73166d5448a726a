/* Timers and descriptors; one turn delivers the events that epoll has, then the timers due. */
#include "events.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "../engine/platform.h"
#include "service-manager.h"

enum { EVENTS_A_TURN = 16 };

typedef struct timer {
  struct timer *next;
  uint64_t due;
  uint32_t number;
  void (*callback)(void *);
  void *opaque;
} timer;

static int poll_file = -1;
static int watched;
/* Sorted by `due`; of equal ones the older comes first. */
static timer *timers;
static uint32_t last_number;
static struct timespec start;

typedef struct released {
  struct released *next;
  watched_file *watch;
  void (*release)(watched_file *);
} released;
static released *to_release;

const char *events_start(void) {
  clock_gettime(CLOCK_MONOTONIC, &start);
  poll_file = epoll_create1(EPOLL_CLOEXEC);
  return poll_file < 0 ? "internal-error detail=the kernel has no epoll" : NULL;
}

uint64_t platform_monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000);
}

uint32_t platform_after(uint64_t milliseconds, void (*callback)(void *), void *opaque) {
  timer *added = malloc(sizeof *added);
  if (added == NULL) return 0;
  if (++last_number == 0) last_number = 1;
  *added = (timer){NULL, platform_monotonic() + milliseconds, last_number, callback, opaque};
  timer **place = &timers;
  while (*place != NULL && (*place)->due <= added->due) place = &(*place)->next;
  added->next = *place;
  *place = added;
  return added->number;
}

void *platform_cancel(uint32_t number) {
  for (timer **place = &timers; *place != NULL; place = &(*place)->next) {
    timer *found = *place;
    if (found->number != number) continue;
    void *opaque = found->opaque;
    *place = found->next;
    free(found);
    return opaque;
  }
  return NULL;
}

static uint32_t epoll_bits(uint32_t wanted) {
  return ((wanted & EVENT_READ) ? EPOLLIN : 0u) | ((wanted & EVENT_WRITE) ? EPOLLOUT : 0u);
}

bool watch_start(watched_file *watch, uint32_t wanted) {
  struct epoll_event event = {.events = epoll_bits(wanted), .data.ptr = watch};
  watch->wanted = wanted;
  watch->stopped = false;
  if (epoll_ctl(poll_file, EPOLL_CTL_ADD, watch->file, &event) < 0) return false;
  watched++;
  return true;
}

void watch_want(watched_file *watch, uint32_t wanted) {
  if (watch->stopped || watch->wanted == wanted) return;
  struct epoll_event event = {.events = epoll_bits(wanted), .data.ptr = watch};
  watch->wanted = wanted;
  epoll_ctl(poll_file, EPOLL_CTL_MOD, watch->file, &event);
}

void watch_stop(watched_file *watch, void (*release)(struct watched_file *watch)) {
  if (watch->stopped) return;
  watch->stopped = true;
  epoll_ctl(poll_file, EPOLL_CTL_DEL, watch->file, NULL);
  watched--;
  released *entry = malloc(sizeof *entry);
  /* Without memory for the note the watch leaks, which is better than freeing it too early. */
  if (entry == NULL) return;
  *entry = (released){to_release, watch, release};
  to_release = entry;
}

static void release_stopped(void) {
  while (to_release != NULL) {
    released *entry = to_release;
    to_release = entry->next;
    entry->release(entry->watch);
    free(entry);
  }
}

static void run_timers(void) {
  uint64_t now = platform_monotonic();
  while (timers != NULL && timers->due <= now) {
    timer *due = timers;
    timers = due->next;
    due->callback(due->opaque);
    free(due);
  }
}

static int milliseconds_to_next_timer(void) {
  if (timers == NULL) return -1;
  uint64_t now = platform_monotonic();
  if (timers->due <= now) return 0;
  uint64_t wait = timers->due - now;
  return wait > 60000 ? 60000 : (int)wait;
}

void platform_run(void) {
  service_notify("READY=1");
  struct epoll_event found[EVENTS_A_TURN];
  while (watched > 0 || timers != NULL) {
    int count = epoll_wait(poll_file, found, EVENTS_A_TURN, milliseconds_to_next_timer());
    if (count < 0 && errno != EINTR) break;
    for (int i = 0; i < count; i++) {
      watched_file *watch = found[i].data.ptr;
      if (watch->stopped) continue;
      uint32_t events = found[i].events;
      /* A broken connection is found by reading or writing. */
      if (events & (EPOLLERR | EPOLLHUP)) events |= epoll_bits(watch->wanted);
      uint32_t ready = ((events & EPOLLIN) ? EVENT_READ : 0u) | ((events & EPOLLOUT) ? EVENT_WRITE : 0u);
      watch->ready(watch, ready);
    }
    run_timers();
    release_stopped();
  }
}
