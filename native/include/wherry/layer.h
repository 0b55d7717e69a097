/*
 * Unpacking a tar archive, plain or compressed with gzip or zstd: an image layer into one directory of an overlay
 * (OCI image specification, layer.md), or any archive into a directory of a container. The archive is hostile input:
 * whatever it says, nothing outside the directory or the container's root changes.
 */
#pragma once

#include "wherry/error.h"
#include "wherry/id_map.h"

#include <stdbool.h>
#include <stdint.h>

#define WHERRY_DIGEST_HEX 65

struct wherry_layer_limits {
    uint64_t max_bytes;   /* of the tar; 0: no bound */
    uint64_t max_entries; /* members of the archive; 0: 4 million */
};

struct wherry_unpack_options {
    struct wherry_layer_limits limits;
    struct wherry_id_maps ids; /* owners in the archive are shifted to what stands on disk */

    /* wherry_layer_unpack: opaque directories are marked by user.overlay.opaque, for an overlay that is mounted with
     * userxattr in a user namespace. */
    bool user_xattr;

    /* wherry_archive_unpack: a directory does not give way to anything else, nor anything else to a directory. */
    bool no_overwrite_dir_non_dir;
    bool has_owner; /* all that is made belongs to uid and gid, which are as in the archive: not shifted yet */
    uint32_t uid, gid;
};

struct wherry_layer_result {
    char diff_id[WHERRY_DIGEST_HEX]; /* SHA-256 of the tar, hexadecimal */
    char digest[WHERRY_DIGEST_HEX];  /* SHA-256 of the bytes as they came */
    uint64_t compressed_size;        /* bytes as they came */
    uint64_t size;                   /* bytes of the tar */
    uint64_t entries;
};

/*
 * Reads the layer from `source` (file, pipe or socket) to its end and unpacks it into the directory `target`, which
 * nobody else may change meanwhile. Owners, modes, times and extended attributes are restored; of the latter only
 * user.*, security.capability and POSIX ACLs, and never overlayfs's own.
 *
 * Whiteouts take overlayfs's form: ".wh.NAME" becomes a character device 0:0 called NAME, ".wh..wh..opq" sets
 * trusted.overlay.opaque on its directory. A whiteout hides what lower layers have and nothing of its own layer.
 *
 * Names are cleaned as path names; one that leaves the directory is an error, an absolute one is taken relative.
 * Symbolic links that the layer itself has made are followed inside the directory, as in a chroot.
 *
 * Members that the specification does not know, or that name what is not there (a hard link to a later member), are
 * errors.
 *
 * On failure, EFBIG or E2BIG beyond a limit and EBADMSG for a malformed archive among them, what was unpacked so far
 * stays for the caller to remove.
 */
int wherry_layer_unpack(int source, const char *target, const struct wherry_unpack_options *options,
                        struct wherry_layer_result *result, struct wherry_error *err);

/*
 * Unpacks an archive into the existing directory `path` inside `root`, an open directory: what PUT
 * /containers/{id}/archive does. Every name is looked up anew below `root` (openat2(2), RESOLVE_IN_ROOT) and changed by
 * descriptor, so that whoever swaps directories and links meanwhile gains nothing. Links that are there are followed
 * inside the root where they stand for directories, and replaced where they are in the way.
 *
 * No name has a special meaning: ".wh.x" is a file. What is there already is replaced, a directory joins a directory.
 * Fails with ENOTDIR when `path` is no directory, EEXIST where no_overwrite_dir_non_dir forbids.
 */
int wherry_archive_unpack(int source, int root, const char *path, const struct wherry_unpack_options *options,
                          struct wherry_layer_result *result, struct wherry_error *err);
