/* Making a process by way of another one; see launch.h.
 *
 * A user namespace that exists already: the new namespaces of the container have to belong to it, so whoever makes them
 * has to be in it. The runtime cannot go there, because nobody comes back from a user namespace: a process in between
 * goes, makes the child as the runtime's own (CLONE_PARENT) and ends.
 *
 * A filter with a listener: its descriptor appears in the child at the moment from which on none of the child's system
 * calls need come to pass, the ones for sending it included. The process in between shares the child's table of
 * descriptors (CLONE_FILES) and is under no filter: it finds the descriptor and carries it to the runtime. The child
 * may execute its program meanwhile: exec gives it a table of its own, and what it closes stays open in the other one.
 */
#include "child.h"
#include "launch.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often the carrier looks for the descriptor, in nanoseconds: the child cannot wake it. */
#define LOOK_INTERVAL 200000

static int enter(int user_fd, bool groups_fixed, struct wherry_error *err)
{
    if (setns(user_fd, CLONE_NEWUSER) < 0)
        return wherry_error_set(err, errno, "join the user namespace");
    /* What is made from here on belongs to the namespace's root. */
    if ((syscall(SYS_setgroups, 0, NULL) < 0 && !(errno == EPERM && groups_fixed)) ||
        syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
        return wherry_error_set(err, errno, "become root of the user namespace");
    return 0;
}

/* Should the child end without a filter, the runtime ends this process. */
static void carry_listener(const int *slot, int sync_fd)
{
    struct timespec interval = {.tv_nsec = LOOK_INTERVAL};
    int found;

    /* Not for longer than somebody waits for it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while ((found = __atomic_load_n(slot, __ATOMIC_ACQUIRE)) == 0)
        nanosleep(&interval, NULL);
    wherry_message_send_fd(sync_fd, WHERRY_MESSAGE_LISTENER, found - 1);
}

/* The process in between; never returns. */
static void go_between(const struct wherry_launch *launch, int sync_fd)
{
    const int *slot = launch->plan->listener_slot;
    struct clone_args args = {.flags = launch->flags | CLONE_PARENT | (slot != NULL ? CLONE_FILES : 0)};
    struct wherry_error err = WHERRY_ERROR_INIT;
    long pid = -1;

    if (launch->user_fd < 0 && launch->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)launch->cgroup_fd;
    }
    if (launch->user_fd < 0 || enter(launch->user_fd, launch->plan->groups_fixed, &err) == 0) {
        pid = syscall(SYS_clone3, &args, sizeof(args));
        if (pid == 0) {
            /* The runtime learns the number from the message's credentials, which the kernel translates for it. */
            if (wherry_message_send(sync_fd, WHERRY_MESSAGE_CLONED, 0, NULL) < 0)
                _exit(1);
            wherry_child_run(launch->plan, sync_fd);
        }
        if (pid < 0)
            wherry_error_set(&err, errno, "make the container's process");
    }
    if (pid < 0)
        wherry_message_send(sync_fd, WHERRY_MESSAGE_FAILED, 0, &err);
    else if (slot != NULL)
        carry_listener(slot, sync_fd);
    _exit(0);
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int wherry_launch_clone_between(struct wherry_launch *launch, int sync_fd, int child_fd, struct wherry_error *err)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    int result = wherry_message_ask_for_senders(sync_fd);
    long between;

    if (result < 0)
        return wherry_error_set(err, -result, "ask for credentials");
    /* From inside the user namespace the group may be out of reach: whoever goes there takes its place in it along. */
    if (launch->user_fd >= 0 && launch->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)launch->cgroup_fd;
    }
    between = syscall(SYS_clone3, &args, sizeof(args));
    if (between == 0) {
        /* Held here too, the runtime's end would never be seen to close. */
        close(sync_fd);
        go_between(launch, child_fd);
    }
    if (between < 0)
        return wherry_error_set(err, errno, "make a process in between");
    result = wherry_launch_receive_cloned(sync_fd, &launch->pid, err);
    if (result > 0 && launch->plan->listener_slot != NULL)
        launch->carrier = (pid_t)between;
    else
        reap((pid_t)between);
    if (result == 0)
        return wherry_error_set(err, EPIPE, "listen to the container's process");
    return result < 0 ? result : 0;
}

void wherry_launch_end_carrier(struct wherry_launch *launch)
{
    if (launch->carrier <= 0)
        return;
    kill(launch->carrier, SIGKILL);
    reap(launch->carrier);
    launch->carrier = 0;
}
