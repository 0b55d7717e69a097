/* Making one member of the archive: file, directory, link, device or fifo, with owner, mode, time and attributes. */
#pragma once

#include "layer/place.h"
#include "layer/tar.h"

/* `path` is cleaned and no whiteout. What is in the way is replaced, except that a directory joins a directory. */
int wherry_member_make(struct wherry_place *place, struct wherry_tar *tar, const struct wherry_tar_entry *entry,
                       const char *path, struct wherry_error *err);
