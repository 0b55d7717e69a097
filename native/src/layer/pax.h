/* The extended header of a pax archive: what it says replaces what the member's own header says. */
#pragma once

#include "layer/sparse.h"
#include "layer/tar.h"

#define WHERRY_PAX_XATTRS_MAX 256

struct wherry_pax {
    char *text; /* the records, owned; all strings point into it */
    const char *path, *link;
    bool has_size, has_uid, has_gid, has_mtime;
    uint64_t size;
    uint32_t uid, gid;
    int64_t mtime;
    uint32_t mtime_nanoseconds;
    struct wherry_tar_xattr xattrs[WHERRY_PAX_XATTRS_MAX];
    size_t xattr_count;

    const char *sparse_name; /* of a sparse file, whose `path` is a stand-in */
    bool sparse;
    bool map_in_data; /* GNU.sparse.major=1; older versions have the map here */
    uint64_t real_size;
    struct wherry_sparse_map map;
    bool offset_pending; /* version 0.0 gives offset and length in turn */
    uint64_t pending_offset;
};

/* Takes `text` of `length` bytes, which has room for one more, and reads its records over what an earlier header said.
 */
int wherry_pax_parse(struct wherry_pax *pax, char *text, size_t length, struct wherry_error *err);
void wherry_pax_clear(struct wherry_pax *pax);
