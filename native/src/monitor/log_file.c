/* See log_file.h. */
#include "monitor/log_file.h"

#include "monitor/log_compress.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_current(struct log_file *file, struct wherry_error *err)
{
    const char *path = file->log->options.path;
    struct stat status;

    /* O_NOFOLLOW: whoever can write to the directory must not aim the log at another file. */
    file->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0640);
    if (file->fd < 0)
        return wherry_error_set(err, errno, "log file %s", path);
    if (fstat(file->fd, &status) < 0)
        return wherry_error_set(err, errno, "log file %s", path);
    if (!S_ISREG(status.st_mode))
        return wherry_error_set(err, 0, "log file %s: is not a regular file", path);
    file->size = status.st_size;
    file->beyond = file->boundary = 0;
    return 0;
}

int log_file_open(struct log_file **out, struct monitor_log *log, struct wherry_error *err)
{
    struct log_file *file = calloc(1, sizeof(*file));
    int ret;

    if (file == NULL)
        return wherry_error_set(err, ENOMEM, "log file %s", log->options.path);
    file->log = log;
    ret = open_current(file, err);
    if (ret < 0) {
        log_file_close(file);
        return ret;
    }
    *out = file;
    return 0;
}

int log_file_cut(struct log_file *file, int64_t size, struct wherry_error *err)
{
    if (ftruncate(file->fd, size) < 0)
        return wherry_error_set(err, errno, "log file %s", file->log->options.path);
    file->size = size;
    return 0;
}

static void close_current(struct log_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

int log_file_reopen(struct log_file *file, struct wherry_error *err)
{
    log_file_flush(file);
    close_current(file);
    return open_current(file, err);
}

void log_file_close(struct log_file *file)
{
    log_file_flush(file);
    close_current(file);
    free(file);
}

/* What is not on the disk in whole is given up. */
static void give_up(struct log_file *file)
{
    monitor_log_lost(file->log, file->entries, file->bytes);
    file->entries = file->bytes = 0;
    file->buffered = 0;
    if (file->beyond > 0 && ftruncate(file->fd, file->size) < 0)
        close_current(file); /* the next entry opens it anew and finds its true size */
    file->beyond = file->boundary = 0;
}

/* Brings the buffer to the disk; false when the disk does not take it. */
static bool put_out(struct log_file *file)
{
    int64_t length = (int64_t)file->buffered;

    if (length == 0)
        return true;
    if (file->fd < 0 || wherry_write_all(file->fd, file->buffer, file->buffered) < 0) {
        file->beyond = 1; /* nobody knows how much of it was written */
        give_up(file);
        return false;
    }
    file->beyond += length;
    file->buffered = 0;
    file->size += file->boundary;
    file->beyond -= file->boundary;
    file->boundary = 0;
    file->entries = file->bytes = 0;
    return true;
}

void log_file_flush(struct log_file *file)
{
    put_out(file);
}

static void name_rotated(const struct log_file *file, int64_t number, const char *suffix, char name[LOG_FILE_PATH_MAX])
{
    snprintf(name, LOG_FILE_PATH_MAX, "%s.%lld%s", file->log->options.path, (long long)number, suffix);
}

/* Each rotated file gets the next number, compressed or not; the oldest falls off. */
static void shift(struct log_file *file)
{
    static const char *const SUFFIXES[] = {"", ".gz"};
    char from[LOG_FILE_PATH_MAX], to[LOG_FILE_PATH_MAX];

    for (int64_t number = file->log->options.max_file - 1; number > 0; number--)
        for (size_t i = 0; i < 2; i++) {
            name_rotated(file, number, SUFFIXES[i], from);
            if (number == file->log->options.max_file - 1) {
                unlink(from);
                continue;
            }
            name_rotated(file, number + 1, SUFFIXES[i], to);
            rename(from, to);
        }
    name_rotated(file, 1, "", to);
    rename(file->log->options.path, to);
}

/* Postponed while the last rotated file is being compressed: the container waits for no compressor. */
static void rotate(struct log_file *file)
{
    struct monitor_log *log = file->log;
    struct wherry_error ignored;
    char rotated[LOG_FILE_PATH_MAX];
    int compressor;

    if (log->options.max_file == 1) {
        if (ftruncate(file->fd, 0) == 0)
            file->size = 0;
        return;
    }
    name_rotated(file, 1, "", rotated);
    if (atomic_load(&log->helper) != 0 || log_compress_is_busy(rotated))
        return;
    shift(file);
    close_current(file);
    open_current(file, &ignored);
    if (!log->options.compress)
        return;
    compressor = log_compress_start(rotated);
    if (compressor > 0)
        atomic_store(&log->helper, compressor);
}

void log_file_begin(struct log_file *file)
{
    int64_t max_size = file->log->options.max_size;
    struct wherry_error ignored;

    file->failed = false;
    if (file->fd < 0 && open_current(file, &ignored) < 0) {
        file->failed = true;
        return;
    }
    if (max_size > 0 && file->size + file->boundary >= max_size && put_out(file))
        rotate(file);
}

void log_file_append(struct log_file *file, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0 && !file->failed) {
        size_t room = LOG_FILE_BUFFER - file->buffered, piece = length < room ? length : room;

        memcpy(file->buffer + file->buffered, at, piece);
        file->buffered += piece;
        at += piece;
        length -= piece;
        if (file->buffered == LOG_FILE_BUFFER && !put_out(file))
            file->failed = true;
    }
}

void log_file_end(struct log_file *file, size_t text)
{
    if (file->failed) {
        monitor_log_lost(file->log, 1, text);
        return;
    }
    file->boundary = file->beyond + (int64_t)file->buffered;
    file->entries++;
    file->bytes += text;
}
