/*
 * Frames on their way to one client: in memory up to BACKLOG_MEMORY, then in a file without a name, a ring of a bounded
 * size whose space is reserved before it is needed. Frames stay whole: what has been begun can always be ended.
 */
#pragma once

#include "monitor/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BACKLOG_MEMORY (256 * 1024)
#define BACKLOG_FILE_DEFAULT (256LL * 1024 * 1024)

struct backlog {
    int directory;    /* where the file is made; -1: there is none */
    int64_t file_max; /* bytes; 0: no file */
    uint8_t *memory;
    size_t start, length, room;
    size_t begun; /* bytes that are missing of the frame of which some have gone */
    int file;     /* -1: nothing was put there */
    int64_t taken, written, reserved;
    bool cramped; /* the disk has no more room */
};

#define BACKLOG_INIT                                                                                                   \
    {                                                                                                                  \
        .directory = -1, .file = -1                                                                                    \
    }

void backlog_free(struct backlog *backlog);

/* Bytes that wait. */
int64_t backlog_size(const struct backlog *backlog);

/* Whether it should grow no further. It can all the same, by what pipes hold. */
bool backlog_is_full(const struct backlog *backlog);

/* Takes a frame; false when there is no way to keep it. */
bool backlog_add(struct backlog *backlog, enum frame_type type, const void *payload, size_t length);

/* Sends what the socket takes. How many bytes went, or -1 when the peer has gone. */
int64_t backlog_flush(struct backlog *backlog, int socket);

/* Forgets all but the rest of the frame that has been begun. */
void backlog_drop(struct backlog *backlog);
