/*
 * The driver journald, in the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): an entry is a datagram of
 * fields, NAME=value and a newline, or NAME, a newline, the value's length (64 bits, little endian), the value and a
 * newline where the value may hold newlines. The fields that say whose entry it is come from the command line.
 */
#include "monitor/log_peer.h"
#include "wherry/moment.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define PRIORITY_ERROR 3
#define PRIORITY_INFO 6
#define PARTIAL_MAX 256

struct journald_sink {
    struct log_peer peer;
    char *fields; /* of every entry, encoded */
    size_t fields_length;
};

static size_t put_field(char *out, const char *name, size_t name_length, const char *value, size_t length)
{
    uint64_t size = htole64(length);
    char *at = out;

    at = mempcpy(at, name, name_length);
    *at++ = '\n';
    at = mempcpy(at, &size, sizeof(size));
    at = mempcpy(at, value, length);
    *at++ = '\n';
    return (size_t)(at - out);
}

static int encode_fields(struct journald_sink *sink, const struct log_options *options, struct wherry_error *err)
{
    size_t room = 1;

    for (size_t i = 0; i < options->attribute_count; i++)
        room += strlen(options->attributes[i]) + 16;
    sink->fields = malloc(room);
    if (sink->fields == NULL)
        return wherry_error_set(err, ENOMEM, "fields of the journal");
    for (size_t i = 0; i < options->attribute_count; i++) {
        const char *name = options->attributes[i], *equals = strchr(name, '=');

        sink->fields_length += put_field(sink->fields + sink->fields_length, name, (size_t)(equals - name), equals + 1,
                                         strlen(equals + 1));
    }
    return 0;
}

static void journald_close(struct monitor_log *log)
{
    struct journald_sink *sink = log->sink;

    log_peer_close(&sink->peer);
    free(sink->fields);
    free(sink);
    log->sink = NULL;
}

static int journald_open(struct monitor_log *log, struct wherry_error *err)
{
    const char *path = *log->options.address == '\0' ? JOURNAL_SOCKET : log->options.address;
    struct journald_sink *sink = calloc(1, sizeof(*sink));
    char place[sizeof(struct sockaddr_un)];
    int ret;

    if (sink == NULL)
        return wherry_error_set(err, ENOMEM, "log");
    sink->peer.fd = -1;
    log->sink = sink;
    snprintf(place, sizeof(place), "unixgram://%s", path);
    ret = encode_fields(sink, &log->options, err);
    if (ret == 0)
        ret = log_peer_open(&sink->peer, log, place, err);
    if (ret < 0) {
        journald_close(log);
        return wherry_error_prefix(err, "journald is not enabled on this host");
    }
    return 0;
}

/* The fields that tell one piece of a long line from another, as Docker names them. */
static size_t render_partial(const struct log_entry *entry, char out[PARTIAL_MAX])
{
    char id[LOG_LINE_ID * 2 + 1];

    if (entry->ordinal == 0)
        return 0;
    for (size_t i = 0; i < LOG_LINE_ID; i++)
        snprintf(id + i * 2, 3, "%02x", entry->id[i]);
    return (size_t)snprintf(out, PARTIAL_MAX,
                            "%sCONTAINER_PARTIAL_ID=%s\nCONTAINER_PARTIAL_ORDINAL=%u\nCONTAINER_PARTIAL_LAST=%s\n",
                            entry->ends_line ? "" : "CONTAINER_PARTIAL_MESSAGE=true\n", id, entry->ordinal,
                            entry->ends_line ? "true" : "false");
}

static void journald_write(struct monitor_log *log, const struct log_entry *entry)
{
    struct journald_sink *sink = log->sink;
    char moment[CLOCK_TEXT_MAX], head[CLOCK_TEXT_MAX + 64], partial[PARTIAL_MAX], size[sizeof(uint64_t)];
    uint64_t length = htole64(entry->length);
    struct iovec parts[6];
    int written;

    wherry_moment_text(&entry->time, moment);
    written = snprintf(head, sizeof(head), "PRIORITY=%d\nSYSLOG_TIMESTAMP=%s\nMESSAGE\n",
                       entry->stream == LOG_STDERR ? PRIORITY_ERROR : PRIORITY_INFO, moment);
    memcpy(size, &length, sizeof(size));
    parts[0] = (struct iovec){.iov_base = sink->fields, .iov_len = sink->fields_length};
    parts[1] = (struct iovec){.iov_base = partial, .iov_len = render_partial(entry, partial)};
    parts[2] = (struct iovec){.iov_base = head, .iov_len = (size_t)written};
    parts[3] = (struct iovec){.iov_base = size, .iov_len = sizeof(size)};
    parts[4] = (struct iovec){.iov_base = (void *)entry->data, .iov_len = entry->length};
    parts[5] = (struct iovec){.iov_base = (void *)"\n", .iov_len = 1};
    if (!log_peer_send(&sink->peer, parts, 6))
        monitor_log_lost(log, 1, entry->length);
}

const struct log_driver LOG_DRIVER_JOURNALD = {
    .name = "journald",
    .has_peer = true,
    .open = journald_open,
    .write = journald_write,
    .close = journald_close,
};
