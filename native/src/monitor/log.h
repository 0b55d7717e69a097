/*
 * The container's log in Docker's json-file form: one JSON object a line, {"log":…,"stream":…,"time":…}. A line of the
 * container that is longer than 16 KiB is split; a piece that does not end its line has no "\n" in "log".
 */
#pragma once

#include "wherry/error.h"

#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX (16 * 1024)

enum log_stream { LOG_STDOUT, LOG_STDERR };

struct log_partial {
    size_t length;
    char text[LOG_LINE_MAX];
};

struct monitor_log {
    const char *path; /* NULL: nothing is kept */
    int fd;
    int64_t size;
    int64_t max_size;
    int64_t max_file;
    uint64_t dropped; /* pieces that the disk had no room for */
    struct log_partial partial[2];
};

#define MONITOR_LOG_INIT                                                                                               \
    {                                                                                                                  \
        .fd = -1                                                                                                       \
    }

/* Opens the log for appending, 0640, never through a link. A NULL path makes a log that keeps nothing. */
int monitor_log_open(struct monitor_log *log, const char *path, int64_t max_size, int64_t max_file,
                     struct wherry_error *err);
int monitor_log_reopen(struct monitor_log *log, struct wherry_error *err);
void monitor_log_close(struct monitor_log *log);

/* Takes output as it came. A disk that is full or failing costs the pieces (counted), never the container. */
void monitor_log_write(struct monitor_log *log, enum log_stream stream, const char *data, size_t length);

/* Writes what is left of unfinished lines. */
void monitor_log_flush(struct monitor_log *log);

/* Escapes `length` bytes for a JSON string into `out` (room for 6 bytes each); what is not UTF-8 becomes U+FFFD.
 * Returns the length. */
size_t monitor_log_escape(char *out, const char *data, size_t length);
