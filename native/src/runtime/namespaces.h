/* The runtime's side of namespaces: which flags a clone takes, joining existing ones around it, ID mappings. */
#pragma once

#include "wherry/error.h"
#include "wherry/spec.h"

/* CLONE_NEW* for clone3: the new namespaces, except those that the child makes itself, a cgroup namespace, whose root
 * is where its maker is and which the child makes itself when it is in its cgroup, and a time namespace, whose clocks
 * are set before anybody is in it. */
int wherry_namespaces_clone_flags(const struct wherry_spec *spec);

/* CLONE_NEW* that the child makes itself, by unshare(2). A network namespace alone takes 0.4 ms to make, in which the
 * runtime makes the control groups. */
int wherry_namespaces_own_flags(const struct wherry_spec *spec);

/* All CLONE_NEW* of the container, new and joined. */
int wherry_namespaces_all_flags(const struct wherry_spec *spec);

/* The namespaces that the runtime was in before it joined others. */
struct wherry_namespaces_own {
    int flags;
    int fds[8];
    size_t count;
};

/* Joins those that the spec gives by path, except user and mount ones, and makes a new time namespace with its clocks,
 * so that the process that is cloned next is born in them; what is needed to come back is kept in `own`. */
int wherry_namespaces_join(const struct wherry_spec *spec, struct wherry_namespaces_own *own, struct wherry_error *err);

/* Comes back, and closes what `own` holds. */
int wherry_namespaces_leave(struct wherry_namespaces_own *own, struct wherry_error *err);

/* Writes uid_map and gid_map of process `pid`. */
int wherry_namespaces_map(pid_t pid, const struct wherry_id_mappings *uids, const struct wherry_id_mappings *gids,
                          struct wherry_error *err);
