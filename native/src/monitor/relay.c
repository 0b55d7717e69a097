/* Bytes between the container and its clients; see client.h on slow ones. */
#include "monitor/monitor.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_SIZE (16 * 1024)
#define ACCOUNT_MS 1000

static unsigned stream_flag(const struct monitor *monitor, const struct source *source)
{
    /* A terminal has one stream: whoever wants either wants that. */
    if (monitor->options.tty)
        return ATTACH_STDOUT | ATTACH_STDERR;
    return source->kind == SOURCE_OUTPUT ? ATTACH_STDOUT : ATTACH_STDERR;
}

static void stop_watching(struct monitor *monitor, struct source *source, int *fd)
{
    monitor_wait_for(monitor, source, 0);
    close(*fd);
    *fd = source->fd = -1;
}

static void distribute(struct monitor *monitor, const struct source *source, const char *data, size_t length)
{
    enum frame_type type = source->kind == SOURCE_OUTPUT ? FRAME_STDOUT : FRAME_STDERR;
    unsigned wanted = stream_flag(monitor, source);

    monitor_log_write(&monitor->log, source->kind == SOURCE_OUTPUT ? LOG_STDOUT : LOG_STDERR, data, length);
    for (struct client *client = monitor->clients; client != NULL; client = client->next)
        if ((client->attached & wanted) != 0)
            client_send(client, type, data, length);
}

/* Reads once; false when there is nothing more now. */
static bool relay_once(struct monitor *monitor, struct source *source)
{
    int *fd = source->kind == SOURCE_OUTPUT ? &monitor->stdio.output : &monitor->stdio.error;
    char data[READ_SIZE];
    ssize_t length;

    if (*fd < 0)
        return false;
    do
        length = read(*fd, data, sizeof(data));
    while (length < 0 && errno == EINTR);
    if (length < 0 && errno == EAGAIN)
        return false;
    if (length <= 0) { /* closed by all writers; a terminal says EIO then */
        stop_watching(monitor, source, fd);
        return false;
    }
    monitor->round_bytes += (size_t)length;
    distribute(monitor, source, data, (size_t)length);
    return true;
}

void relay_output(struct monitor *monitor, struct source *source)
{
    relay_once(monitor, source);
    relay_throttle(monitor);
}

/* All that the container wrote before it ended; a full client queue grows by at most what the pipes held. */
void relay_drain(struct monitor *monitor)
{
    while (relay_once(monitor, &monitor->output))
        ;
    while (relay_once(monitor, &monitor->error))
        ;
    monitor_log_flush(&monitor->log);
}

void relay_watch(struct monitor *monitor)
{
    uint32_t events = monitor->throttled ? 0 : EPOLLIN;

    monitor->output.fd = monitor->stdio.output;
    monitor->error.fd = monitor->stdio.error;
    if (monitor->output.fd >= 0)
        monitor_wait_for(monitor, &monitor->output, events);
    if (monitor->error.fd >= 0)
        monitor_wait_for(monitor, &monitor->error, events);
}

void relay_unwatch(struct monitor *monitor)
{
    monitor_wait_for(monitor, &monitor->output, 0);
    monitor_wait_for(monitor, &monitor->error, 0);
    monitor_wait_for(monitor, &monitor->input, 0);
    container_stdio_close(&monitor->stdio);
    monitor->output.fd = monitor->error.fd = monitor->input.fd = -1;
}

/* Whether output waits for this client, as that of a further process does; who would hold the container is cut off. */
static bool holds(const struct monitor *monitor, struct client *client)
{
    if (client->dead || client->is_cut || !backlog_is_full(&client->out))
        return false;
    if (client->attached != 0 && monitor->options.exec_process != NULL)
        return true;
    client_cut(client, "the container does not wait for who reads too slowly");
    return false;
}

void relay_throttle(struct monitor *monitor)
{
    bool full = !monitor_log_has_room(&monitor->log);

    for (struct client *client = monitor->clients; client != NULL; client = client->next)
        full |= holds(monitor, client);
    if (full == monitor->throttled)
        return;
    monitor->throttled = full;
    relay_watch(monitor);
}

void relay_send_state(struct monitor *monitor, struct client *client)
{
    char text[RECORD_TEXT_MAX];
    size_t length = record_render(&monitor->record, monitor->options.id, text);

    client_send(client, FRAME_STATE, text, length);
}

/* The record comes first: whoever hears of a change finds it on disk. */
void relay_publish(struct monitor *monitor)
{
    char text[RECORD_TEXT_MAX];
    size_t length = record_render(&monitor->record, monitor->options.id, text);
    struct wherry_error ignored;

    /* A disk that is full costs the record of this change; the clients hear of it all the same. */
    record_save(monitor->state_dir, text, length, &ignored);
    for (struct client *client = monitor->clients; client != NULL; client = client->next)
        if (client->subscribed)
            client_send(client, FRAME_STATE, text, length);
}

/* Once for each client that was cut off, wherever that happened. */
static bool count_cut(struct monitor *monitor)
{
    uint32_t before = monitor->record.clients_cut;

    for (struct client *client = monitor->clients; client != NULL; client = client->next)
        if (client->is_cut && !client->is_counted) {
            client->is_counted = true;
            monitor->record.clients_cut++;
        }
    return monitor->record.clients_cut != before;
}

/* A log that loses entries loses many: one report a second tells of them. */
void relay_account(struct monitor *monitor)
{
    uint64_t lost = atomic_load(&monitor->log.lost_entries), now = clock_monotonic_ms();
    bool news = count_cut(monitor);

    if (lost != monitor->record.log_lost_entries && (now >= monitor->account_at || monitor->done)) {
        monitor->account_at = now + ACCOUNT_MS;
        monitor->record.log_lost_entries = lost;
        monitor->record.log_lost_bytes = atomic_load(&monitor->log.lost_bytes);
        news = true;
    }
    if (news)
        relay_publish(monitor);
}
