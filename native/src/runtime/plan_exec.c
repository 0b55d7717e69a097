/* The steps of one more process in a running container, in their order; see plan.h. */
#include "child.h"
#include "plan.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Whether a filter that is in force by then lets pass what is done to be born last: being born, starting a session,
 * taking its terminal, hearing of priorities, and the parent's end. */
static bool filter_permits_birth(const struct wherry_identity *identity)
{
    static const struct {
        int number;
        uint64_t arguments[6];
    } calls[] = {
        {SYS_clone, {CLONE_PARENT}}, {SYS_setsid, {0}},     {SYS_ioctl, {STDIN_FILENO, TIOCSCTTY}},
        {SYS_recvfrom, {0}},         {SYS_exit_group, {0}},
    };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        uint32_t answer = wherry_seccomp_evaluate(&identity->seccomp, calls[i].number, calls[i].arguments);

        if (answer != SECCOMP_RET_ALLOW && answer != SECCOMP_RET_LOG)
            return false;
    }
    return true;
}

static enum wherry_birth choose_birth(const struct wherry_plan *plan, int flags)
{
    if ((flags & CLONE_NEWPID) == 0)
        return WHERRY_BIRTH_BY_CLONE;
    /* A listener is carried for the process that stays; none of its steps may wait for the agent before it is there. */
    if (plan->listener_slot != NULL && !plan->identity.process->no_new_privileges)
        return WHERRY_BIRTH_BEFORE_FILTER;
    /* With no_new_privs the filter comes after the birth. */
    return plan->identity.process->no_new_privileges || filter_permits_birth(&plan->identity)
               ? WHERRY_BIRTH_LAST
               : WHERRY_BIRTH_BEFORE_FILTER;
}

int wherry_plan_exec(struct wherry_plan *plan, const int *flags, struct wherry_error *err)
{
    plan->birth = choose_birth(plan, *flags);
    /* Nothing is done before the runtime is sure of what it has made. */
    wherry_plan_push(plan, wherry_child_await_admission, NULL);
    /* Of the host's procfs, before the container's is joined. Who is born later inherits the label. */
    if (wherry_identity_has_labels(&plan->identity))
        wherry_plan_push(plan, wherry_child_open_labels, &plan->identity);
    /* Through descriptors of the host's hierarchies, which are out of sight once the container's mounts are joined; and
     * before a cgroup namespace is joined that would not contain the place from which the process comes. */
    wherry_plan_push(plan, wherry_child_enter_cgroup, NULL);
    /* In the cgroup, whose CPUs are the most that there can be. */
    if (push_affinity(plan, err) < 0)
        return -1;
    wherry_plan_push(plan, wherry_child_join_container, flags);
    if ((*flags & CLONE_NEWUSER) != 0)
        wherry_plan_push(plan, wherry_child_become_root, NULL);
    if (!plan->keep_keyring)
        wherry_plan_push(plan, wherry_child_new_keyring, NULL);
    if (plan->birth == WHERRY_BIRTH_BY_CLONE)
        wherry_plan_push(plan, wherry_child_new_session, NULL);
    /* From the container's own devpts. */
    if (plan->identity.process->terminal)
        wherry_plan_push(plan, wherry_child_open_console, plan->identity.process);
    if (plan->identity.process->terminal && plan->birth == WHERRY_BIRTH_BY_CLONE)
        wherry_plan_push(plan, wherry_child_take_terminal, NULL);
    wherry_plan_push_identity(plan);
    wherry_plan_push(plan, wherry_child_report_created, NULL);
    wherry_plan_push_execute(plan);
    return plan->incomplete ? wherry_error_set(err, ENOMEM, "plan") : 0;
}
