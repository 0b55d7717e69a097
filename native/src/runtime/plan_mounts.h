/* The steps for the mounts of config.json, and what has to be opened for them on the host. */
#pragma once

#include "plan.h"

/* Appends all of them in their order. `cgroup` is made. */
int wherry_plan_push_mounts(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_cgroup *cgroup,
                            struct wherry_error *err);

/* Appends what only can be done to them when nothing has to be made in them any more. */
void wherry_plan_push_late_mounts(struct wherry_plan *plan);

/* Appends a bind mount of `tree`, a detached copy of its source as open_tree(2) returned it: negative is reported with
 * errno. The plan owns it from here on. */
int wherry_plan_push_bind(struct wherry_plan *plan, const struct wherry_mount *mount, int tree,
                          struct wherry_error *err);

/* Appends the mount of a new file system. `host_path` is where the host has the one that takes its place when the
 * container may not mount it, or NULL. */
int wherry_plan_push_filesystem(struct wherry_plan *plan, const struct wherry_mount *mount, const char *host_path,
                                struct wherry_error *err);

/* A detached copy of what is mounted at a path of the host, with these flags of open_tree(2): AT_RECURSIVE,
 * AT_SYMLINK_NOFOLLOW. Negative with errno on failure. */
int wherry_plan_open_tree(const char *path, int flags);
