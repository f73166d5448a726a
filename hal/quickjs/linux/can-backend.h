/* A CAN port: a ring of received frames over SocketCAN (can-socket.c) or a hub (can-hub.c). */
#ifndef OTA_CAN_BACKEND_H
#define OTA_CAN_BACKEND_H

#include "../engine/platform.h"
#include "events.h"

/* Frames that wait unread; a full ring stops reading, so that the bus slows down or drops. */
enum { RING_FRAMES = 128, MAX_PORT_FILTERS = 64 };

struct can_port {
  watched_file watch;
  const struct can_backend *backend;
  can_events events;
  void *opaque;
  bool failed, closed;
  /* The owner was told that nothing can be written and waits for `writable`. */
  bool starved;
  uint32_t filters[MAX_PORT_FILTERS];
  size_t filter_count;
  bool filtered;
  unsigned head, count;
  /* Frames were left behind because the ring was full; a timer fetches them once there is room. */
  bool stalled;
  uint32_t resume_timer;
  can_frame_data ring[RING_FRAMES];
};

typedef struct can_backend {
  /* Takes frames from the descriptor into the ring by `can_received`. */
  void (*receive)(can_port *port);
  /* Sends what is buffered; keeps `port->watch` waiting for room while something is left. */
  void (*send)(can_port *port);
  int (*writable)(can_port *port);
  bool (*write)(can_port *port, const can_frame_data *frame);
} can_backend;

can_port *can_socket_open(const char *interface, const char **problem);
can_port *can_hub_open(const char *address, const char **problem);

/* Puts a frame into the ring when the filters pass it; false when the ring is full. */
bool can_received(can_port *port, const can_frame_data *frame);
/* The ring is full: nothing is received until the owner has read. */
void can_stall(can_port *port);
/* Ends the port with a message to the owner. */
void can_fail(can_port *port, const char *message);

#endif
