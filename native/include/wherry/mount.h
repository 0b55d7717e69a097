/*
 * Mounting a file system that somebody asked for by name: the content of a volume (mount(2)).
 */
#pragma once

#include "wherry/error.h"

/* One call of mount(2): `flags` are its MS_ flags, `data` the file system's own options or NULL. */
int wherry_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data,
                 struct wherry_error *err);
