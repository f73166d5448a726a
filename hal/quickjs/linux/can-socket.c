/* A CAN interface of the kernel (SocketCAN), classic and FD. */
#include <errno.h>
#include <fcntl.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "can-backend.h"

enum { FRAMES_AT_ONCE = 16 };

typedef struct {
  can_port port;
  bool full;
} socket_port;

static void receive(can_port *port) {
  struct canfd_frame raw;
  while (port->count < RING_FRAMES) {
    ssize_t count = read(port->watch.file, &raw, sizeof raw);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      if (errno != EAGAIN) can_fail(port, strerror(errno));
      return;
    }
    if (count != CAN_MTU && count != CANFD_MTU) continue;
    if (raw.can_id & (CAN_RTR_FLAG | CAN_ERR_FLAG)) continue;
    can_frame_data frame = {.extended = (raw.can_id & CAN_EFF_FLAG) != 0,
                            .flexible_data = count == CANFD_MTU,
                            .length = raw.len};
    frame.identifier = raw.can_id & (frame.extended ? CAN_EFF_MASK : CAN_SFF_MASK);
    frame.bit_rate_switch = frame.flexible_data && (raw.flags & CANFD_BRS) != 0;
    if (frame.length > (frame.flexible_data ? CANFD_MAX_DLEN : CAN_MAX_DLEN)) continue;
    memcpy(frame.data, raw.data, frame.length);
    can_received(port, &frame);
  }
  can_stall(port);
}

/* The interface's queue has room again. */
static void send_out(can_port *port) {
  ((socket_port *)port)->full = false;
  watch_want(&port->watch, port->watch.wanted & ~(uint32_t)EVENT_WRITE);
}

static int writable(can_port *port) { return ((socket_port *)port)->full ? 0 : FRAMES_AT_ONCE; }

static bool write_frame(can_port *port, const can_frame_data *frame) {
  struct canfd_frame raw = {.can_id = frame->identifier | (frame->extended ? CAN_EFF_FLAG : 0),
                            .len = frame->length,
                            .flags = frame->bit_rate_switch ? CANFD_BRS : 0};
  memcpy(raw.data, frame->data, frame->length);
  ssize_t size = frame->flexible_data ? CANFD_MTU : CAN_MTU;
  for (;;) {
    if (write(port->watch.file, &raw, (size_t)size) == size) return true;
    if (errno == EINTR) continue;
    /* ENOBUFS: the queue is full and poll does not know it; the frame is tried again later. */
    if (errno == EAGAIN || errno == ENOBUFS) ((socket_port *)port)->full = true;
    else can_fail(port, strerror(errno));
    return false;
  }
}

static const can_backend backend = {receive, send_out, writable, write_frame};

can_port *can_socket_open(const char *interface, const char **problem) {
  static char message[160];
  int flexible_data = 1;
  struct sockaddr_can address = {.can_family = AF_CAN};
  int file = socket(PF_CAN, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, CAN_RAW);
  address.can_ifindex = (int)if_nametoindex(interface);
  if (file < 0 || address.can_ifindex == 0 ||
      bind(file, (struct sockaddr *)&address, sizeof address) < 0) {
    snprintf(message, sizeof message, "interface %s: %s", interface, strerror(errno));
    *problem = message;
    if (file >= 0) close(file);
    return NULL;
  }
  /* A classic-only interface refuses it, and then carries classic frames. */
  setsockopt(file, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &flexible_data, sizeof flexible_data);
  socket_port *made = calloc(1, sizeof *made);
  if (made == NULL) {
    close(file);
    *problem = "out of memory";
    return NULL;
  }
  made->port.watch.file = file;
  made->port.backend = &backend;
  return &made->port;
}
