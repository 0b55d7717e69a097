/*
 * A log's file: entries are appended through a buffer, and the file is rotated by size and count (FILE becomes FILE.1,
 * FILE.1 becomes FILE.2 …), rotated files compressed by a process of their own (FILE.1.gz), which nobody waits for.
 *
 * All or nothing: what a full or failing disk does not take is cut off again at the end of the last whole entry, so
 * that the file stays readable, and counted as lost.
 */
#pragma once

#include "monitor/log.h"

#define LOG_FILE_BUFFER (16 * 1024)
#define LOG_FILE_PATH_MAX 4096

struct log_file {
    struct monitor_log *log;
    int fd;
    int64_t size;     /* up to the end of the last entry that is wholly on the disk */
    int64_t beyond;   /* bytes on the disk after that: of an entry whose end is still in the buffer */
    size_t buffered;  /* bytes in `buffer` */
    int64_t boundary; /* end of the last whole entry, counted from `size` */
    uint64_t entries; /* whole entries that are not yet wholly on the disk, and their text */
    uint64_t bytes;
    bool failed; /* the current entry is lost */
    char buffer[LOG_FILE_BUFFER];
};

/* Opens the log's path for appending, 0640, never through a link. */
int log_file_open(struct log_file **file, struct monitor_log *log, struct wherry_error *err);
int log_file_reopen(struct log_file *file, struct wherry_error *err);
void log_file_close(struct log_file *file);

/* For a driver that finds the file's end to be in the middle of an entry: cuts it off there. */
int log_file_cut(struct log_file *file, int64_t size, struct wherry_error *err);

/* An entry is a begin, any number of appends, and an end that says how much text of the container it holds. */
void log_file_begin(struct log_file *file);
void log_file_append(struct log_file *file, const void *data, size_t length);
void log_file_end(struct log_file *file, size_t text);

/* Brings what is buffered to the disk. */
void log_file_flush(struct log_file *file);
