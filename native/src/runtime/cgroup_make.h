/* Making the directories of a container, with what the kernel wants of their parents; see wherry/cgroup.h. */
#pragma once

#include "runtime/cgroup_setting.h"
#include "wherry/cgroup.h"
#include "wherry/error.h"

/* Makes every directory of `cg` and its missing parents. Those that were made are marked. */
int cgroup_make_directories(struct wherry_cgroup *cg, struct wherry_error *err);

/* Makes the controllers that `settings` write to, and all others that there are, available in the v2 directory; fails
 * when one of the former is not to be had. Nothing to do on v1. */
int cgroup_make_controllers(struct wherry_cgroup *cg, const struct cgroup_settings *settings, struct wherry_error *err);

/* Fails when the container's group, or one above it, is frozen: a process that enters it would never come further. */
int cgroup_refuse_frozen(struct wherry_cgroup *cg, struct wherry_error *err);
