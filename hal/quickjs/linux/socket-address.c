/* Addresses of hubs and servers. */
#include "socket-address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char message[320];

static int fail(const char *what, const char *why, const char **problem) {
  snprintf(message, sizeof message, "%s: %s", what, why);
  *problem = message;
  return -1;
}

static int begin_connect(int family, const struct sockaddr *address, socklen_t length) {
  int file = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (file < 0) return -1;
  if (connect(file, address, length) == 0 || errno == EINPROGRESS) return file;
  close(file);
  return -1;
}

int socket_connect_host(const char *host, uint16_t port, const char **problem) {
  char service[8];
  struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM};
  snprintf(service, sizeof service, "%u", port);
  int error = getaddrinfo(host, service, &hints, &found);
  if (error != 0) return fail(host, gai_strerror(error), problem);
  int file = begin_connect(found->ai_family, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  if (file < 0) return fail(host, strerror(errno), problem);
  int on = 1;
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return file;
}

static int connect_unix(const char *path, const char **problem) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return fail(path, "too long", problem);
  strcpy(address.sun_path, path);
  int file = begin_connect(AF_UNIX, (struct sockaddr *)&address, sizeof address);
  return file < 0 ? fail(path, strerror(errno), problem) : file;
}

int socket_connect_address(const char *address, const char **problem) {
  if (strncmp(address, "unix:", 5) == 0) return connect_unix(address + 5, problem);
  if (strncmp(address, "tcp:", 4) != 0) return fail(address, "no address of a bus", problem);
  char host[256] = "127.0.0.1";
  const char *rest = address + 4;
  const char *colon = strrchr(rest, ':');
  const char *port = colon == NULL ? rest : colon + 1;
  if (colon != NULL) {
    size_t length = (size_t)(colon - rest);
    if (length == 0 || length >= sizeof host) return fail(address, "no host", problem);
    memcpy(host, rest, length);
    host[length] = '\0';
  }
  char *end;
  unsigned long number = strtoul(port, &end, 10);
  if (*port == '\0' || *end != '\0' || number == 0 || number > 65535) {
    return fail(address, "no port", problem);
  }
  return socket_connect_host(host, (uint16_t)number, problem);
}
