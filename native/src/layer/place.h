/*
 * Where a member of the archive belongs: its name cleaned, and its parent directory opened below the layer's own.
 *
 * The parent of the last member stays open for the next one. Putting something into a directory changes the directory's
 * time; it is set back when the parent is let go, so that directories keep the times that the archive gave them however
 * its members are ordered.
 */
#pragma once

#include "wherry/layer.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory that is open for a change, and its status before. */
struct wherry_place_directory {
    int fd; /* -1: none */
    struct stat before;
};

struct wherry_place {
    int root;
    const char *base; /* where in the root everything goes, "" for the root itself */
    const struct wherry_unpack_options *options;
    bool is_layer;   /* whiteouts mean something, and nobody else changes the directory */
    bool sets_modes; /* what is made has its final mode at once: no umask, and no default ACL so far */
    uid_t uid;       /* to whom belongs what this process makes */
    gid_t gid;
    struct wherry_place_directory parent;
    char parent_path[PATH_MAX]; /* cleaned; "" is the root */
};

/* Takes the open directory `root` over; all else is at rest. */
void wherry_place_init(struct wherry_place *place, int root, const char *base,
                       const struct wherry_unpack_options *options);
void wherry_place_close(struct wherry_place *place);

/* Writes `name` without "", "." and ".." components and without a leading slash; "" is the root. Fails when the name
 * leaves the root. */
int wherry_place_clean(const char *name, char clean[PATH_MAX], struct wherry_error *err);

/* Opens the parent of a cleaned path, making what is missing; *name is set to the last component, inside `path`. The
 * descriptor stays the place's own and is valid until the next call. */
int wherry_place_parent(struct wherry_place *place, const char *path, const char **name, struct wherry_error *err);

/* The same for what must be there (the target of a hard link); the descriptor is the caller's. */
int wherry_place_existing_parent(const struct wherry_place *place, const char *path, const char **name,
                                 struct wherry_error *err);

/* How many members an archive may have, and how many files may go to make way for one. */
uint64_t wherry_place_most_entries(const struct wherry_place *place);

/* The owner on disk of what the archive says belongs to `uid` and `gid`. */
int wherry_place_owner(const struct wherry_place *place, uint32_t uid, uint32_t gid, uint32_t *uid_out,
                       uint32_t *gid_out, struct wherry_error *err);

/* Lets the cached parent go when it is this directory, whose times are about to be set. */
void wherry_place_forget(struct wherry_place *place, const struct stat *directory);
