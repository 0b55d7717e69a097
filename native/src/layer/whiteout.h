/* Whiteouts: what a layer takes away from those below it, in the archive's form and in overlayfs's. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>

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
int wherry_whiteout_hide(int parent, const char *name, struct wherry_error *err);

int wherry_whiteout_set_opaque(int directory, struct wherry_error *err);

/* Whether `name` in `parent` is a whiteout in overlayfs's form. */
bool wherry_whiteout_is_at(int parent, const char *name);
