/*
 * Whom files belong to that a thread makes (setfsuid(2)).
 *
 * On an ID-mapped mount, and on an overlay over such, only owners that are in the map can make anything: root of the
 * host is not among them, whatever it may do.
 */
#pragma once

#include "wherry/error.h"

#include <sys/types.h>

/* Makes the calling thread that user and group for file systems; it keeps its capabilities. There is no way back: a
 * thread that ends with its work is to call it. */
int wherry_fs_user_become(uid_t uid, gid_t gid, struct wherry_error *err);
