/* Which control group a container is in. */
#pragma once

#include "wherry/error.h"

#define WHERRY_CGROUP_NAME_MAX 4096

/* linux.cgroupsPath, or the container's ID below this process's own group when it is absent. Refused: "..", and
 * systemd's "slice:prefix:name". */
int wherry_cgroup_name(const char *cgroups_path, const char *id, char name[WHERRY_CGROUP_NAME_MAX],
                       struct wherry_error *err);
