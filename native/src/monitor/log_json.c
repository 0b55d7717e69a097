/*
 * The driver json-file, in Docker's form: one JSON object a line,
 * {"log":"text\n","stream":"stdout","attrs":{…},"time":"…"}. A piece that does not end its line has no "\n" in "log";
 * attrs are there when there are any.
 */
#include "monitor/log_json.h"

#include "monitor/log_file.h"
#include "wherry/moment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPAIR_BLOCK 4096
#define ESCAPE_CHUNK 1024 /* bytes of the container that are escaped at a time, so that the stack stays small */

struct json_sink {
    struct log_file *file;
    char *attributes; /* `,"attrs":{…}`, or empty */
    size_t attributes_length;
    time_t second; /* whose text stands in `moment` */
    char moment[CLOCK_TEXT_MAX];
};

static size_t append_text(char *out, const char *text, size_t length)
{
    size_t written;

    *out = '"';
    written = 1 + log_json_escape(out + 1, text, length);
    out[written] = '"';
    return written + 1;
}

static int render_attributes(struct json_sink *sink, const struct log_options *options, struct wherry_error *err)
{
    size_t room = 32, length;

    for (size_t i = 0; i < options->attribute_count; i++)
        room += strlen(options->attributes[i]) * JSON_ESCAPED_MAX + 8;
    sink->attributes = malloc(room);
    if (sink->attributes == NULL)
        return wherry_error_set(err, ENOMEM, "attributes of the log");
    *sink->attributes = '\0';
    if (options->attribute_count == 0)
        return 0;
    length = (size_t)sprintf(sink->attributes, ",\"attrs\":");
    for (size_t i = 0; i < options->attribute_count; i++) {
        const char *key = options->attributes[i], *equals = strchr(key, '=');

        sink->attributes[length++] = i == 0 ? '{' : ',';
        length += append_text(sink->attributes + length, key, (size_t)(equals - key));
        sink->attributes[length++] = ':';
        length += append_text(sink->attributes + length, equals + 1, strlen(equals + 1));
    }
    sink->attributes[length++] = '}';
    sink->attributes_length = length;
    return 0;
}

static void json_close(struct monitor_log *log)
{
    struct json_sink *sink = log->sink;

    if (sink->file != NULL)
        log_file_close(sink->file);
    free(sink->attributes);
    free(sink);
    log->sink = NULL;
}

/* A monitor that was killed may have left half a line, which would spoil the next. */
static int repair(struct log_file *file, struct wherry_error *err)
{
    char block[REPAIR_BLOCK];

    for (int64_t end = file->size; end > 0;) {
        size_t length = end < REPAIR_BLOCK ? (size_t)end : REPAIR_BLOCK;
        const char *newline;

        if (pread(file->fd, block, length, end - (int64_t)length) != (ssize_t)length)
            return wherry_error_set(err, errno, "read the log");
        newline = memrchr(block, '\n', length);
        end -= (int64_t)length;
        if (newline != NULL || end == 0) {
            end += newline == NULL ? 0 : newline + 1 - block;
            return end == file->size ? 0 : log_file_cut(file, end, err);
        }
    }
    return 0;
}

static int json_open(struct monitor_log *log, struct wherry_error *err)
{
    struct json_sink *sink = calloc(1, sizeof(*sink));
    int ret;

    if (sink == NULL)
        return wherry_error_set(err, ENOMEM, "log");
    log->sink = sink;
    ret = render_attributes(sink, &log->options, err);
    if (ret == 0)
        ret = log_file_open(&sink->file, log, err);
    if (ret == 0)
        ret = repair(sink->file, err);
    if (ret < 0)
        json_close(log);
    return ret;
}

static void append_escaped(struct log_file *file, const char *data, size_t length)
{
    char escaped[ESCAPE_CHUNK * JSON_ESCAPED_MAX];

    while (length > 0) {
        size_t piece = length < ESCAPE_CHUNK ? length : ESCAPE_CHUNK;

        /* A UTF-8 sequence is not cut in two: step back to where one begins, at most three bytes. */
        if (piece < length)
            for (size_t back = 0; back < 3 && ((unsigned char)data[piece] & 0xc0) == 0x80; back++)
                piece--;
        log_file_append(file, escaped, log_json_escape(escaped, data, piece));
        data += piece;
        length -= piece;
    }
}

/* Lines come by the thousand a second: what changes between two of the same second is their nine digits. */
static const char *moment_text(struct json_sink *sink, const struct timespec *time)
{
    long rest = time->tv_nsec;

    if (sink->second != time->tv_sec) {
        sink->second = time->tv_sec;
        wherry_moment_text(time, sink->moment);
    }
    for (char *digit = strchr(sink->moment, '.') + 9; *digit != '.'; digit--) {
        *digit = (char)('0' + rest % 10);
        rest /= 10;
    }
    return sink->moment;
}

static void json_write(struct monitor_log *log, const struct log_entry *entry)
{
    static const char *const STREAMS[] = {"\",\"stream\":\"stdout\"", "\",\"stream\":\"stderr\""};
    struct json_sink *sink = log->sink;
    struct log_file *file = sink->file;
    const char *moment = moment_text(sink, &entry->time);

    log_file_begin(file);
    log_file_append(file, "{\"log\":\"", 8);
    append_escaped(file, entry->data, entry->length);
    if (entry->ends_line)
        log_file_append(file, "\\n", 2);
    log_file_append(file, STREAMS[entry->stream], strlen(STREAMS[entry->stream]));
    log_file_append(file, sink->attributes, sink->attributes_length);
    log_file_append(file, ",\"time\":\"", 9);
    log_file_append(file, moment, strlen(moment));
    log_file_append(file, "\"}\n", 3);
    log_file_end(file, entry->length + entry->ends_line);
}

static void json_flush(struct monitor_log *log)
{
    log_file_flush(((struct json_sink *)log->sink)->file);
}

static int json_reopen(struct monitor_log *log, struct wherry_error *err)
{
    return log_file_reopen(((struct json_sink *)log->sink)->file, err);
}

const struct log_driver LOG_DRIVER_JSON = {
    .name = "json-file",
    .has_file = true,
    .open = json_open,
    .write = json_write,
    .flush = json_flush,
    .reopen = json_reopen,
    .close = json_close,
};
