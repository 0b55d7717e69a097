/* Whiteouts: what a layer takes away from those below it, in the archive's form and in overlayfs's. */
#pragma once

#include "wherry/error.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

enum wherry_whiteout_kind {
    WHERRY_WHITEOUT_NONE,   /* an ordinary name */
    WHERRY_WHITEOUT_HIDE,   /* ".wh.NAME": NAME of the lower layers is gone */
    WHERRY_WHITEOUT_OPAQUE, /* ".wh..wh..opq": all that the lower layers have in this directory is gone */
    WHERRY_WHITEOUT_IGNORE, /* ".wh..wh.*": bookkeeping of aufs, which is no content */
};

/* What a cleaned path means. A whiteout of no name, of "." or "..", and one used as a directory are errors. */
int wherry_whiteout_kind(const char *path, enum wherry_whiteout_kind *kind, struct wherry_error *err);

/* The NAME of ".wh.NAME". */
const char *wherry_whiteout_hidden_name(const char *name);

/* Hides `name`. Where this layer has something of that name already, that stays, and only what is below it goes. */
int wherry_whiteout_hide(int parent, const char *name, bool user_xattr, struct wherry_error *err);

/* With `user_xattr` by user.overlay.opaque, which an overlay mounted with that option reads (overlayfs, "userxattr").
 */
int wherry_whiteout_set_opaque(int directory, bool user_xattr, struct wherry_error *err);

/* Whether `name` in `parent` is a whiteout in overlayfs's form. */
bool wherry_whiteout_is_at(int parent, const char *name);
bool wherry_whiteout_is(const struct stat *status);

/* Whether a directory hides what the layers below have in it; `fd` may be O_PATH. */
bool wherry_whiteout_is_opaque(int fd, bool user_xattr);

/* Writes the name that an archive has for a whiteout of `name`, or for an opaque directory when that is NULL, behind
 * `length` bytes of `path`. */
int wherry_whiteout_name(char path[PATH_MAX], size_t length, const char *name, struct wherry_error *err);
