/* The scheduler and the I/O priority of a container's process; see priorities.h. */
#include "priorities.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr of sched_setattr(2), first version; the kernel's header of it cannot be included beside sched.h. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

bool wherry_priorities_wanted(const struct wherry_process *process)
{
    return process->scheduler != NULL || process->has_io_priority;
}

static int set_scheduler(pid_t pid, const struct wherry_scheduler *scheduler, struct wherry_error *err)
{
    struct attributes attributes = {
        .size = sizeof(attributes),
        .policy = scheduler->policy,
        .flags = scheduler->flags,
        .nice = scheduler->nice,
        .priority = scheduler->priority,
        .runtime = scheduler->runtime,
        .deadline = scheduler->deadline,
        .period = scheduler->period,
    };

    if (syscall(SYS_sched_setattr, pid, &attributes, 0) == 0)
        return 0;
    /* The kernel asks each group for the realtime budget of its parents, sched(7): the likeliest reason. */
    if (errno == EPERM && (scheduler->policy == SCHED_FIFO || scheduler->policy == SCHED_RR))
        return wherry_error_set(err, 0,
                                "set process.scheduler: Operation not permitted: needs CAP_SYS_NICE and, in a v1 cpu "
                                "group, linux.resources.cpu.realtimeRuntime");
    return wherry_error_set(err, errno, "set process.scheduler");
}

int wherry_priorities_set(pid_t pid, const struct wherry_process *process, struct wherry_error *err)
{
    /* The process leads a session and a process group of its own and is the only one in it, so that its whole group,
     * as the specification has it, is the process and all that it will start. */
    if (process->has_io_priority && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, process->io_priority) < 0)
        return wherry_error_set(err, errno, "set process.ioPriority");
    return process->scheduler != NULL ? set_scheduler(pid, process->scheduler, err) : 0;
}

int wherry_priorities_get_affinity(struct wherry_id_set *cpus)
{
    memset(cpus, 0, sizeof(*cpus));
    return syscall(SYS_sched_getaffinity, 0, sizeof(cpus->words), cpus->words) < 0 ? -errno : 0;
}

int wherry_priorities_set_affinity(const struct wherry_id_set *cpus)
{
    return syscall(SYS_sched_setaffinity, 0, sizeof(cpus->words), cpus->words) < 0 ? -errno : 0;
}
