/* Groups below a container's own, by the name that `exec --cgroup` gives; see wherry/cgroup.h. */
#include "runtime/cgroup_layout.h"
#include "wherry/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether a component of the path is "..". */
static bool leads_up(const char *path)
{
    while (*path != '\0') {
        size_t length = strcspn(path, "/");

        if (length == 2 && strncmp(path, "..", 2) == 0)
            return true;
        path += length + (path[length] == '/');
    }
    return false;
}

/* The controllers of "cpu,cpuacct:PATH" as bits, and where PATH begins; all of them where none is named. */
static int parse_sub_cgroup(const char *text, unsigned *controllers, const char **path, struct wherry_error *err)
{
    const char *colon = strchr(text, ':');

    *controllers = ~0U;
    *path = colon != NULL ? colon + 1 : text;
    if (leads_up(*path))
        return wherry_error_set(err, EINVAL, "--cgroup: bad sub cgroup path: %s is not a sub cgroup path", text);
    for (const char *at = text; colon != NULL && at < colon;) {
        size_t length = strcspn(at, ",:");
        int controller = cgroup_controller_find(at, length);

        if (controller < 0)
            return wherry_error_set(err, EINVAL, "--cgroup: %s: unknown controller %.*s", text, (int)length, at);
        *controllers = (at == text ? 0 : *controllers) | CGROUP_BIT(controller);
        at += length + 1;
    }
    return 0;
}

int wherry_cgroup_descend(struct wherry_cgroup *cg, const char *text, struct wherry_error *err)
{
    unsigned controllers;
    const char *path;
    int result = parse_sub_cgroup(text, &controllers, &path, err);

    for (size_t i = 0; i < cg->count && result == 0; i++) {
        struct wherry_cgroup_directory *directory = &cg->at[i];
        char *below;

        if (controllers != ~0U && (directory->controllers & controllers) == 0)
            continue;
        if (asprintf(&below, "%s/%s", directory->path, path + strspn(path, "/")) < 0)
            return wherry_error_set(err, ENOMEM, "--cgroup");
        free(directory->path);
        directory->path = below;
    }
    return result;
}
