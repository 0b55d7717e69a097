/* Writing one file of a tree as a member of the archive. */
#pragma once

#include "layer/links.h"
#include "layer/sink.h"
#include "layer/xattr.h"

#include <limits.h>

#define WHERRY_PACK_NAME_MAX (2 * PATH_MAX)

struct wherry_pack_writer {
    const struct wherry_pack_options *options;
    struct wherry_sink *sink;
    struct wherry_links links;
    uint64_t entries, bytes;
    char prefix[PATH_MAX]; /* what the top is called, "" when it is no member */
    char name[WHERRY_PACK_NAME_MAX];
};

int wherry_pack_writer_open(struct wherry_pack_writer *writer, int target, const char *prefix,
                            struct wherry_error *err);
int wherry_pack_writer_finish(struct wherry_pack_writer *writer, struct wherry_layer_result *result,
                              struct wherry_error *err);
void wherry_pack_writer_close(struct wherry_pack_writer *writer);

/* Writes the file of which `fd` is a descriptor, possibly O_PATH; `path` is its name below the top. A file that has
 * another name in the archive already is a hard link to that. */
int wherry_pack_write(struct wherry_pack_writer *writer, int fd, const char *path, const struct stat *status,
                      const struct wherry_xattr_set *xattrs, struct wherry_error *err);

/* Writes the whiteout of `name` in `directory`, or says that `directory` is opaque when that is NULL. */
int wherry_pack_whiteout(struct wherry_pack_writer *writer, const char *directory, const char *name,
                         struct wherry_error *err);

#define cleanup_pack_writer __attribute__((cleanup(wherry_pack_writer_close)))
