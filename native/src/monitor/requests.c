/* What clients ask of a monitor, frame by frame. */
#include "monitor/monitor.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define POLICY_MAX 64

static void reply(struct client *client, int result, const struct wherry_error *error)
{
    if (result < 0)
        client_send(client, FRAME_ERROR, error->message, strlen(error->message));
    else
        client_send(client, FRAME_OK, NULL, 0);
}

static void attach(const struct monitor *monitor, struct client *client, const uint8_t *payload, uint32_t length)
{
    /* The size of the ring does not change once it is used. */
    if (!monitor->started && !monitor->finishing && client_is_flushed(client) && client->out.file_max > 0)
        client->out.file_max = CLIENT_OWNER_SHARE * monitor->options.backlog_max;
    client->attached = length > 0 ? payload[0] : 0;
    client_send(client, FRAME_ATTACHED, NULL, 0);
}

static void close_stdin(struct monitor *monitor)
{
    /* Without stdin-once the container's input outlives those who type; a terminal has no half-close. */
    if (!monitor->options.stdin_once || monitor->options.tty)
        return;
    monitor->stdio.input_ends = true;
    container_stdio_flush(&monitor->stdio);
}

static void start(struct monitor *monitor, struct client *client)
{
    struct wherry_error error = WHERRY_ERROR_INIT;

    if (container_start(monitor, &error) == 0) {
        if (!client->subscribed)
            relay_send_state(monitor, client);
        return;
    }
    client_send(client, FRAME_ERROR, error.message, strlen(error.message));
    if (monitor->started || monitor->finishing)
        return;
    /* What cannot be started is given up; the next start makes a new monitor. */
    snprintf(monitor->record.error, sizeof(monitor->record.error), "%.*s", RECORD_ERROR_MAX - 1, error.message);
    monitor->record.status = RECORD_EXITED;
    monitor->record.exit_code = 128;
    monitor->record.pid = 0;
    clock_now_text(monitor->record.finished_at);
    *monitor->record.started_at = '\0';
    relay_drain(monitor);
    relay_publish(monitor);
    container_finish(monitor);
}

static int set_policy(struct monitor *monitor, const uint8_t *payload, uint32_t length, struct wherry_error *err)
{
    char text[POLICY_MAX];

    if (length >= sizeof(text))
        return wherry_error_set(err, 0, "restart policy: longer than %d bytes", POLICY_MAX - 1);
    memcpy(text, payload, length);
    text[length] = '\0';
    return restart_policy_parse(text, &monitor->options.restart, err);
}

static void resize(struct monitor *monitor, const uint8_t *payload, uint32_t length)
{
    if (length != 4)
        return;
    monitor->rows = (uint16_t)(payload[0] << 8 | payload[1]);
    monitor->columns = (uint16_t)(payload[2] << 8 | payload[3]);
    container_resize(monitor);
}

static int quit(struct monitor *monitor, struct wherry_error *err)
{
    if (monitor->started && !monitor->finishing)
        return wherry_error_set(err, 0, "container %s runs; its monitor stays with it", monitor->options.id);
    if (!monitor->finishing)
        container_finish(monitor);
    return 0;
}

static void dispatch_control(struct monitor *monitor, struct client *client, const uint8_t *payload, uint32_t length)
{
    struct wherry_error error = WHERRY_ERROR_INIT;
    int result;

    switch (client_frame_type(client)) {
    case FRAME_SIGNAL:
        result = length == 5 ? container_signal(monitor, frame_u32(payload), payload[4] != 0, &error)
                             : wherry_error_set(&error, 0, "SIGNAL carries five bytes");
        break;
    case FRAME_STOPPING:
        monitor->stopping = length > 0 && payload[0] != 0;
        result = 0;
        break;
    case FRAME_POLICY:
        result = set_policy(monitor, payload, length, &error);
        break;
    case FRAME_QUIT:
        result = quit(monitor, &error);
        break;
    case FRAME_ROTATE:
        result = monitor_log_reopen(&monitor->log, &error);
        break;
    default:
        result = wherry_error_set(&error, 0, "frame type %d: unknown", (int)client_frame_type(client));
        break;
    }
    reply(client, result, &error);
    if (client_frame_type(client) == FRAME_STOPPING && monitor->stopping)
        container_cancel_restart(monitor);
}

/* False when the frame has to wait: a STDIN whose bytes the container does not take yet. */
static bool dispatch(struct monitor *monitor, struct client *client)
{
    const uint8_t *payload = client->in + FRAME_HEADER;
    uint32_t length = client_frame_length(client);

    switch (client_frame_type(client)) {
    case FRAME_STDIN:
        client->in_taken +=
            container_stdio_feed(&monitor->stdio, payload + client->in_taken, length - client->in_taken);
        return client->in_taken == length;
    case FRAME_STDIN_CLOSE:
        close_stdin(monitor);
        return true;
    case FRAME_RESIZE:
        resize(monitor, payload, length);
        return true;
    case FRAME_ATTACH:
        attach(monitor, client, payload, length);
        return true;
    case FRAME_SUBSCRIBE:
        client->subscribed = true;
        relay_send_state(monitor, client);
        return true;
    case FRAME_START:
        start(monitor, client);
        return true;
    default:
        dispatch_control(monitor, client, payload, length);
        return true;
    }
}

void requests_serve(struct monitor *monitor, struct client *client)
{
    int received = 1;

    while (!client->dead && !client->blocked && (received = client_receive(client)) == 1) {
        if (dispatch(monitor, client))
            client_consume(client);
        else
            client->blocked = true;
    }
    if (received < 0)
        client->dead = true;
}

/* The container took some of its input: clients whose bytes waited go on. */
void requests_resume_input(struct monitor *monitor)
{
    for (struct client *client = monitor->clients; client != NULL; client = client->next) {
        if (!client->blocked || client->dead)
            continue;
        client->blocked = false;
        if (dispatch(monitor, client)) {
            client_consume(client);
            requests_serve(monitor, client);
        } else {
            client->blocked = true;
        }
    }
}
