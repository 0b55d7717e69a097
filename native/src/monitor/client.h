/*
 * A connection to the monitor's socket: frames in, and a bounded queue of frames out.
 *
 * A client that reads slower than the container writes makes the monitor read the container's output slower, once
 * CLIENT_QUEUE_MAX bytes wait for it. One that takes nothing at all for CLIENT_STALL_MS is cut off: it never holds the
 * container for longer.
 */
#pragma once

#include "monitor/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_QUEUE_MAX (1024 * 1024)
#define CLIENT_STALL_MS 5000

/* What an epoll event belongs to; first member of whatever is waited for. */
enum source_kind {
    SOURCE_LISTENER,
    SOURCE_SIGNALS,
    SOURCE_OUTPUT,
    SOURCE_ERROR,
    SOURCE_INPUT,
    SOURCE_CLIENT,
    SOURCE_LOG
};

struct source {
    enum source_kind kind;
    int fd;
    uint32_t events; /* what is waited for now */
};

struct client {
    struct source source;
    struct client *next;
    unsigned attached; /* enum attach_flag */
    bool subscribed;
    bool dead;    /* to be freed once the current batch of events is done */
    bool blocked; /* its frame for stdin waits until the container takes more */
    uint8_t *in;  /* the frame that is being received */
    size_t in_length;
    size_t in_taken; /* of a STDIN frame's payload */
    uint8_t *out;
    size_t out_length;
    size_t out_room;
    uint64_t progress_ms; /* when it last took something */
};

/* NULL when memory is out; the descriptor then stays the caller's. */
struct client *client_new(int fd);
void client_free(struct client *client);

/* Queues a frame; the client is marked dead when memory is out. */
void client_send(struct client *client, enum frame_type type, const void *payload, size_t length);

/* Writes what the client takes of its queue. */
void client_flush(struct client *client);

/* Reads what has come of the next frame. 1: a whole frame is in client->in; 0: not yet; -1: the client has gone, or
 * talks nonsense. */
int client_receive(struct client *client);

/* The frame in client->in is done with. */
void client_consume(struct client *client);

static inline enum frame_type client_frame_type(const struct client *client)
{
    return (enum frame_type)client->in[0];
}

static inline uint32_t client_frame_length(const struct client *client)
{
    return frame_u32(client->in + 4);
}
