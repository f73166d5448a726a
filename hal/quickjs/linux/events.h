/* The event loop of the Linux platform: file descriptors and timers over epoll. */
#ifndef OTA_EVENTS_H
#define OTA_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

/* What a descriptor waits for, and what was found. */
enum { EVENT_READ = 1, EVENT_WRITE = 4 };

/* A descriptor that is watched; embedded in what owns it. */
typedef struct watched_file {
  int file;
  uint32_t wanted;
  void (*ready)(struct watched_file *watch, uint32_t events);
  /* Set by `watch_stop`: events of the same turn that came too late are dropped. */
  bool stopped;
} watched_file;

/* Begins watching `watch->file`; false when the kernel refuses. */
bool watch_start(watched_file *watch, uint32_t wanted);
/* Changes what is waited for. */
void watch_want(watched_file *watch, uint32_t wanted);
/* Ends watching; `release` is called with the watch once no event can name it any more. */
void watch_stop(watched_file *watch, void (*release)(struct watched_file *watch));

#endif
