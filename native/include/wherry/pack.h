/*
 * Packing a directory into a tar archive: an image layer, or what `docker export` and `docker cp` give
 * (OCI image specification, layer.md).
 */
#pragma once

#include "wherry/id_map.h"
#include "wherry/layer.h"

enum wherry_pack_form {
    WHERRY_PACK_TREE,  /* the tree as it is; a name that a layer would read as a whiteout is kept, too */
    WHERRY_PACK_UPPER, /* an overlay's upper directory: its whiteouts and opaque directories take the archive's form */
    WHERRY_PACK_DIFF,  /* a whole tree, of which only what differs from the lower layers is packed */
};

enum wherry_compression {
    WHERRY_COMPRESSION_NONE,
    WHERRY_COMPRESSION_GZIP,
    WHERRY_COMPRESSION_ZSTD,
};

struct wherry_pack_options {
    enum wherry_pack_form form;
    enum wherry_compression compression;
    int level;        /* of the compression; 0: 6 for gzip, 3 for zstd */
    unsigned threads; /* that compress; 0: one a processor, at most 8. The bytes do not depend on it. */
    bool user_xattr;  /* overlayfs's attributes are user.overlay.* (mounted with userxattr in a user namespace) */
    struct wherry_layer_limits limits; /* of the tar; a file with holes can be larger than any disk */
    struct wherry_id_maps ids;         /* owners on disk are shifted back to what the archive says */
    const char *const *lower;          /* WHERRY_PACK_DIFF: the layers below, the top one first */
    size_t lower_count;
    const char *const *places; /* of mounts ("etc/hosts"): an empty file or a directory there is no member */
    size_t place_count;
};

/*
 * Writes the tree below the directory `source` to `target` as a pax archive and says its digests and sizes; `target` is
 * a file, pipe or socket. The directory itself is no member. The same tree gives the same bytes: members are sorted,
 * no names of users, access times or numbers of this host are written.
 *
 * Kept are owners, modes, times to the nanosecond, hard links, devices, fifos, and of the extended attributes user.*,
 * file capabilities and POSIX ACLs. A sparse file is written whole, as the OCI specification asks; its holes are not
 * read. Sockets have no form in an archive and are left out.
 *
 * The tree may change meanwhile: what vanishes is left out, what shrinks is filled up with zeros, links are not
 * followed, and no device or fifo is opened.
 *
 * Fails with EINVAL for what a layer cannot say (a file named ".wh.x"; in an upper directory an overlay.redirect or
 * overlay.metacopy), EOVERFLOW for an owner that the map does not have, ENAMETOOLONG for a path of 4096 bytes or more,
 * EFBIG and E2BIG beyond a limit. What was written so far is no archive then.
 */
int wherry_pack_directory(const char *source, int target, const struct wherry_pack_options *options,
                          struct wherry_layer_result *result, struct wherry_error *err);

/*
 * Packs `path` inside `root` (openat2(2), RESOLVE_IN_ROOT: links and ".." stay below it, whoever swaps them meanwhile),
 * a directory with all that is in it. A symbolic link as the last component is packed as a link unless `path` ends in a
 * slash. In the archive it is called `name` ("" with a directory: only what is in it). For the form
 * WHERRY_PACK_TREE only.
 */
int wherry_pack_path(int root, const char *path, const char *name, int target,
                     const struct wherry_pack_options *options, struct wherry_layer_result *result,
                     struct wherry_error *err);

/*
 * Reads a stream that is compressed by gzip or zstd or not at all, of whatever content, and writes it to `target` in
 * the compression of `options`, of which only that, its level and threads, and limits.max_bytes count. The result is
 * that of the packing functions: `size` and `diff_id` are the content's.
 */
int wherry_recompress(int source, int target, const struct wherry_pack_options *options,
                      struct wherry_layer_result *result, struct wherry_error *err);
