/*
 * A connection to the monitor's socket: frames in, and a bounded backlog of frames out.
 *
 * A client that reads slower than the container writes has the difference kept for it (backlog.h), and the container
 * does not notice. When its backlog is full, it is cut off: the container never waits. One that attached before the
 * start is whom the output is for, and has CLIENT_OWNER_SHARE times as much kept for it. A further process (exec) is
 * its client's alone: it waits. Who is cut off is told so in its last frame.
 */
#pragma once

#include "monitor/backlog.h"
#include "monitor/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLIENT_OWNER_SHARE 16

/* What an epoll event belongs to; first member of whatever is waited for. */
enum source_kind {
    SOURCE_LISTENER,
    SOURCE_SIGNALS,
    SOURCE_OUTPUT,
    SOURCE_ERROR,
    SOURCE_INPUT,
    SOURCE_CLIENT,
    SOURCE_OOM,
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
    bool is_counted;
    bool is_cut; /* it gets what is left of its backlog, and no more */
    struct backlog out;
    uint64_t progress_ms; /* when it last took something, or had nothing to take */
};

/* NULL when memory is out; the descriptor then stays the caller's. */
struct client *client_new(int fd);
void client_free(struct client *client);

/* Queues a frame. A client for which it cannot be kept is cut off. */
void client_send(struct client *client, enum frame_type type, const void *payload, size_t length);

/* Writes what the client takes of its queue. */
void client_flush(struct client *client);

/* Drops what waits and tells why; the connection ends when that has gone. */
void client_cut(struct client *client, const char *reason);

static inline bool client_is_flushed(const struct client *client)
{
    return client->out.length == 0 && client->out.file < 0;
}

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
