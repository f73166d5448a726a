/* CAN ports: addresses, the ring of received frames, and when the owner is told. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "can-backend.h"

void can_stall(can_port *port) {
  port->stalled = true;
  watch_want(&port->watch, port->watch.wanted & ~(uint32_t)EVENT_READ);
}

bool can_received(can_port *port, const can_frame_data *frame) {
  bool wanted = !port->filtered;
  for (size_t i = 0; !wanted && i < port->filter_count; i++) {
    wanted = port->filters[i] == frame->identifier;
  }
  if (!wanted) return true;
  if (port->count == RING_FRAMES) return false;
  port->ring[(port->head + port->count++) % RING_FRAMES] = *frame;
  return true;
}

static void release(watched_file *watch) { free(watch); }

void can_fail(can_port *port, const char *message) {
  if (port->failed || port->closed) return;
  port->failed = true;
  watch_want(&port->watch, 0);
  port->events.error(port->opaque, message);
}

static void ready(watched_file *watch, uint32_t events) {
  can_port *port = (can_port *)watch;
  if (events & EVENT_WRITE) port->backend->send(port);
  if (port->closed || port->failed) return;
  if (events & EVENT_READ) port->backend->receive(port);
  if (port->closed || port->failed) return;
  if (port->count > 0) port->events.readable(port->opaque, (int)port->count);
  if (port->closed || port->failed || !port->starved) return;
  int count = port->backend->writable(port);
  if (count == 0) return;
  port->starved = false;
  port->events.writable(port->opaque, count);
}

/* The ring has room again: what the backend holds comes now, not with the next bytes from the bus. */
static void resume(void *opaque) {
  can_port *port = opaque;
  port->resume_timer = 0;
  port->stalled = false;
  watch_want(&port->watch, port->watch.wanted | EVENT_READ);
  ready(&port->watch, EVENT_READ);
}

can_port *can_open(const char *address, const uint32_t *filters, size_t filter_count,
                   const can_events *events, void *opaque, const char **problem) {
  can_port *port = strncmp(address, "can:", 4) == 0 ? can_socket_open(address + 4, problem)
                                                    : can_hub_open(address, problem);
  if (port == NULL) return NULL;
  port->events = *events;
  port->opaque = opaque;
  port->filtered = filters != NULL;
  port->filter_count = filter_count < MAX_PORT_FILTERS ? filter_count : MAX_PORT_FILTERS;
  if (filters != NULL) memcpy(port->filters, filters, port->filter_count * sizeof *filters);
  port->watch.ready = ready;
  if (watch_start(&port->watch, EVENT_READ | EVENT_WRITE)) return port;
  *problem = "cannot be watched";
  close(port->watch.file);
  free(port);
  return NULL;
}

bool can_read(can_port *port, can_frame_data *frame) {
  if (port->count == 0) return false;
  *frame = port->ring[port->head];
  port->head = (port->head + 1) % RING_FRAMES;
  port->count--;
  if (port->stalled && port->count < RING_FRAMES / 2 && port->resume_timer == 0) {
    port->resume_timer = platform_after(0, resume, port);
  }
  return true;
}

int can_writable(can_port *port) {
  int count = port->failed ? 0 : port->backend->writable(port);
  if (count == 0) {
    port->starved = true;
    watch_want(&port->watch, port->watch.wanted | EVENT_WRITE);
  }
  return count;
}

bool can_write(can_port *port, const can_frame_data *frame) {
  if (port->failed || port->backend->writable(port) == 0) return false;
  if (!port->backend->write(port, frame)) return false;
  watch_want(&port->watch, port->watch.wanted | EVENT_WRITE);
  return true;
}

void can_close(can_port *port) {
  if (port->closed) return;
  if (!port->failed) port->backend->send(port);
  port->closed = true;
  platform_cancel(port->resume_timer);
  watch_stop(&port->watch, release);
  close(port->watch.file);
}
