/* The steps for a mount of type "cgroup": the container's view of the control groups. Private to plan_create.c. */
#pragma once

#include "plan.h"

int wherry_plan_push_cgroup_mount(struct wherry_plan *plan, const struct wherry_spec *spec,
                                  const struct wherry_mount *mount, struct wherry_cgroup *cgroup,
                                  struct wherry_error *err);
