/*
 * A container's groups as a scope of systemd: made by it, and known to it, so that it takes account of their limits and
 * leaves what is inside alone (Delegate=).
 *
 * A scope cannot be without a process. Until the container's first one is there, a keeper is in it: a process of the
 * runtime's that sleeps and ends with it.
 */
#pragma once

#include "runtime/cgroup_devices.h"
#include "runtime/cgroup_setting.h"
#include "wherry/cgroup.h"
#include "wherry/error.h"

/* Starts the scope with the limits that systemd knows, and the keeper in it. Its directories are there afterwards. */
int cgroup_unit_start(struct wherry_cgroup *cg, const struct cgroup_settings *settings,
                      const struct cgroup_device_rules *rules, struct wherry_error *err);

/* Tells systemd of limits that are written already, and writes what it has put in their place once more: it has some of
 * them less finely, and others not at all. `rules` NULL: the devices stay as they are. */
int cgroup_unit_update(struct wherry_cgroup *cg, const struct cgroup_settings *settings,
                       const struct cgroup_device_rules *rules, struct wherry_error *err);

/* Ends the keeper, if there is one. */
void cgroup_unit_release(struct wherry_cgroup *cg);

/* Has systemd stop the scope and forget it. */
int cgroup_unit_stop(struct wherry_cgroup *cg, struct wherry_error *err);
