/* Hearing of it when a container's group is out of memory, for which the kernel kills one of its processes. Sources:
 * the kernel's Documentation/admin-guide/cgroup-v1/memory.rst "Memory notifications", cgroup-v2.rst "memory.events",
 * inotify(7). */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <stdint.h>

struct oom_watch {
    int fd;    /* readable when there may be something to hear; -1: this host does not tell */
    int group; /* the directory, the watched group's own; not to be closed */
    bool unified;
    uint64_t kills; /* v2: that have been heard of */
};

#define OOM_WATCH_INIT                                                                                                 \
    {                                                                                                                  \
        .fd = -1, .group = -1                                                                                          \
    }

/* Listens from now on. `cg` has to outlive the watch. Without a memory controller there is nothing to hear. */
int oom_watch_open(struct wherry_cgroup *cg, struct oom_watch *watch, struct wherry_error *err);

/* How often it has been out of memory since the last call; does not wait. */
uint64_t oom_watch_count(struct oom_watch *watch);

void oom_watch_close(struct oom_watch *watch);
