/* Tells the service manager that started this program how it is (sd_notify(3)). */
#include "service-manager.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

bool service_notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path == NULL || (path[0] != '/' && path[0] != '@')) return false;
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, length);
  /* A name in the abstract namespace begins with a zero and has no zero at its end. */
  if (path[0] == '@') address.sun_path[0] = '\0';
  int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (file < 0) return false;
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
  bool sent = sendto(file, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
                     size) >= 0;
  close(file);
  return sent;
}
