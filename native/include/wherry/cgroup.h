/*
 * Control groups of one container: made, limited, frozen, emptied and removed, on v1, v2 and hybrid layouts.
 *
 * Which layout the host has is read once from /proc/self/mountinfo. Where any v1 hierarchy carries a controller (also
 * beside a v2 tree: "hybrid"), v1 carries the limits and every mounted v1 hierarchy, the named ones included, gets a
 * directory; otherwise there is one directory in the v2 tree. A limit that this kernel cannot apply is an error that
 * names it.
 *
 * Sources: cgroups(7), the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst, OCI runtime-spec
 * config-linux.md "Control groups".
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct json_object;

enum wherry_cgroup_layout {
    WHERRY_CGROUP_NONE, /* no cgroup file system is mounted */
    WHERRY_CGROUP_V1,
    WHERRY_CGROUP_HYBRID, /* v1 carries the limits, a v2 tree is mounted beside it */
    WHERRY_CGROUP_V2,
};

#define WHERRY_CGROUP_HIERARCHIES_MAX 20

/* One directory of the container: in one v1 hierarchy, or in the v2 tree. */
struct wherry_cgroup_directory {
    unsigned controllers; /* bits of enum cgroup_controller, see src/runtime/cgroup_layout.h */
    bool unified;         /* in the v2 tree */
    bool made;            /* by wherry_cgroup_make in this process, and not found there */
    char *path;           /* absolute, as this process sees it */
    int fd;               /* of the directory, opened at need; -1 until then */
};

struct wherry_cgroup {
    enum wherry_cgroup_layout layout;
    size_t count;
    bool rootless; /* device rules, which only the first user namespace's root may set, are left to its kernel */
    char *warning; /* what was left out because the kernel has removed it for good; NULL: nothing */
    char *unit;    /* the scope of systemd that it is; NULL: not systemd's */
    char *slice;   /* the scope's, until it is made */
    struct json_object *annotations; /* the configuration's, until it is made */
    pid_t keeper;                    /* a process that keeps a new scope from being empty; 0: none */
    struct wherry_cgroup_directory at[WHERRY_CGROUP_HIERARCHIES_MAX];
};

#define WHERRY_CGROUP_INIT                                                                                             \
    {                                                                                                                  \
        .layout = WHERRY_CGROUP_NONE, .count = 0                                                                       \
    }

/*
 * Finds where the container's directories will be on each hierarchy, and makes nothing: for a record that is written
 * before the directories are there. An absolute `cgroups_path` hangs below the mount of each hierarchy, a relative one
 * below this process's own group.
 */
int wherry_cgroup_place(const char *cgroups_path, struct wherry_cgroup *cg, struct wherry_error *err);

/*
 * The same for a scope that systemd is to make: `cgroups_path` is SLICE:PREFIX:NAME or empty (systemd_name.h),
 * annotations org.systemd.property.* are properties of it. From here on every change goes through systemd as well.
 */
int wherry_cgroup_place_unit(const char *cgroups_path, const char *id, struct json_object *annotations,
                             struct wherry_cgroup *cg, struct wherry_error *err);

/*
 * Makes the directories of a placed group and applies `resources` (the OCI linux.resources object, may be NULL) to
 * them. Devices are denied unless a rule or the standard list (null, zero, full, random, urandom, tty, ptmx, pts, and
 * mknod) allows them. A value of 0 for a memory limit, cpu shares, quota or period means "not set", as in other
 * runtimes. Directories that exist and hold no process are taken over; one that holds processes is an error (EBUSY). On
 * failure nothing of it remains, `cg` included. All of `resources` is read before anything is made.
 */
int wherry_cgroup_make(struct wherry_cgroup *cg, struct json_object *resources, struct wherry_error *err);

/* The container's first process is inside: a new scope needs no other to be there. */
void wherry_cgroup_settle(struct wherry_cgroup *cg);

