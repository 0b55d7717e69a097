/*
 * Unpacking an image layer: a tar archive, plain or compressed with gzip or zstd, into one directory of an overlay
 * (OCI image specification, layer.md). The archive is hostile input: whatever it says, nothing outside the directory
 * changes.
 */
#pragma once

#include "wherry/error.h"

#include <stdint.h>

#define WHERRY_DIGEST_HEX 65

struct wherry_layer_limits {
    uint64_t max_bytes;   /* of the tar; 0: no bound */
    uint64_t max_entries; /* members of the archive; 0: 4 million */
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
 * On failure, EFBIG or E2BIG beyond a limit and EBADMSG for a malformed archive among them, what was unpacked so far
 * stays for the caller to remove.
 */
int wherry_layer_unpack(int source, const char *target, const struct wherry_layer_limits *limits,
                        struct wherry_layer_result *result, struct wherry_error *err);
