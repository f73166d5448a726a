/*
 * An emulated bus: a stream to its hub in cannelloni's format (hal/emulated/cannelloni.ts). Both
 * sides greet with `CANNELLONIv1`; a frame is can_id (32 bits, big-endian, with SocketCAN's flag
 * bits), length (bit 7: FD), one byte of FD flags if FD, data.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "can-backend.h"
#include "socket-address.h"

static const char greeting[12] = "CANNELLONIv1";
enum { MAX_FRAME_BYTES = 70, OUT_BYTES = 64 * MAX_FRAME_BYTES, IN_BYTES = 4096 };
enum { EXTENDED_FLAG = 0x80, REMOTE_FLAG = 0x40, ERROR_FLAG = 0x20, FLEXIBLE_DATA_BIT = 0x80 };
enum { BIT_RATE_SWITCH_FLAG = 1, KNOWN_FLAGS = 7 };

typedef struct {
  can_port port;
  bool greeted, connected;
  size_t in_length, out_length;
  uint8_t in[IN_BYTES], out[OUT_BYTES];
} hub_port;

static bool flexible_data_length(unsigned length) {
  return length <= 8 || length == 12 || length == 16 || length == 20 || length == 24 ||
         length == 32 || length == 48 || length == 64;
}

/* Bytes of the frame at `bytes`, 0 when more are needed, -1 when none starts here. */
static int scan(const uint8_t *bytes, size_t available, can_frame_data *frame, bool *message) {
  if (available < 5) return 0;
  unsigned flags = bytes[0] & 0xe0, length = bytes[4];
  frame->identifier = ((uint32_t)(bytes[0] & 0x1f) << 24) | ((uint32_t)bytes[1] << 16) |
                      ((uint32_t)bytes[2] << 8) | bytes[3];
  frame->extended = (flags & EXTENDED_FLAG) != 0;
  frame->flexible_data = (length & FLEXIBLE_DATA_BIT) != 0;
  if (!(flags & (EXTENDED_FLAG | ERROR_FLAG)) && frame->identifier > 0x7ff) return -1;
  size_t header = 5;
  length &= 0x7f;
  frame->bit_rate_switch = false;
  if (frame->flexible_data) {
    if (!flexible_data_length(length) || (flags & (REMOTE_FLAG | ERROR_FLAG))) return -1;
    if (available < 6) return 0;
    if (bytes[5] > KNOWN_FLAGS) return -1;
    frame->bit_rate_switch = (bytes[5] & BIT_RATE_SWITCH_FLAG) != 0;
    header = 6;
  } else if (length > 8) {
    return -1;
  }
  size_t data = (flags & REMOTE_FLAG) ? 0 : length;
  if (available < header + data) return 0;
  frame->length = (uint8_t)data;
  memcpy(frame->data, bytes + header, data);
  *message = !(flags & (REMOTE_FLAG | ERROR_FLAG));
  return (int)(header + data);
}

/* Takes whole frames out of the buffer; false when the ring is full or the hub sent no frame. */
static bool take_frames(hub_port *hub) {
  size_t done = 0;
  if (!hub->greeted) {
    if (hub->in_length < sizeof greeting) return true;
    if (memcmp(hub->in, greeting, sizeof greeting) != 0) {
      can_fail(&hub->port, "can-frame-malformed: no cannelloni handshake");
      return false;
    }
    hub->greeted = true;
    done = sizeof greeting;
  }
  bool room = true;
  for (;;) {
    can_frame_data frame;
    bool message;
    int size = scan(hub->in + done, hub->in_length - done, &frame, &message);
    if (size < 0) {
      can_fail(&hub->port, "can-frame-malformed: the hub sent no frame");
      return false;
    }
    if (size == 0) break;
    room = !message || can_received(&hub->port, &frame);
    if (!room) break;
    done += (size_t)size;
  }
  memmove(hub->in, hub->in + done, hub->in_length - done);
  hub->in_length -= done;
  return room;
}

static void receive(can_port *port) {
  hub_port *hub = (hub_port *)port;
  for (;;) {
    if (!take_frames(hub)) {
      if (!port->failed) can_stall(port);
      return;
    }
    ssize_t count = read(port->watch.file, hub->in + hub->in_length, IN_BYTES - hub->in_length);
    if (count > 0) {
      hub->in_length += (size_t)count;
    } else if (count == 0) {
      can_fail(port, "the CAN bus is gone");
      return;
    } else if (errno != EINTR) {
      if (errno != EAGAIN) can_fail(port, strerror(errno));
      return;
    }
  }
}

static void send_out(can_port *port) {
  hub_port *hub = (hub_port *)port;
  if (!hub->connected) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(port->watch.file, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      can_fail(port, strerror(error));
      return;
    }
    hub->connected = true;
  }
  while (hub->out_length > 0) {
    ssize_t count = write(port->watch.file, hub->out, hub->out_length);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) {
      can_fail(port, strerror(errno));
      return;
    }
    hub->out_length -= (size_t)count;
    memmove(hub->out, hub->out + count, hub->out_length);
  }
  watch_want(&port->watch, port->watch.wanted & ~(uint32_t)EVENT_WRITE);
}

static int writable(can_port *port) {
  hub_port *hub = (hub_port *)port;
  return hub->greeted ? (int)((OUT_BYTES - hub->out_length) / MAX_FRAME_BYTES) : 0;
}

static bool write_frame(can_port *port, const can_frame_data *frame) {
  hub_port *hub = (hub_port *)port;
  uint8_t *out = hub->out + hub->out_length;
  *out++ = (uint8_t)((frame->identifier >> 24) | (frame->extended ? EXTENDED_FLAG : 0));
  *out++ = (uint8_t)(frame->identifier >> 16);
  *out++ = (uint8_t)(frame->identifier >> 8);
  *out++ = (uint8_t)frame->identifier;
  *out++ = frame->flexible_data ? frame->length | FLEXIBLE_DATA_BIT : frame->length;
  if (frame->flexible_data) *out++ = frame->bit_rate_switch ? BIT_RATE_SWITCH_FLAG : 0;
  memcpy(out, frame->data, frame->length);
  hub->out_length = (size_t)(out + frame->length - hub->out);
  return true;
}

static const can_backend backend = {receive, send_out, writable, write_frame};

can_port *can_hub_open(const char *address, const char **problem) {
  int file = socket_connect_address(address, problem);
  if (file < 0) return NULL;
  hub_port *hub = calloc(1, sizeof *hub);
  if (hub == NULL) {
    close(file);
    *problem = "out of memory";
    return NULL;
  }
  hub->port.watch.file = file;
  hub->port.backend = &backend;
  memcpy(hub->out, greeting, sizeof greeting);
  hub->out_length = sizeof greeting;
  return &hub->port;
}
