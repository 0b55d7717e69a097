/*
 * Which control group hierarchies this host has mounted and where, and where in them a container's directories go.
 *
 * Sources: cgroups(7), proc_pid_mountinfo(5), proc_pid_cgroup(5).
 */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <limits.h>
#include <sys/types.h>

enum cgroup_controller {
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_CPUSET,
    CGROUP_MEMORY,
    CGROUP_DEVICES,
    CGROUP_FREEZER,
    CGROUP_BLKIO, /* "io" on v2 */
    CGROUP_PIDS,
    CGROUP_HUGETLB,
    CGROUP_NET_CLS,
    CGROUP_NET_PRIO,
    CGROUP_PERF_EVENT,
    CGROUP_RDMA,
    CGROUP_MISC,
    CGROUP_DMEM,
    CGROUP_NAMED, /* a v1 hierarchy with a name and no controller, "name=systemd" */
    CGROUP_CORE,  /* the files of every v2 directory */
    CGROUP_CONTROLLERS
};

#define CGROUP_BIT(controller) (1U << (controller))

struct cgroup_mount {
    unsigned controllers; /* bits; 0 for the v2 tree */
    bool unified;
    char name[64]; /* of a named hierarchy, "" otherwise */
    char *root;    /* which group of the hierarchy is mounted */
    char *point;   /* where */
};

struct cgroup_layout {
    enum wherry_cgroup_layout kind;
    size_t count;
    struct cgroup_mount at[WHERRY_CGROUP_HIERARCHIES_MAX];
};

#define CGROUP_LAYOUT_INIT                                                                                             \
    {                                                                                                                  \
        .kind = WHERRY_CGROUP_NONE, .count = 0                                                                         \
    }

/* "memory"; the v1 name ("blkio") or the v2 one ("io"). */
const char *cgroup_controller_name(enum cgroup_controller controller, bool unified);

/* The controller of that name, v1 or v2; -1 when there is none. */
int cgroup_controller_find(const char *name, size_t length);

/* Reads /proc/self/mountinfo. */
int cgroup_layout_read(struct cgroup_layout *layout, struct wherry_error *err);

/* The same from a text in the form of mountinfo, which is changed in reading. */
int cgroup_layout_parse(char *mountinfo, struct cgroup_layout *layout, struct wherry_error *err);

/* Fills in the paths of `cg` for `cgroups_path`. Makes nothing. `own_groups` is the text of /proc/self/cgroup and is
 * needed for a relative path only; NULL reads it when it is needed. */
int cgroup_layout_place(const struct cgroup_layout *layout, const char *cgroups_path, const char *own_groups,
                        struct wherry_cgroup *cg, struct wherry_error *err);

/* The directory of the v2 tree in which process `pid` is. */
int cgroup_layout_group_of(const struct cgroup_layout *layout, pid_t pid, char path[PATH_MAX],
                           struct wherry_error *err);

void cgroup_layout_free(struct cgroup_layout *layout);
