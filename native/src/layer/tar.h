/*
 * Reading tar archives member by member: ustar and pax (POSIX.1-2017, pax, "EXTENDED DESCRIPTION"), GNU's long names,
 * base-256 numbers and sparse files ("Basic Tar Format" and "Sparse Formats" of the GNU tar manual).
 */
#pragma once

#include "layer/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum wherry_tar_type {
    WHERRY_TAR_FILE = '0',
    WHERRY_TAR_HARD_LINK = '1',
    WHERRY_TAR_SYMLINK = '2',
    WHERRY_TAR_CHARACTER = '3',
    WHERRY_TAR_BLOCK_DEVICE = '4',
    WHERRY_TAR_DIRECTORY = '5',
    WHERRY_TAR_FIFO = '6',
};

struct wherry_tar_xattr {
    const char *name; /* without the prefix that pax gives it */
    const uint8_t *value;
    size_t length;
};

/* A run of data in a sparse file. */
struct wherry_tar_extent {
    uint64_t offset, length;
};

/* One member. Pointers hold until the next one is read. */
struct wherry_tar_entry {
    enum wherry_tar_type type;
    const char *path;
    const char *link; /* target of a hard or symbolic link */
    uint32_t mode;    /* permission bits, set-user-ID and the like */
    uint32_t uid, gid;
    uint32_t device_major, device_minor;
    int64_t mtime;
    uint32_t mtime_nanoseconds;
    uint64_t size; /* of a file as it shall be on disk */
    const struct wherry_tar_xattr *xattrs;
    size_t xattr_count;
    bool sparse;
};

struct wherry_tar;

struct wherry_tar *wherry_tar_open(struct wherry_stream *stream, struct wherry_error *err);
void wherry_tar_free(struct wherry_tar *tar);

/* The next member, of which what was not read of the last one is skipped. 1, or 0 at the end of the archive. */
int wherry_tar_next(struct wherry_tar *tar, struct wherry_tar_entry *entry, struct wherry_error *err);

/* Writes the member's data to `fd`, an empty file; runs of a sparse file go to their places. */
int wherry_tar_extract(struct wherry_tar *tar, int fd, struct wherry_error *err);

static inline void wherry_cleanup_tar(struct wherry_tar **tar)
{
    wherry_tar_free(*tar);
}

#define cleanup_tar __attribute__((cleanup(wherry_cleanup_tar)))
