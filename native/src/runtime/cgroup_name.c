/* Which control group a container is in; see cgroup_name.h. */
#include "cgroup_name.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool has_parent_component(const char *path)
{
    while (*path != '\0') {
        size_t length = strcspn(path, "/");

        if (length == 2 && path[0] == '.' && path[1] == '.')
            return true;
        path += length + strspn(path + length, "/");
    }
    return false;
}

int wherry_cgroup_name(const char *cgroups_path, const char *id, char name[WHERRY_CGROUP_NAME_MAX],
                       struct wherry_error *err)
{
    const char *path = cgroups_path != NULL && cgroups_path[0] != '\0' ? cgroups_path : id;

    if (strchr(path, ':') != NULL)
        return wherry_error_set(err, 0, "linux.cgroupsPath: %s: systemd's form needs --systemd-cgroup", path);
    if (has_parent_component(path))
        return wherry_error_set(err, 0, "linux.cgroupsPath: %s: must not contain ..", path);
    if ((size_t)snprintf(name, WHERRY_CGROUP_NAME_MAX, "%s", path) >= WHERRY_CGROUP_NAME_MAX)
        return wherry_error_set(err, ENAMETOOLONG, "linux.cgroupsPath: %s", path);
    return 0;
}
