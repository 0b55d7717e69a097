/*
 * Whole files: read within a bound, written so that a reader sees the old content or the new and nothing between.
 * `dirfd` and `path` are as for openat(2).
 */
#pragma once

#include "wherry/error.h"

#include <stddef.h>
#include <sys/types.h>

/* Reads a regular file of at most `limit` bytes into *text, which is NUL-terminated and freed by the caller. Fails with
 * EFBIG beyond the limit and with EINVAL on anything that is not a regular file; a FIFO does not block it. */
int wherry_file_read(int dirfd, const char *path, size_t limit, char **text, size_t *length, struct wherry_error *err);

/* The same from an open descriptor, of a regular file or of a kernel file whose size reads as 0. */
int wherry_file_read_fd(int fd, const char *name, size_t limit, char **text, size_t *length, struct wherry_error *err);

/* Writes `text` to a temporary name beside `path` and renames it. No fsync: the run state is void after a reboot. */
int wherry_file_replace(int dirfd, const char *path, const char *text, size_t length, mode_t mode,
                        struct wherry_error *err);

/* Opens an existing file for writing (a kernel file), writes all of `text` in one write, closes. */
int wherry_file_write(int dirfd, const char *path, const char *text, struct wherry_error *err);

/* write(2) until all is written, through EINTR. 0, or -errno. */
int wherry_write_all(int fd, const void *data, size_t length);
