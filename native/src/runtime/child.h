/*
 * The container's process between clone and exec: its state, and the steps that a plan is made of.
 *
 * Everything here runs in the child: async-signal-safe, no allocation, one thread. Each step returns 0 or a negative
 * value with `err` set. The subject of a step is named in its comment.
 */
#pragma once

#include "message.h"
#include "plan.h"

struct wherry_child {
    const struct wherry_plan *plan;
    int sync_fd;                      /* to the runtime; close-on-exec */
    int root_fd;                      /* the container's root, -1 until it is attached */
    int proc_fd;                      /* the root of a procfs of the container's pid namespace, -1 until there is one */
    int sys_fd;                       /* the root of the sysfs that the container has at /sys, -1 until there is one */
    bool proc_is_at_proc;             /* the container has that procfs at /proc */
    int null_fd;                      /* the host's /dev/null, once it is needed */
    int empty_fd;                     /* an attached, empty, read-only directory for masks, once it is needed */
    int label_fds[WHERRY_LSM_KINDS];  /* of the own labels, -1 until they are needed */
    pid_t pid;                        /* as the host sees it; known when admitted */
    struct wherry_message_fds groups; /* its control groups, received when admitted */
    bool reported;                    /* "created" has been said */
    bool cwd_pending;                 /* the working directory was refused to root and is tried again as the user */
    char program[4096];
    char home[4096];
};

struct wherry_planned_bind {
    const struct wherry_mount *mount;
    int tree;  /* a detached copy of the source, with the attributes that it shall have; -1: the child's */
    int flags; /* to open, with these flags of open_tree(2) */
    bool attributes_pending; /* which this kernel only can give it once it is attached */
    struct wherry_planned_bind *next;
};

struct wherry_planned_filesystem {
    const struct wherry_mount *mount;
    const char *host_path; /* what the host has mounted there stands in for it where it may not be mounted; NULL: no */
    const char *options;   /* all of them in one text, for mount(2); NULL: fsconfig(2) takes them */
    int *late; /* where the child keeps the mount until it is made read-only in the end; NULL: it need not */
    struct wherry_planned_filesystem *next_late;
};

/* A symbolic link that the container gets instead of a bind mount. */
struct wherry_planned_link {
    const char *path, *target;
};

/* Attaches a detached mount over `target`. */
int wherry_child_attach(int mount, int target, const char *path, struct wherry_error *err);

/* Refuses to mount over what a procfs shows, except what the field's runtimes let others stand in for: a container
 * would be shown a false one (CVE-2019-16884). `path` is the destination as configured. */
int wherry_child_check_target(int target, const char *path, struct wherry_error *err);

/* Whether two absolute paths are the same but for slashes and dots to spare; links are not looked at. */
bool wherry_child_same_path(const char *path, const char *plain);

/* Tells a file system that is being set up what `mount` says of it: its own options and flags. */
int wherry_child_configure(int context, const struct wherry_mount *mount, struct wherry_error *err);

/* Walks the plan; never returns. */
void wherry_child_run(const struct wherry_plan *plan, int sync_fd) __attribute__((noreturn));

/* child_namespaces.c */
wherry_step wherry_child_await_admission;      /* no subject */
wherry_step wherry_child_become_root;          /* no subject: in a user namespace, take the IDs that are mapped to 0 */
wherry_step wherry_child_enter_cgroup;         /* no subject: through what came with the admission */
wherry_step wherry_child_make_namespaces;      /* int: CLONE_NEW* */
wherry_step wherry_child_new_cgroup_namespace; /* no subject */
wherry_step wherry_child_join_mount_namespace; /* const char *path */
wherry_step wherry_child_join_container;       /* const int *flags, of plan->pidfd */
wherry_step wherry_child_be_born;              /* no subject: go on as a child that is in the joined pid namespace */
wherry_step wherry_child_new_keyring;          /* no subject */
wherry_step wherry_child_new_session;          /* no subject */
wherry_step wherry_child_set_hostname;         /* const char *name */
wherry_step wherry_child_set_domainname;       /* const char *name */

/* child_root.c */
wherry_step wherry_child_isolate_mounts;       /* no subject */
wherry_step wherry_child_attach_root;          /* struct wherry_spec */
wherry_step wherry_child_make_root_readonly;   /* no subject */
wherry_step wherry_child_pivot_root;           /* no subject */
wherry_step wherry_child_set_root_propagation; /* struct wherry_spec */

/* child_mounts.c */
wherry_step wherry_child_mount_bind;   /* struct wherry_planned_bind */
wherry_step wherry_child_copy_link;    /* struct wherry_planned_link */
wherry_step wherry_child_change_mount; /* struct wherry_mount: what is mounted there already */

/* child_filesystems.c */
wherry_step wherry_child_mount_filesystem;   /* struct wherry_planned_filesystem */
wherry_step wherry_child_make_late_readonly; /* struct wherry_planned_filesystem */

/* child_devices.c */
wherry_step wherry_child_make_default_devices; /* no subject */
wherry_step wherry_child_make_device;          /* struct wherry_device */
wherry_step wherry_child_check_device;         /* struct wherry_device: that it is there already */

/* child_masks.c */
wherry_step wherry_child_mask_path;     /* const char *path */
wherry_step wherry_child_make_readonly; /* const char *path */

/* child_sysctl.c */
wherry_step wherry_child_set_sysctl; /* struct wherry_sysctl */

/* child_console.c */
wherry_step wherry_child_open_console;  /* struct wherry_process */
wherry_step wherry_child_take_terminal; /* no subject: standard input becomes the terminal of the process's session */

/* child_labels.c */
wherry_step wherry_child_open_labels;  /* struct wherry_identity */
wherry_step wherry_child_write_labels; /* struct wherry_identity */

/* child_scheduling.c */
wherry_step wherry_child_set_affinity;      /* struct wherry_id_set */
wherry_step wherry_child_await_priorities;  /* no subject */
wherry_step wherry_child_set_personality;   /* struct wherry_execution_domain */
wherry_step wherry_child_set_memory_policy; /* struct wherry_memory_policy */

/* child_hooks.c */
wherry_step wherry_child_await_runtime_hooks; /* no subject */
wherry_step wherry_child_run_create_hooks;    /* struct wherry_hooks, status "created" to come */
wherry_step wherry_child_run_start_hooks;     /* struct wherry_hooks */

/* child_process.c */
wherry_step wherry_child_make_cwd;               /* const char *path */
wherry_step wherry_child_close_descriptors;      /* no subject: all but those that are needed until exec */
wherry_step wherry_child_own_streams;            /* struct wherry_process */
wherry_step wherry_child_change_directory;       /* const char *path */
wherry_step wherry_child_change_directory_again; /* const char *path: when it was refused to root */
wherry_step wherry_child_set_no_new_privileges;  /* no subject */
wherry_step wherry_child_install_seccomp;        /* struct wherry_seccomp */
wherry_step wherry_child_set_rlimits;            /* struct wherry_rlimits */
wherry_step wherry_child_change_user;            /* struct wherry_identity */
wherry_step wherry_child_find_program;           /* struct wherry_identity */
wherry_step wherry_child_report_created;         /* no subject */
wherry_step wherry_child_await_start;            /* no subject */
wherry_step wherry_child_await_record;           /* no subject */
wherry_step wherry_child_execute;                /* struct wherry_identity */
