/* A place for files: a tmpfs over /mnt, which this process alone sees. Needs root. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>

#define PLACE "/mnt"

static inline void must(bool done, const char *what)
{
    if (!done) {
        perror(what);
        abort();
    }
}

static inline void place_make(const char *options)
{
    must(unshare(CLONE_NEWNS) == 0, "unshare");
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "make the mounts private");
    must(mount("fuzz", PLACE, "tmpfs", 0, options) == 0, "mount a tmpfs");
}