/* Applies what `resources` names to the existing directories; what it does not name stays as it is, and on failure
 * everything does. */
int wherry_cgroup_update(struct wherry_cgroup *cg, struct json_object *resources, struct wherry_error *err);

/* Moves process `pid` into every directory. A move of another process waits for an RCU grace period in the kernel
 * (milliseconds); wherry_cgroup_attach_self does not. */
int wherry_cgroup_attach(struct wherry_cgroup *cg, pid_t pid, struct wherry_error *err);

/* Opens, in the parent, what wherry_cgroup_attach_self needs: `fds` receives one descriptor (close-on-exec, to write
 * "0" to) for each directory, `*count` says how many. The caller closes them. On a v2 layout the count is 0, because
 * clone3(CLONE_INTO_CGROUP) with wherry_cgroup_v2_fd does the same at no cost. */
int wherry_cgroup_attach_prepare(struct wherry_cgroup *cg, int fds[WHERRY_CGROUP_HIERARCHIES_MAX], size_t *count,
                                 struct wherry_error *err);

/* Moves the calling, single-threaded process. Async-signal-safe. Returns 0 or -errno. */
int wherry_cgroup_attach_self(const int *fds, size_t count);

/* A directory descriptor for CLONE_INTO_CGROUP when v2 is the layout, else -1. It stays the cgroup's own. */
int wherry_cgroup_v2_fd(struct wherry_cgroup *cg);

/* The same for the group below the container's in which process `pid` is: a container that has handed controllers to
 * groups of its own has no place for processes in its topmost one (cgroup-v2.rst, "No Internal Process Constraint").
 * The caller closes it. Fails with EBUSY when `pid` is not below. */
int wherry_cgroup_v2_open_group_of(struct wherry_cgroup *cg, pid_t pid, struct wherry_error *err);

/* The directory that carries `controller` ("memory", "pids", …), or NULL. Belongs to `cg`. */
const char *wherry_cgroup_path(const struct wherry_cgroup *cg, const char *controller);

/* Freezes (true) or thaws, and returns once the kernel says that it is done (bounded: 10 s, then ETIMEDOUT). */
int wherry_cgroup_freeze(struct wherry_cgroup *cg, bool frozen, struct wherry_error *err);

/* Sends `signal` to every process in the group and below it, so that none is missed: by cgroup.kill, or frozen while
 * they are signalled. Returns how many were signalled (by cgroup.kill: 0). */
int wherry_cgroup_kill(struct wherry_cgroup *cg, int signal, struct wherry_error *err);

/* All processes in the group and below it, as seen from this pid namespace; `*pids` is the caller's to free(). */
int wherry_cgroup_pids(struct wherry_cgroup *cg, pid_t **pids, size_t *count, struct wherry_error *err);

/* Removes the directories and all below them; what is already gone is no error. Tries again while dying processes keep
 * a directory busy (bounded: 5 s, then EBUSY). */
int wherry_cgroup_remove(struct wherry_cgroup *cg, struct wherry_error *err);

/* The same for a group that was placed and perhaps made, but that no process of ours was let into: processes that do
 * not leave within a moment are somebody else's, whose directories stay. */
int wherry_cgroup_remove_abandoned(struct wherry_cgroup *cg, struct wherry_error *err);

/* What a later process needs to find the directories again, for the state file; NULL when out of memory. */
struct json_object *wherry_cgroup_save(const struct wherry_cgroup *cg);
int wherry_cgroup_load(struct json_object *saved, struct wherry_cgroup *cg, struct wherry_error *err);

/* Has `cg` mean groups below the container's own: "[CONTROLLER[,CONTROLLER]:]PATH", relative to them and never above.
 * They are not made. */
int wherry_cgroup_descend(struct wherry_cgroup *cg, const char *text, struct wherry_error *err);

/* Gives back memory and descriptors; the directories stay. */
void wherry_cgroup_free(struct wherry_cgroup *cg);
