/*
 * The container's log: output is cut into entries (a line, or a piece of one that is longer than 16 KiB), which a
 * driver keeps: json-file and local in files, syslog and journald with a peer.
 *
 * What a driver cannot keep (a full disk, a peer that is away, a full buffer in non-blocking mode) is counted, never
 * waited for. A file's driver writes at once. A peer may be slow, and so may a disk: peers always, and files in
 * non-blocking mode, are served by a thread behind a queue (log_queue.h). Once the queue is full, blocking mode makes
 * the container wait (monitor_log_has_room) and non-blocking mode drops the entry.
 */
#pragma once

#include "monitor/clock.h"
#include "wherry/error.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOG_LINE_MAX (16 * 1024)
#define LOG_LINE_ID 32 /* bytes */

enum log_stream { LOG_STDOUT, LOG_STDERR };

struct log_options {
    const char *driver; /* "none", "json-file", "local", "syslog", "journald" */
    const char *path;   /* of the current file, for the drivers that keep one */
    int64_t max_size;   /* bytes at which a file is rotated; -1: never */
    int64_t max_file;   /* files, the current one included */
    bool compress;      /* rotated files by gzip */
    bool non_blocking;
    int64_t max_buffer;            /* bytes that wait for a peer, or in non-blocking mode */
    const char *address;           /* syslog: SCHEME://PLACE, "" is the local one; journald: its socket */
    const char *format;            /* syslog: "", "rfc3164", "rfc5424", "rfc5424micro" */
    const char *tag;               /* syslog */
    int64_t facility;              /* syslog: 0 to 23 */
    const char *const *attributes; /* KEY=VALUE beside each entry, in order */
    size_t attribute_count;
};

/* One entry. `data` is without the newline that ends a line. */
struct log_entry {
    enum log_stream stream;
    struct timespec time;
    const char *data;
    size_t length;
    bool ends_line;
    uint32_t ordinal;  /* of the piece, from 1; 0: the line is one piece */
    const uint8_t *id; /* LOG_LINE_ID random bytes that all pieces of a line share; NULL: the line is one piece */
};

struct monitor_log;

struct log_driver {
    const char *name;
    bool has_peer;
    bool has_file;
    int (*open)(struct monitor_log *log, struct wherry_error *err);
    /* Takes one entry. What cannot be kept is told to monitor_log_lost. */
    void (*write)(struct monitor_log *log, const struct log_entry *entry);
    void (*flush)(struct monitor_log *log);                           /* NULL: write keeps nothing back */
    int (*reopen)(struct monitor_log *log, struct wherry_error *err); /* NULL: nothing to reopen */
    void (*close)(struct monitor_log *log);
};

struct log_partial {
    size_t length;
    uint32_t ordinal;
    struct timespec time; /* of the line's first piece */
    uint8_t id[LOG_LINE_ID];
    char text[LOG_LINE_MAX];
};

struct monitor_log {
    struct log_options options;
    const struct log_driver *driver; /* NULL: nothing is kept */
    void *sink;                      /* the driver's own */
    struct log_queue *queue;         /* NULL: the driver is called at once */
    atomic_uint_fast64_t lost_entries;
    atomic_uint_fast64_t lost_bytes;
    atomic_int helper; /* a process that works on a rotated file; 0: none */
    struct log_partial partial[2];
};

/* Whether there is a driver of that name, and whether it keeps a file. "none" is one that keeps nothing. */
bool monitor_log_driver_known(const char *name, bool *has_file);

/* Opens a file (0640, never through a link) or reaches the peer. The options' strings stay the caller's. */
int monitor_log_open(struct monitor_log *log, const struct log_options *options, struct wherry_error *err);
int monitor_log_reopen(struct monitor_log *log, struct wherry_error *err);
void monitor_log_close(struct monitor_log *log);

/* Takes output as it came. */
void monitor_log_write(struct monitor_log *log, enum log_stream stream, const char *data, size_t length);

/* Writes what is left of unfinished lines. */
void monitor_log_flush(struct monitor_log *log);

/* False when the container's output has to wait. A descriptor that can be read says when to ask again; -1: never. */
bool monitor_log_has_room(struct monitor_log *log);
int monitor_log_wake_fd(const struct monitor_log *log);

/* Whether all that was taken has gone to the driver. */
bool monitor_log_is_idle(const struct monitor_log *log);

/* A child of this process has ended: it may have been the log's. */
void monitor_log_reaped(struct monitor_log *log, pid_t pid);

/* For drivers: entries that are lost. */
void monitor_log_lost(struct monitor_log *log, uint64_t entries, uint64_t bytes);

extern const struct log_driver LOG_DRIVER_JSON, LOG_DRIVER_LOCAL, LOG_DRIVER_SYSLOG, LOG_DRIVER_JOURNALD;
