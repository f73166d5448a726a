/* The service manager that started this program, if one did. */
#ifndef OTA_SERVICE_MANAGER_H
#define OTA_SERVICE_MANAGER_H

#include <stdbool.h>

/* Sends lines of NAME=VALUE (sd_notify(3)); false when no service manager listens. */
bool service_notify(const char *state);

#endif
