/*
 * Taking a change of limits back: before a file is written, what it says is noted as the setting that brings it back.
 */
#pragma once

#include "runtime/cgroup_setting.h"
#include "wherry/cgroup.h"
#include "wherry/error.h"

/* Notes what `file` in `directory` says of that which writing `setting` would change. What cannot be read cannot be
 * brought back, and is left out. Fails with -ENOMEM only. */
int cgroup_undo_note(struct cgroup_settings *undo, const struct cgroup_setting *setting, const char *file,
                     const char *value, int directory);

/* Writes what was noted, the last first. What the kernel refuses is added to the message in `err`, which tells why the
 * change failed. */
void cgroup_undo_apply(struct cgroup_settings *undo, struct wherry_cgroup *cg, struct wherry_error *err);
