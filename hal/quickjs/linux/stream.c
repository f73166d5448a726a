/* Plain TCP connections. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../engine/platform.h"
#include "events.h"
#include "socket-address.h"

struct stream {
  watched_file watch;
  stream_events events;
  void *opaque;
  bool connected, starved, ended, closed;
};

static void fail(stream *connection, int error) {
  connection->ended = true;
  watch_want(&connection->watch, 0);
  connection->events.error(connection->opaque, strerror(error));
}

static void ready(watched_file *watch, uint32_t events) {
  stream *connection = (stream *)watch;
  if (!connection->connected && (events & EVENT_WRITE)) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(watch->file, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      fail(connection, error);
      return;
    }
    connection->connected = true;
    watch_want(watch, EVENT_READ);
    connection->events.connected(connection->opaque);
  } else if (connection->starved && (events & EVENT_WRITE)) {
    connection->starved = false;
    watch_want(watch, watch->wanted & ~(uint32_t)EVENT_WRITE);
    connection->events.writable(connection->opaque);
  }
  if (connection->closed || connection->ended || !(events & EVENT_READ)) return;
  uint8_t first;
  ssize_t count = recv(watch->file, &first, 1, MSG_PEEK);
  if (count > 0) {
    /* Until the owner reads, the kernel's buffer fills and TCP slows the peer down. */
    watch_want(watch, watch->wanted & ~(uint32_t)EVENT_READ);
    connection->events.readable(connection->opaque);
  } else if (count == 0) {
    connection->ended = true;
    watch_want(watch, 0);
    connection->events.ended(connection->opaque);
  } else if (errno != EAGAIN && errno != EINTR) {
    fail(connection, errno);
  }
}

stream *stream_connect(const char *host, uint16_t port, const stream_events *events, void *opaque,
                       const char **problem) {
  int file = socket_connect_host(host, port, problem);
  if (file < 0) return NULL;
  stream *connection = calloc(1, sizeof *connection);
  if (connection != NULL) {
    connection->watch.file = file;
    connection->watch.ready = ready;
    connection->events = *events;
    connection->opaque = opaque;
    if (watch_start(&connection->watch, EVENT_READ | EVENT_WRITE)) return connection;
  }
  *problem = "out of memory";
  free(connection);
  close(file);
  return NULL;
}

size_t stream_read(stream *connection, uint8_t *bytes, size_t length) {
  if (connection->closed || length == 0) return 0;
  ssize_t count = recv(connection->watch.file, bytes, length, 0);
  /* The end and errors are told by the next event. */
  if (!connection->ended) watch_want(&connection->watch, connection->watch.wanted | EVENT_READ);
  return count > 0 ? (size_t)count : 0;
}

size_t stream_write(stream *connection, const uint8_t *bytes, size_t length) {
  if (connection->closed || connection->ended || !connection->connected) return 0;
  ssize_t count = send(connection->watch.file, bytes, length, MSG_NOSIGNAL);
  size_t sent = count > 0 ? (size_t)count : 0;
  if (sent < length) {
    connection->starved = true;
    watch_want(&connection->watch, connection->watch.wanted | EVENT_WRITE);
  }
  return sent;
}

static void release(watched_file *watch) { free(watch); }

void stream_close(stream *connection) {
  if (connection->closed) return;
  connection->closed = true;
  watch_stop(&connection->watch, release);
  close(connection->watch.file);
}
