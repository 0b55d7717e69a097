/* What a container has changed in its file system, as GET /containers/{id}/changes of the Engine API tells it. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The Engine API's numbers. */
enum wherry_change_kind {
    WHERRY_CHANGE_MODIFIED = 0,
    WHERRY_CHANGE_ADDED = 1,
    WHERRY_CHANGE_DELETED = 2,
};

struct wherry_changes {
    char *text; /* one after the other: a byte that is the kind, an absolute path, NUL; free(3) by the caller */
    size_t length, count;
};

/*
 * Compares an overlay's upper directory with the `count` layers below it, the top one first. Sorted by name, parents
 * before what is in them.
 *
 * A file of the upper directory is added or modified, whether or not its content differs. A directory is modified when
 * its mode, owner, time or attributes differ, or when something was added to it or deleted from it; what was in a
 * directory that was removed and made anew is deleted unless it is there again. Below a deleted directory nothing is
 * listed. With `user_xattr`, overlayfs's attributes are user.overlay.*. Fails with ENAMETOOLONG for a path of 4096
 * bytes or more.
 */
int wherry_changes_list(const char *upper, const char *const *lower, size_t count, bool user_xattr,
                        struct wherry_changes *changes, struct wherry_error *err);
