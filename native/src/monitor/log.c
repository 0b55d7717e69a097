/* See log.h. */
#include "monitor/log.h"

#include "monitor/clock.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ESCAPE_CHUNK 1024 /* bytes of the container that are escaped at a time, so that the stack stays small */
#define ESCAPED_MAX 6     /* bytes that one byte can become: \u00XX */
#define ROTATED_PATH_MAX 4096

static const char REPLACEMENT[] = "\\ufffd";

/* Length of the well-formed UTF-8 sequence at `at` (RFC 3629: no overlong form, no surrogate, at most U+10FFFF), 0 when
 * there is none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2;
    else if ((at[0] & 0xf0) == 0xe0)
        length = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (left < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

static size_t escape_ascii(char *out, unsigned char byte)
{
    static const char HEX[] = "0123456789abcdef";
    static const char SHORT[] = "\"\"\\\\\nn\rr\tt";

    for (const char *pair = SHORT; *pair != '\0'; pair += 2)
        if ((unsigned char)pair[0] == byte) {
            out[0] = '\\';
            out[1] = pair[1];
            return 2;
        }
    /* <, > and & as Go's encoder writes them, so that our files equal Docker's byte by byte. */
    if (byte < 0x20 || byte == '<' || byte == '>' || byte == '&') {
        memcpy(out, "\\u00", 4);
        out[4] = HEX[byte >> 4];
        out[5] = HEX[byte & 0xf];
        return ESCAPED_MAX;
    }
    out[0] = (char)byte;
    return 1;
}

size_t monitor_log_escape(char *out, const char *data, size_t length)
{
    size_t written = 0;

    for (size_t at = 0; at < length;) {
        const unsigned char *byte = (const unsigned char *)data + at;
        size_t sequence = utf8_length(byte, length - at);

        if (sequence == 1) {
            written += escape_ascii(out + written, *byte);
        } else if (sequence == 0) {
            memcpy(out + written, REPLACEMENT, sizeof(REPLACEMENT) - 1);
            written += sizeof(REPLACEMENT) - 1;
            sequence = 1;
        } else {
            memcpy(out + written, byte, sequence);
            written += sequence;
        }
        at += sequence;
    }
    return written;
}

static int open_file(struct monitor_log *log, struct wherry_error *err)
{
    struct stat status;

    /* O_NOFOLLOW: whoever can write to the directory must not aim the log at another file. */
    log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
    if (log->fd < 0)
        return wherry_error_set(err, errno, "log file %s", log->path);
    if (fstat(log->fd, &status) < 0)
        return wherry_error_set(err, errno, "log file %s", log->path);
    log->size = status.st_size;
    return 0;
}

int monitor_log_open(struct monitor_log *log, const char *path, int64_t max_size, int64_t max_file,
                     struct wherry_error *err)
{
    log->path = path;
    log->max_size = max_size;
    log->max_file = max_file;
    return path == NULL ? 0 : open_file(log, err);
}

void monitor_log_close(struct monitor_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

int monitor_log_reopen(struct monitor_log *log, struct wherry_error *err)
{
    if (log->path == NULL)
        return 0;
    monitor_log_close(log);
    return open_file(log, err);
}

/* FILE becomes FILE.1, FILE.1 becomes FILE.2 …; the oldest falls off. */
static void rotate(struct monitor_log *log)
{
    char from[ROTATED_PATH_MAX], to[ROTATED_PATH_MAX];
    struct wherry_error ignored;

    for (int64_t number = log->max_file - 1; number > 0; number--) {
        snprintf(to, sizeof(to), "%s.%lld", log->path, (long long)number);
        if (number > 1)
            snprintf(from, sizeof(from), "%s.%lld", log->path, (long long)(number - 1));
        else
            snprintf(from, sizeof(from), "%s", log->path);
        rename(from, to);
    }
    if (log->max_file == 1 && truncate(log->path, 0) < 0)
        return;
    monitor_log_reopen(log, &ignored);
}

/* All or nothing: a line that does not fit on the disk is taken back, so that the file stays readable. */
static void append(struct monitor_log *log, const char *data, size_t length, int64_t *line_size)
{
    if (*line_size < 0)
        return;
    if (wherry_write_all(log->fd, data, length) < 0) {
        *line_size = -1;
        return;
    }
    *line_size += (int64_t)length;
}

static void append_escaped(struct monitor_log *log, const char *data, size_t length, int64_t *line_size)
{
    char escaped[ESCAPE_CHUNK * ESCAPED_MAX];

    while (length > 0) {
        size_t piece = length < ESCAPE_CHUNK ? length : ESCAPE_CHUNK;

        /* A UTF-8 sequence is not cut in two: step back to where one begins, at most three bytes. */
        if (piece < length)
            for (size_t back = 0; back < 3 && ((unsigned char)data[piece] & 0xc0) == 0x80; back++)
                piece--;
        append(log, escaped, monitor_log_escape(escaped, data, piece), line_size);
        data += piece;
        length -= piece;
    }
}

static void write_line(struct monitor_log *log, enum log_stream stream, const char *data, size_t length)
{
    static const char *const NAMES[] = {"stdout", "stderr"};
    char tail[96], now[CLOCK_TEXT_MAX];
    int64_t line_size = 0;

    if (log->fd < 0)
        return;
    if (log->max_size > 0 && log->size >= log->max_size)
        rotate(log);
    append(log, "{\"log\":\"", 8, &line_size);
    append_escaped(log, data, length, &line_size);
    clock_now_text(now);
    snprintf(tail, sizeof(tail), "\",\"stream\":\"%s\",\"time\":\"%s\"}\n", NAMES[stream], now);
    append(log, tail, strlen(tail), &line_size);
    if (line_size >= 0) {
        log->size += line_size;
        return;
    }
    log->dropped++;
    if (ftruncate(log->fd, log->size) < 0)
        log->dropped++;
}

void monitor_log_write(struct monitor_log *log, enum log_stream stream, const char *data, size_t length)
{
    struct log_partial *partial = &log->partial[stream];

    if (log->path == NULL)
        return;
    while (length > 0) {
        size_t room = LOG_LINE_MAX - partial->length;
        const char *newline = memchr(data, '\n', length < room ? length : room);
        size_t piece = newline != NULL ? (size_t)(newline - data) + 1 : length < room ? length : room;

        if (newline != NULL && partial->length == 0) {
            write_line(log, stream, data, piece);
        } else {
            memcpy(partial->text + partial->length, data, piece);
            partial->length += piece;
            if (newline != NULL || partial->length == LOG_LINE_MAX) {
                write_line(log, stream, partial->text, partial->length);
                partial->length = 0;
            }
        }
        data += piece;
        length -= piece;
    }
}

void monitor_log_flush(struct monitor_log *log)
{
    for (int stream = LOG_STDOUT; stream <= LOG_STDERR; stream++) {
        struct log_partial *partial = &log->partial[stream];

        if (partial->length > 0)
            write_line(log, (enum log_stream)stream, partial->text, partial->length);
        partial->length = 0;
    }
}
