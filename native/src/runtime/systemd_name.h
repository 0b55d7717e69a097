/* What a container is called for systemd: linux.cgroupsPath in the form SLICE:PREFIX:NAME. Sources: systemd.unit(5),
 * systemd.slice(5), systemd.scope(5). */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>

#define SYSTEMD_NAME_MAX 256
#define SYSTEMD_GROUP_MAX 4096

struct systemd_name {
    char unit[SYSTEMD_NAME_MAX];   /* "PREFIX-NAME.scope" */
    char slice[SYSTEMD_NAME_MAX];  /* "a-b.slice" */
    char group[SYSTEMD_GROUP_MAX]; /* "/a.slice/a-b.slice/PREFIX-NAME.scope", below the manager's own group */
};

/* Without a cgroups_path the container is wherry-ID.scope; without a slice in it, in system.slice, or user.slice for an
 * ordinary user. */
int systemd_name_parse(const char *cgroups_path, const char *id, bool user, struct systemd_name *name,
                       struct wherry_error *err);
