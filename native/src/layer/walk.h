/*
 * Going over a directory tree in the order of names, parents before what is in them, by descriptors alone: no link is
 * followed, and what is swapped meanwhile is at worst left out. Memory holds the names of the directories on the way
 * down, and a bounded number of descriptors is open however deep the tree is.
 */
#pragma once

#include "wherry/error.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Open directories; those above are opened again on the way up. */
#define WHERRY_WALK_OPEN_MAX 32

struct wherry_walk_level;

struct wherry_walk {
    struct wherry_walk_level *levels; /* the top is first; owned */
    size_t depth, room;
    bool nodes_first; /* character devices, which whiteouts are, come before their siblings */
    char path[PATH_MAX];
    int item; /* O_PATH descriptor of the last item */
};

struct wherry_walk_item {
    const char *path; /* from the top, without a leading slash */
    const char *name; /* its last component */
    int fd;           /* O_PATH; valid until the next call, as the names are */
    struct stat status;
};

/* Begins at an open directory, which is taken over also on failure. */
int wherry_walk_open(struct wherry_walk *walk, int top, bool nodes_first, struct wherry_error *err);
void wherry_walk_close(struct wherry_walk *walk);

/* The next item of the directory that was entered last, or of those above. 1, or 0 at the end. */
int wherry_walk_next(struct wherry_walk *walk, struct wherry_walk_item *item, struct wherry_error *err);

/* Goes into the directory that is the last item; `fd` is it, open for reading, and taken over also on failure. */
int wherry_walk_enter(struct wherry_walk *walk, int fd, struct wherry_error *err);

/* The directory at `level` on the way down, 0 being the top: open for reading, or -1 when it was moved meanwhile.
 * *path_length is set to how much of walk->path is its own. */
int wherry_walk_directory(struct wherry_walk *walk, size_t level, size_t *path_length);

/* Whether the directory entered last has an item of this name. Not for a walk with `nodes_first`. */
bool wherry_walk_has(const struct wherry_walk *walk, const char *name);
