/*
 * What the container's process does between clone and exec, as a flat list that the runtime has prepared: operations in
 * the order of their execution, each with a subject that is its own. The child walks the list in one loop and allocates
 * nothing.
 *
 * plan_create.c and plan_exec.c build the lists and say why each step stands where it stands; child_*.c are the steps.
 */
#pragma once

#include "wherry/arena.h"
#include "wherry/capabilities.h"
#include "wherry/cgroup.h"
#include "wherry/error.h"
#include "wherry/rlimits.h"
#include "wherry/seccomp.h"
#include "wherry/spec.h"

#include <stdbool.h>
#include <stddef.h>

struct wherry_child;
struct wherry_planned_bind;
struct wherry_planned_filesystem;
struct wherry_start_report;

typedef int wherry_step(struct wherry_child *child, const void *subject, struct wherry_error *err);

struct wherry_operation {
    wherry_step *step;
    const void *subject;
};

/* The parts of the JSON document that hooks read on standard input; status and pid are put in between. */
struct wherry_state_text {
    const char *directory; /* where the hooks that read it run: the bundle; NULL: where their parent does */
    const char *before_status, *before_pid, *after_pid;
};

/* What the process becomes; shared by create and exec. */
struct wherry_identity {
    const struct wherry_process *process;
    const struct wherry_execution_domain *domain;
    struct wherry_capabilities capabilities;
    struct wherry_rlimits rlimits;
    struct wherry_seccomp seccomp;
    const char *labels[WHERRY_LSM_KINDS]; /* that the program gets; NULL: none */
    char **environment;                   /* as given, with a free slot at the end for HOME */
    size_t environment_count;
    bool has_home;
};

/*
 * When a process that joins a pid namespace is born in it. Until then nobody in there sees it or can trace it, who with
 * CAP_SYS_PTRACE would get what it holds: the privileges of the host's root.
 */
enum wherry_birth {
    WHERRY_BIRTH_BY_CLONE,      /* there is no other pid namespace to go to, or the clone itself makes it */
    WHERRY_BIRTH_LAST,          /* as the container's user, with its capabilities and its filter */
    WHERRY_BIRTH_BEFORE_FILTER, /* the filter forbids it: while it is root, and only undumpable (CVE-2016-9962) */
};

struct wherry_plan {
    struct wherry_arena arena;
    struct wherry_operation *operations;
    size_t count, room;
    bool incomplete; /* memory ran out while it was built */

    struct wherry_identity identity;
    struct wherry_state_text state;
    struct wherry_planned_bind *binds;               /* all of them */
    struct wherry_planned_filesystem *late_readonly; /* those that become read-only in the end */
    int root_tree;                                   /* a detached copy of the root file system; -1 for exec */
    int idmap_fd;       /* the container's ID mappings, for mounts that want them; -1 until one does */
    int *listener_slot; /* shared: where the child puts the descriptor of its filter's listener, plus 1; NULL: none */
    struct wherry_start_report *report; /* for who starts it; NULL: nobody asks */
    int start_fd;                       /* the FIFO on which `start` releases the process; -1: at once */
    int console_socket;                 /* where the terminal's master goes; -1: no terminal */
    int pidfd;                          /* exec: the container's process */
    int own_namespaces;                 /* CLONE_NEW* of those that the process makes itself */
    bool filtered;                      /* the filter is in the plan */
    bool admission;                     /* it is known where the process waits to be admitted */
    unsigned preserved_fds;
    enum wherry_birth birth;
    bool in_user_namespace; /* the container has or joins one */
    bool groups_fixed;      /* the runtime may not drop groups */
    bool unprivileged;      /* the runtime is no root: sources of mounts are the child's to
                               open */
    bool keep_keyring;      /* the caller's session keyring is inherited */
};

#define WHERRY_PLAN_INIT                                                                                               \
    {                                                                                                                  \
        .root_tree = -1, .idmap_fd = -1, .start_fd = -1, .console_socket = -1, .pidfd = -1                             \
    }

/* The steps for a new container, whose identity is prepared. `cgroup` is made. The spec outlives the plan. Opens the
 * root and the sources of bind mounts. */
int wherry_plan_create(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_cgroup *cgroup,
                       struct wherry_error *err);

/* The steps for one more process in a running container, whose identity is prepared, entering the namespaces `flags` of
 * plan->pidfd. */
int wherry_plan_exec(struct wherry_plan *plan, const int *flags, struct wherry_error *err);

/* Reads what of the process and its filter has to be known before the clone. `process` and `domain` outlive the plan.
 */
int wherry_identity_prepare(struct wherry_plan *plan, const struct wherry_process *process,
                            const struct wherry_execution_domain *domain, struct json_object *seccomp,
                            const char *cache_dir, struct wherry_error *err);

/* Appends the wait for admission, and what can only be done then, unless that is in the plan already: the ID mappings
 * are written, the process is on record, and it has been handed its control groups, which it enters. */
void wherry_plan_push_admission(struct wherry_plan *plan, const struct wherry_spec *spec);

/* Whether the program gets a label. */
bool wherry_identity_has_labels(const struct wherry_identity *identity);

/* Appends the steps that both end with: from standard streams to the program's being found, and, after what is peculiar
 * to one of them, the last ones up to exec. */
void wherry_plan_push_identity(struct wherry_plan *plan);
void wherry_plan_push_execute(struct wherry_plan *plan);

/* Appends the filter that may come last, unless that is in the plan already: what follows is under it. With
 * no_new_privs it need not allow what the steps before it do. */
void wherry_plan_push_late_filter(struct wherry_plan *plan);

/* Appends one step; when memory runs out, `incomplete` says so. */
void wherry_plan_push(struct wherry_plan *plan, wherry_step *step, const void *subject);

/* Closes and frees what the plan holds. */
void wherry_plan_free(struct wherry_plan *plan);
