/*
 * The driver syslog: an entry is one message, informational from stdout, error from stderr. The formats are those of
 * Docker: "" is what syslog(3) sends to a local daemon, rfc3164, rfc5424, and rfc5424micro with microseconds. In a
 * stream a message ends in a newline (RFC 6587, 3.4.2).
 */
#include "monitor/log_peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEVERITY_ERROR 3
#define SEVERITY_INFO 6
#define HOST_MAX 256
#define TAG_MAX 512

static const char *const LOCAL_PLACES[] = {"unixgram:///dev/log", "unix:///dev/log", "unixgram:///var/run/syslog",
                                           "unixgram:///var/run/log"};

struct syslog_sink {
    struct log_peer peer;
    char host[HOST_MAX];
};

static int open_local(struct log_peer *peer, struct monitor_log *log, struct wherry_error *err)
{
    struct wherry_error ignored;

    for (size_t i = 0; i < sizeof(LOCAL_PLACES) / sizeof(*LOCAL_PLACES); i++)
        if (log_peer_open(peer, log, LOCAL_PLACES[i], &ignored) == 0)
            return 0;
    return wherry_error_set(err, 0, "no syslog daemon listens on this host (/dev/log)");
}

static int syslog_open(struct monitor_log *log, struct wherry_error *err)
{
    struct syslog_sink *sink = calloc(1, sizeof(*sink));
    int ret;

    if (sink == NULL)
        return wherry_error_set(err, ENOMEM, "log");
    gethostname(sink->host, sizeof(sink->host) - 1);
    ret = *log->options.address == '\0' ? open_local(&sink->peer, log, err)
                                        : log_peer_open(&sink->peer, log, log->options.address, err);
    if (ret < 0) {
        free(sink);
        return wherry_error_prefix(err, "syslog");
    }
    log->sink = sink;
    return 0;
}

/* Up to the content; returns the length. Times are in UTC, but for the forms that have no zone: those are local. */
static int render_head(const struct monitor_log *log, const struct log_entry *entry, char *out, size_t room)
{
    const struct syslog_sink *sink = log->sink;
    const char *format = log->options.format, *tag = log->options.tag;
    int priority = (int)log->options.facility * 8 + (entry->stream == LOG_STDERR ? SEVERITY_ERROR : SEVERITY_INFO);
    char moment[64], fraction[16] = "";
    struct tm parts;

    if (strncmp(format, "rfc5424", 7) != 0) {
        localtime_r(&entry->time.tv_sec, &parts);
        strftime(moment, sizeof(moment), "%b %e %H:%M:%S", &parts);
        if (*format == '\0')
            return snprintf(out, room, "<%d>%s %s[%d]: ", priority, moment, tag, (int)getpid());
        return snprintf(out, room, "<%d>%s %s %s[%d]: ", priority, moment, sink->host, tag, (int)getpid());
    }
    gmtime_r(&entry->time.tv_sec, &parts);
    strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%S", &parts);
    if (strcmp(format, "rfc5424micro") == 0)
        snprintf(fraction, sizeof(fraction), ".%06ld", entry->time.tv_nsec / 1000 % 1000000);
    return snprintf(out, room, "<%d>1 %s%sZ %s %s %d %s - ", priority, moment, fraction, sink->host, tag, (int)getpid(),
                    tag);
}

static void syslog_write(struct monitor_log *log, const struct log_entry *entry)
{
    struct syslog_sink *sink = log->sink;
    char head[HOST_MAX + 2 * TAG_MAX + 128];
    int length = render_head(log, entry, head, sizeof(head));
    struct iovec parts[] = {
        {.iov_base = head, .iov_len = length < (int)sizeof(head) ? (size_t)length : sizeof(head) - 1},
        {.iov_base = (void *)entry->data, .iov_len = entry->length},
        {.iov_base = (void *)"\n", .iov_len = 1},
    };

    if (!log_peer_send(&sink->peer, parts, sink->peer.type == SOCK_STREAM ? 3 : 2))
        monitor_log_lost(log, 1, entry->length);
}

static void syslog_close(struct monitor_log *log)
{
    struct syslog_sink *sink = log->sink;

    log_peer_close(&sink->peer);
    free(sink);
    log->sink = NULL;
}

const struct log_driver LOG_DRIVER_SYSLOG = {
    .name = "syslog",
    .has_peer = true,
    .open = syslog_open,
    .write = syslog_write,
    .close = syslog_close,
};
