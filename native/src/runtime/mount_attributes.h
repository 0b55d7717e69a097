/*
 * Flags and propagation of mounts that are there, attached or not (mount_setattr(2)). Allocates nothing: used by the
 * runtime before the clone and by the child after it.
 */
#pragma once

#include "wherry/spec.h"

/* Gives an attached mount what `wanted` says of attributes, recursive ones first, and of propagation. Fails with ENOSYS
 * where the kernel (before 5.12) cannot: attributes of everything below. */
int wherry_mount_attributes_set(int mount, const struct wherry_mount *wanted, struct wherry_error *err);

/* The same for a mount that is not attached yet. Fails with ENOSYS on kernels before 5.12, having done nothing. */
int wherry_mount_attributes_set_detached(int mount, const struct wherry_mount *wanted, struct wherry_error *err);

/* Maps the IDs of the files on `mount`, which has never been attached, as the user namespace does. */
int wherry_mount_attributes_map(int mount, bool recursive, int user_namespace, struct wherry_error *err);
