/* See log.h. */
#include "monitor/log.h"

#include "monitor/log_queue.h"

#include <string.h>
#include <sys/random.h>

static const struct log_driver *const DRIVERS[] = {&LOG_DRIVER_JSON, &LOG_DRIVER_LOCAL, &LOG_DRIVER_SYSLOG,
                                                   &LOG_DRIVER_JOURNALD};

static const struct log_driver *find_driver(const char *name)
{
    for (size_t i = 0; i < sizeof(DRIVERS) / sizeof(*DRIVERS); i++)
        if (strcmp(DRIVERS[i]->name, name) == 0)
            return DRIVERS[i];
    return NULL;
}

bool monitor_log_driver_known(const char *name, bool *has_file)
{
    const struct log_driver *driver = find_driver(name);

    *has_file = driver != NULL && driver->has_file;
    return driver != NULL || strcmp(name, "none") == 0;
}

int monitor_log_open(struct monitor_log *log, const struct log_options *options, struct wherry_error *err)
{
    const struct log_driver *driver = find_driver(options->driver);
    int ret;

    log->options = *options;
    if (driver == NULL)
        return 0;
    ret = driver->open(log, err);
    if (ret < 0)
        return ret;
    log->driver = driver;
    if (driver->has_peer || options->non_blocking)
        ret = log_queue_open(log, &log->queue, err);
    return ret;
}

int monitor_log_reopen(struct monitor_log *log, struct wherry_error *err)
{
    int ret;

    if (log->driver == NULL || log->driver->reopen == NULL)
        return 0;
    if (log->queue != NULL)
        log_queue_hold(log->queue);
    ret = log->driver->reopen(log, err);
    if (log->queue != NULL)
        log_queue_release(log->queue);
    return ret;
}

void monitor_log_close(struct monitor_log *log)
{
    /* A thread that hangs on its peer is left behind with all that it uses: the process is about to end. */
    if (log->queue != NULL && !log_queue_close(log->queue))
        return;
    log->queue = NULL;
    if (log->driver != NULL)
        log->driver->close(log);
    log->driver = NULL;
}

void monitor_log_lost(struct monitor_log *log, uint64_t entries, uint64_t bytes)
{
    atomic_fetch_add(&log->lost_entries, entries);
    atomic_fetch_add(&log->lost_bytes, bytes);
}

static void deliver(struct monitor_log *log, const struct log_entry *entry)
{
    if (log->queue == NULL)
        log->driver->write(log, entry);
    else if (!log_queue_put(log->queue, entry))
        monitor_log_lost(log, 1, entry->length);
}

/* A piece of a line that is longer than LOG_LINE_MAX, or that never ended. */
static void deliver_partial(struct monitor_log *log, enum log_stream stream, bool ends_line)
{
    struct log_partial *partial = &log->partial[stream];
    struct log_entry entry = {
        .stream = stream, .data = partial->text, .length = partial->length, .ends_line = ends_line};

    if (ends_line && partial->ordinal == 0) {
        clock_gettime(CLOCK_REALTIME, &entry.time);
    } else {
        if (partial->ordinal++ == 0) {
            clock_gettime(CLOCK_REALTIME, &partial->time);
            if (getrandom(partial->id, sizeof(partial->id), GRND_NONBLOCK) < 0)
                memset(partial->id, 0, sizeof(partial->id)); /* before the kernel's pool is ready: the time tells */
        }
        entry.time = partial->time;
        entry.ordinal = partial->ordinal;
        entry.id = partial->id;
    }
    deliver(log, &entry);
    partial->length = 0;
    if (ends_line)
        partial->ordinal = 0;
}

static void deliver_line(struct monitor_log *log, enum log_stream stream, const char *data, size_t length)
{
    struct log_entry entry = {.stream = stream, .data = data, .length = length, .ends_line = true};

    clock_gettime(CLOCK_REALTIME, &entry.time);
    deliver(log, &entry);
}

static void take(struct monitor_log *log, enum log_stream stream, const char *data, size_t length)
{
    struct log_partial *partial = &log->partial[stream];

    while (length > 0) {
        size_t room = LOG_LINE_MAX - partial->length;
        const char *newline = memchr(data, '\n', length < room ? length : room);
        size_t text = newline != NULL ? (size_t)(newline - data) : length < room ? length : room;

        if (newline != NULL && partial->length == 0 && partial->ordinal == 0) {
            deliver_line(log, stream, data, text);
        } else {
            memcpy(partial->text + partial->length, data, text);
            partial->length += text;
            if (newline != NULL || partial->length == LOG_LINE_MAX)
                deliver_partial(log, stream, newline != NULL);
        }
        if (newline != NULL)
            text++;
        data += text;
        length -= text;
    }
}

static void put_out(struct monitor_log *log)
{
    if (log->queue == NULL && log->driver->flush != NULL)
        log->driver->flush(log);
}

void monitor_log_write(struct monitor_log *log, enum log_stream stream, const char *data, size_t length)
{
    if (log->driver == NULL)
        return;
    take(log, stream, data, length);
    put_out(log);
}

void monitor_log_flush(struct monitor_log *log)
{
    if (log->driver == NULL)
        return;
    for (int stream = LOG_STDOUT; stream <= LOG_STDERR; stream++) {
        if (log->partial[stream].length > 0)
            deliver_partial(log, (enum log_stream)stream, false);
        log->partial[stream].ordinal = 0; /* the next run begins a line of its own */
    }
    put_out(log);
}

bool monitor_log_has_room(struct monitor_log *log)
{
    return log->queue == NULL || log->options.non_blocking || log_queue_has_room(log->queue);
}

int monitor_log_wake_fd(const struct monitor_log *log)
{
    return log->queue == NULL ? -1 : log_queue_wake_fd(log->queue);
}

bool monitor_log_is_idle(const struct monitor_log *log)
{
    return log->queue == NULL || log_queue_is_empty(log->queue);
}

void monitor_log_reaped(struct monitor_log *log, pid_t pid)
{
    int expected = (int)pid;

    atomic_compare_exchange_strong(&log->helper, &expected, 0);
}
