/*
 * Mounting a container's root file system: image layers under one writable directory, by overlayfs
 * (Documentation/filesystems/overlayfs in the kernel's tree).
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Mounts an overlay at `target`: `lower` holds `count` directories, the top one first; `upper` and `work` are NULL for
 * a read-only stack. The new mount API takes one layer a call where the kernel knows it (6.5); before that all layers
 * must fit into one page of options, for which they are named by their descriptors' numbers (needs /proc).
 */
int wherry_overlay_mount(const char *target, const char *const *lower, size_t count, const char *upper,
                         const char *work, struct wherry_error *err);

/* An overlay whose layers, upper and work directory are seen through the ID map of a user namespace. */
struct wherry_mapped_overlay {
    const char *target;
    const char *const *lower; /* the top one first */
    size_t lower_count;
    const char *data; /* the directory that holds both of the next two, which are names in it */
    const char *upper, *work;
    const char *user_namespace; /* path of a file that keeps it */
    uint32_t uid, gid;          /* what its root is outside */
};

/* As wherry_overlay_mount, with mapped owners; needs Linux 5.19 and file systems that can be mapped. */
int wherry_overlay_mount_mapped(const struct wherry_mapped_overlay *wanted, struct wherry_error *err);

/* Unmounts what is on top of `target`; `lazy` lets go at once and leaves the rest to the last user (MNT_DETACH). A
 * target that is not a mount point, or is not there, is no error. Links are not followed. */
int wherry_unmount(const char *target, bool lazy, struct wherry_error *err);
