/* Non-blocking connections to addresses. The result is a descriptor, or -1 with a problem. */
#ifndef OTA_SOCKET_ADDRESS_H
#define OTA_SOCKET_ADDRESS_H

#include <stdint.h>

/* `unix:PATH` or `tcp:[HOST:]PORT`; without a host, this machine. */
int socket_connect_address(const char *address, const char **problem);
/* Host names are resolved before, which blocks; vehicles use addresses or a local resolver. */
int socket_connect_host(const char *host, uint16_t port, const char **problem);

#endif
