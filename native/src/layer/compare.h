/* Whether a file is still what the layers below have under its name. */
#pragma once

#include "layer/lowers.h"

#include <stdbool.h>

/*
 * Compares kind, mode, owner, device number, size, time to the nanosecond, target of a link and extended attributes;
 * content that was changed behind all of them is not noticed. `fd` is the file, which may be O_PATH, `path` its name in
 * the layers. 1 when nothing differs, else 0.
 */
int wherry_compare_lower(const struct wherry_lowers *lowers, const struct wherry_lower *lower, int fd,
                         const struct stat *status, const char *path, struct wherry_error *err);
