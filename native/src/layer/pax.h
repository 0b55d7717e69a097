/* The extended header of a pax archive: what it says replaces what the member's own header says. */
#pragma once

#include "layer/sparse.h"
#include "layer/tar.h"

#define WHERRY_PAX_XATTRS_MAX 256

struct wherry_pax {
    char *text; /* the records, owned; strings point into it or into that of a global header */
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

/* Begins a member with what the global headers said so far, of which it keeps pointers. */
void wherry_pax_begin(struct wherry_pax *pax, const struct wherry_pax *global);

/* Takes `text` of `length` bytes, which has room for one more, and reads its records over what was there. An empty
 * value takes back what a global header said (POSIX); attributes are empty then. */
int wherry_pax_parse(struct wherry_pax *pax, char *text, size_t length, struct wherry_error *err);
void wherry_pax_clear(struct wherry_pax *pax);
