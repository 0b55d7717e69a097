/* Whether the kernel killed processes of the container because its memory ran out, and when. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define OOM_PATH_MAX 4096

struct oom_watch {
    int file;       /* that counts such kills; -1: the host counts none */
    int event;      /* v1: becomes readable when memory has run out; -1 on v2 */
    uint64_t count; /* as last read */
};

#define OOM_WATCH_INIT                                                                                                 \
    {                                                                                                                  \
        .file = -1, .event = -1                                                                                        \
    }

/* Begins to watch the group that `pid` is in. */
void oom_open(struct oom_watch *watch, pid_t pid);
void oom_close(struct oom_watch *watch);

/* What to wait for with epoll(7); -1: nothing will tell. v1 tells before it kills, v2 of much else too. */
int oom_wait_fd(const struct oom_watch *watch, uint32_t *events);

/* Reads the count, and makes ready for the next event. */
uint64_t oom_read(struct oom_watch *watch);
