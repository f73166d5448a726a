/*
 * What the engine's side asks of the platform's: allocation, time, events, flash, key-value, CAN,
 * network, random, restart. A second platform is another folder that implements this header.
 *
 * Callbacks come from `platform_run` only, never from inside a call. Messages of failures are
 * static or live until the next call into the platform.
 */
#ifndef OTA_PLATFORM_H
#define OTA_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit statuses that whoever holds the power acts on. */
enum { status_bug = 1, status_usage = 2, status_nothing_to_run = 70, status_reboot = 75 };

/* -- Start, time and events ------------------------------------------------------------------- */

/* Prepares the platform; NULL, or what is missing: a code of agent/codes.ts and its detail.
 * `heap_peak`: bytes of the engine's heap at their largest so far, which `platform_exit` tells beside
 * the memory of the process. */
const char *platform_start(const size_t *heap_peak);
/* Delivers events and due timers until nothing is left to wait for or `platform_exit`. */
void platform_run(void);
_Noreturn void platform_exit(int status);
/* Restarts the machine, or this process when it is the ECU. The machine's loader is told `argument`,
 * unless that is NULL. */
_Noreturn void platform_reboot(const char *argument);
/* Zeroed memory that is kept until the end, below 4 GiB; NULL when there is none. Takes no pages before
 * they are written. */
void *platform_heap(size_t bytes);
/* One line for a person; a newline is added. */
void platform_log(const char *line, size_t length);
/* Milliseconds since start; never goes back. */
uint64_t platform_monotonic(void);
/* Calls back once after `milliseconds`; returns a number above 0 for
 * `platform_cancel`, which gives `opaque` back, or NULL for a timer that is over. 0: no memory. */
uint32_t platform_after(uint64_t milliseconds, void (*callback)(void *), void *opaque);
void *platform_cancel(uint32_t timer);
/* Random bytes from the operating system's generator; false when there are none. */
bool platform_random(uint8_t *out, size_t length);
/* Starts or feeds the watchdog: the machine restarts unless fed within `seconds`; 0 stops it. */
bool platform_watchdog(unsigned seconds);
/* The whole text of a file, to be freed; NULL with a message. */
char *platform_read_text(const char *path, size_t *length, const char **problem);
/* Runs a program with two arguments and waits; its exit status, or -1. */
int platform_command(const char *program, const char *first, const char *second);

/* -- The vehicle around a Primary --------------------------------------------------------------- */

/* Replaces a file: a reader finds the old bytes or the new ones. Not durable. */
bool platform_replace_file(const char *path, const char *bytes, size_t length);
/* Runs a program with these bytes on its standard input; its exit status, -1 when it has none
 * within the time. Nothing else happens meanwhile. */
int platform_ask(const char *program, const char *input, size_t length, uint64_t milliseconds);
/* Length of a regular file of the folder; -1 when there is none. `name` may have one folder. */
int64_t medium_length(const char *folder, const char *name);
/* Fills the buffer from `offset`; false when the file does not give all of it. */
bool medium_read(const char *folder, const char *name, uint64_t offset, uint8_t *bytes,
                 size_t length);

/* -- Flash ------------------------------------------------------------------------------------ */

typedef struct flash_storage flash_storage;

/*
 * Opens a flash part: an MTD character device, or a file of exactly `size` bytes that stands for
 * one, created erased when missing. `block_length` and `size` must be the device's own.
 */
flash_storage *flash_open(const char *path, uint64_t size, uint64_t block_length,
                          uint8_t erase_value, const char **problem);
bool flash_read(flash_storage *storage, uint64_t offset, uint8_t *bytes, size_t length);
/* Programs bytes; false with `broken_rule` when a bit would have to change back to erased. */
bool flash_program(flash_storage *storage, uint64_t offset, const uint8_t *bytes, size_t length,
                   bool *broken_rule);
bool flash_erase(flash_storage *storage, uint64_t offset, uint64_t length);
/* Whether all of these bytes read as erased; false when they cannot be read. */
bool flash_is_erased(flash_storage *storage, uint64_t offset, uint64_t length, bool *erased);
bool flash_sync(flash_storage *storage);
void flash_close(flash_storage *storage);

/* -- Key-value: one small durable file per name ----------------------------------------------- */

typedef struct key_value key_value;

key_value *key_value_open(const char *folder, const char **problem);
/* The value, to be freed; NULL with `*missing` when there is none. */
uint8_t *key_value_read(key_value *store, const char *name, size_t *length, bool *missing);
/* Durable and whole when it returns true; otherwise the old value stands. */
bool key_value_write(key_value *store, const char *name, const uint8_t *bytes, size_t length);
bool key_value_delete(key_value *store, const char *name);

/* -- The files of this very program ------------------------------------------------------------- */

/* Gives the file's bytes in pieces; false unless it can be read and has exactly `length`. NULL: the
 * program that runs. */
bool program_read(const char *path, uint64_t length,
                  void (*piece)(void *opaque, const uint8_t *bytes, size_t length), void *opaque);

typedef struct program_file program_file;

/* Begins to replace the file, and makes its folder when that is missing; NULL when that fails. */
program_file *program_create(const char *path);
bool program_append(program_file *program, const uint8_t *bytes, size_t length);
/* Ends it. True when the new bytes are durable under the path; otherwise, or without `keep`, what was
 * there before stays. */
bool program_close(program_file *program, bool keep);
/* Bytes of a file or device, fewer at its end; -1 when it cannot be read. */
int64_t range_read(const char *path, uint64_t offset, uint8_t *bytes, size_t length);
/* Overwrites bytes of a file or device that is there; durable when it returns true. */
bool range_write(const char *path, uint64_t offset, const uint8_t *bytes, size_t length);
/* Runs the file in place of this program, which ends; returns when it cannot be run. */
void program_start(const char *path, char *const *words);

/* -- CAN -------------------------------------------------------------------------------------- */

typedef struct {
  uint32_t identifier;
  bool extended, flexible_data, bit_rate_switch;
  uint8_t length;
  uint8_t data[64];
} can_frame_data;

typedef struct can_port can_port;

typedef struct {
  void (*readable)(void *opaque, int count);
  void (*writable)(void *opaque, int count);
  void (*error)(void *opaque, const char *message);
} can_events;

/*
 * Opens a bus: `can:INTERFACE` (SocketCAN), `unix:PATH` or `tcp:[HOST:]PORT` (a hub that speaks
 * cannelloni). `filters`: identifiers to receive; NULL for all.
 */
can_port *can_open(const char *address, const uint32_t *filters, size_t filter_count,
                   const can_events *events, void *opaque, const char **problem);
bool can_read(can_port *port, can_frame_data *frame);
/* Frames that `can_write` takes now; 0 makes `writable` follow. */
int can_writable(can_port *port);
bool can_write(can_port *port, const can_frame_data *frame);
/* No callback follows. */
void can_close(can_port *port);

/* -- Network ---------------------------------------------------------------------------------- */

typedef struct stream stream;

typedef struct {
  void (*connected)(void *opaque);
  void (*readable)(void *opaque);
  void (*writable)(void *opaque);
  void (*ended)(void *opaque);
  void (*error)(void *opaque, const char *message);
} stream_events;

stream *stream_connect(const char *host, uint16_t port, const stream_events *events, void *opaque,
                       const char **problem);
/* Bytes read, 0 when none wait. */
size_t stream_read(stream *connection, uint8_t *bytes, size_t length);
/* Bytes taken; fewer than given makes `writable` follow. */
size_t stream_write(stream *connection, const uint8_t *bytes, size_t length);
/* No callback follows. */
void stream_close(stream *connection);

#endif
