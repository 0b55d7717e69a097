/* See client.h. */
#include "monitor/client.h"

#include "monitor/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CUT_MESSAGE_MAX 256

struct client *client_new(int fd)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client != NULL) {
        client->source = (struct source){.kind = SOURCE_CLIENT, .fd = fd};
        client->out = (struct backlog)BACKLOG_INIT;
        client->progress_ms = clock_monotonic_ms();
    }
    return client;
}

void client_free(struct client *client)
{
    close(client->source.fd);
    free(client->in);
    backlog_free(&client->out);
    free(client);
}

void client_send(struct client *client, enum frame_type type, const void *payload, size_t length)
{
    if (client->dead || client->is_cut)
        return;
    if (client_is_flushed(client))
        client->progress_ms = clock_monotonic_ms();
    if (backlog_add(&client->out, type, payload, length))
        client_flush(client);
    else
        client_cut(client, "there is no more memory or disk to keep its output in");
}

void client_flush(struct client *client)
{
    int64_t sent = client->dead ? 0 : backlog_flush(&client->out, client->source.fd);

    if (sent < 0 || (client->is_cut && client_is_flushed(client)))
        client->dead = true;
    if (sent > 0)
        client->progress_ms = clock_monotonic_ms();
}

void client_cut(struct client *client, const char *reason)
{
    char message[CUT_MESSAGE_MAX];
    int length;

    if (client->dead || client->is_cut)
        return;
    length = snprintf(message, sizeof(message), "output cut off, %lld bytes behind: %s",
                      (long long)backlog_size(&client->out), reason);
    backlog_drop(&client->out);
    client->is_cut = true;
    client->attached = 0;
    client->subscribed = false;
    if (!backlog_add(&client->out, FRAME_CUT, message, (size_t)length))
        client->dead = true;
    client_flush(client);
}

/* How many bytes of the current frame are still to come, the header first. */
static int64_t missing(const struct client *client)
{
    if (client->in_length < FRAME_HEADER)
        return (int64_t)(FRAME_HEADER - client->in_length);
    if (client_frame_length(client) > FRAME_PAYLOAD_MAX)
        return -1;
    return (int64_t)(FRAME_HEADER + client_frame_length(client) - client->in_length);
}

int client_receive(struct client *client)
{
    int64_t wanted;

    if (client->in == NULL)
        client->in = malloc(FRAME_HEADER + FRAME_PAYLOAD_MAX);
    if (client->in == NULL)
        return -1;
    while ((wanted = missing(client)) > 0) {
        ssize_t got = recv(client->source.fd, client->in + client->in_length, (size_t)wanted, MSG_DONTWAIT);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN) {
            if (client->in_length == 0)
                client_consume(client);
            return 0;
        }
        if (got <= 0)
            return -1;
        client->in_length += (size_t)got;
    }
    return wanted < 0 ? -1 : 1;
}

void client_consume(struct client *client)
{
    free(client->in);
    client->in = NULL;
    client->in_length = client->in_taken = 0;
}
