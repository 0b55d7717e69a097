/* See client.h. */
#include "monitor/client.h"

#include "monitor/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUEUE_STEP 4096

struct client *client_new(int fd)
{
    struct client *client = calloc(1, sizeof(*client));

    if (client != NULL) {
        client->source = (struct source){.kind = SOURCE_CLIENT, .fd = fd};
        client->progress_ms = clock_monotonic_ms();
    }
    return client;
}

void client_free(struct client *client)
{
    close(client->source.fd);
    free(client->in);
    free(client->out);
    free(client);
}

static bool make_room(struct client *client, size_t more)
{
    size_t room = client->out_room == 0 ? QUEUE_STEP : client->out_room;
    uint8_t *larger;

    while (room - client->out_length < more)
        room *= 2;
    if (room == client->out_room)
        return true;
    larger = realloc(client->out, room);
    if (larger == NULL)
        return false;
    client->out = larger;
    client->out_room = room;
    return true;
}

void client_send(struct client *client, enum frame_type type, const void *payload, size_t length)
{
    if (client->dead)
        return;
    if (!make_room(client, FRAME_HEADER + length)) {
        client->dead = true;
        return;
    }
    if (client->out_length == 0)
        client->progress_ms = clock_monotonic_ms();
    frame_header_write(client->out + client->out_length, type, (uint32_t)length);
    if (length > 0)
        memcpy(client->out + client->out_length + FRAME_HEADER, payload, length);
    client->out_length += FRAME_HEADER + length;
    client_flush(client);
}

void client_flush(struct client *client)
{
    size_t sent = 0;

    while (!client->dead && sent < client->out_length) {
        ssize_t taken =
            send(client->source.fd, client->out + sent, client->out_length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0 && errno == EAGAIN)
            break;
        if (taken < 0)
            client->dead = true;
        else
            sent += (size_t)taken;
    }
    if (sent == 0)
        return;
    client->progress_ms = clock_monotonic_ms();
    client->out_length -= sent;
    memmove(client->out, client->out + sent, client->out_length);
    if (client->out_length == 0) { /* a monitor is small while nobody looks */
        free(client->out);
        client->out = NULL;
        client->out_room = 0;
    }
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
