/* Steps of the child: where it runs, with which priority, as what machine, on which memory; see child.h. */
#include "child.h"
#include "message.h"

#include <errno.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

int wherry_child_set_affinity(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_id_set *cpus = subject;

    (void)child;
    if (syscall(SYS_sched_setaffinity, 0, sizeof(cpus->words), cpus->words) < 0)
        return wherry_error_set(err, errno, "process.execCPUAffinity.final: none of these CPUs can be had");
    return 0;
}

int wherry_child_await_priorities(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int result = wherry_message_ask(child->sync_fd, WHERRY_MESSAGE_SET_PRIORITIES, WHERRY_MESSAGE_PRIORITIES_SET);

    (void)subject;
    return result < 0 ? wherry_error_set(err, -result, "wait for the runtime to set priorities") : 0;
}

int wherry_child_set_personality(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_execution_domain *domain = subject;

    (void)child;
    return personality(domain->personality) < 0 ? wherry_error_set(err, errno, "set linux.personality") : 0;
}

int wherry_child_set_memory_policy(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_memory_policy *policy = subject;
    bool empty = wherry_id_set_is_empty(&policy->nodes);

    (void)child;
    /* The kernel counts one bit less than it is told, set_mempolicy(2), "BUGS" of get_mempolicy(2). */
    if (syscall(SYS_set_mempolicy, policy->mode, empty ? NULL : policy->nodes.words,
                empty ? 0 : (unsigned long)WHERRY_ID_SET_MAX + 1) < 0)
        return wherry_error_set(err, errno, "set linux.memoryPolicy");
    return 0;
}
