/*
 * Extended attributes in layers: which of them belong to a file rather than to the host or to overlayfs, and the user
 * and group numbers inside them.
 */
#pragma once

#include "layer/tar.h"
#include "wherry/id_map.h"

/* The kernel's own bounds (xattr(7), linux/limits.h). */
#define WHERRY_XATTR_VALUE_MAX 65536
#define WHERRY_XATTR_LIST_MAX 65536

#define WHERRY_XATTR_CAPABILITY "security.capability"

/* Whether an attribute is kept in layers: user.*, file capabilities and POSIX ACLs. Those of overlayfs would redirect
 * whole directories, those of a security module belong to the host's policy. */
bool wherry_xattr_is_kept(const char *name);

enum wherry_shift { WHERRY_TO_OUTSIDE, WHERRY_TO_INSIDE };

/* Rewrites a value whose content names users: entries of ACLs (linux/posix_acl_xattr.h), and the root user for whom a
 * file's capabilities hold (linux/capability.h, vfs_ns_cap_data). `value` is copied to `out`, or cut or grown there. */
int wherry_xattr_shift(const char *name, const uint8_t *value, size_t length, const struct wherry_id_maps *maps,
                       enum wherry_shift direction, uint8_t out[WHERRY_XATTR_VALUE_MAX], size_t *out_length,
                       struct wherry_error *err);

/* Attributes of one file, read for an archive. */
struct wherry_xattr_set {
    struct wherry_tar_xattr items[256];
    size_t count;
    char *names; /* all that the file has, as listxattr(2) gives them; owned */
    size_t names_length;
    uint8_t *values; /* owned */
};

/* Reads those that are kept; `fd` may be O_PATH, of a link too. A file system without any has none. On failure there is
 * nothing to clear. */
int wherry_xattr_read(int fd, const struct wherry_id_maps *maps, struct wherry_xattr_set *set,
                      struct wherry_error *err);
void wherry_xattr_clear(struct wherry_xattr_set *set);

/* Whether the file has an attribute, kept or not. */
bool wherry_xattr_has_name(const struct wherry_xattr_set *set, const char *name);
