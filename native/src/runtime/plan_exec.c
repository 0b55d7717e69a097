/* The steps of one more process in a running container, in their order; see plan.h. */
#include "child.h"
#include "plan.h"

#include <errno.h>
#include <linux/sched.h>

/* CPUs that were only meant for the beginning are not left behind. */
static int push_affinity(struct wherry_plan *plan, struct wherry_error *err)
{
    const struct wherry_process *process = plan->identity.process;
    struct wherry_id_set *all;

    if (process->final_cpus != NULL)
        wherry_plan_push(plan, wherry_child_set_affinity, process->final_cpus);
    if (process->final_cpus != NULL || process->initial_cpus == NULL)
        return 0;
    all = wherry_arena_array(&plan->arena, 1, sizeof(*all));
    if (all == NULL)
        return wherry_error_set(err, ENOMEM, "plan");
    wherry_id_set_fill(all);
    wherry_plan_push(plan, wherry_child_set_affinity, all);
    return 0;
}

int wherry_plan_exec(struct wherry_plan *plan, const int *flags, struct wherry_error *err)
{
    /* Nothing is done before the runtime is sure of what it has made. */
    wherry_plan_push(plan, wherry_child_await_admission, NULL);
    /* Through descriptors of the host's hierarchies, which are out of sight once the container's mounts are joined; and
     * before a cgroup namespace is joined that would not contain the place from which the process comes. */
    if (plan->cgroup_fd_count > 0)
        wherry_plan_push(plan, wherry_child_enter_cgroup, NULL);
    /* In the cgroup, whose CPUs are the most that there can be. */
    if (push_affinity(plan, err) < 0)
        return -1;
    wherry_plan_push(plan, wherry_child_join_container, flags);
    if ((*flags & CLONE_NEWUSER) != 0)
        wherry_plan_push(plan, wherry_child_become_root, NULL);
    if (!plan->keep_keyring)
        wherry_plan_push(plan, wherry_child_new_keyring, NULL);
    wherry_plan_push(plan, wherry_child_new_session, NULL);
    /* From the container's own devpts. */
    if (plan->identity.process->terminal)
        wherry_plan_push(plan, wherry_child_open_console, plan->identity.process);
    wherry_plan_push_identity(plan);
    wherry_plan_push(plan, wherry_child_report_created, NULL);
    wherry_plan_push_execute(plan);
    return plan->incomplete ? wherry_error_set(err, ENOMEM, "plan") : 0;
}
