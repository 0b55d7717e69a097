/* Making a process in a user namespace that exists already; see launch.h.
 *
 * The new namespaces of the container have to belong to that user namespace, so whoever makes them has to be in it. The
 * runtime cannot go there, because nobody comes back from a user namespace: a process in between goes, makes the child
 * as the runtime's own (CLONE_PARENT) and ends.
 */
#include "child.h"
#include "launch.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int enter(int user_fd, struct wherry_error *err)
{
    if (setns(user_fd, CLONE_NEWUSER) < 0)
        return wherry_error_set(err, errno, "join the user namespace");
    /* What is made from here on belongs to the namespace's root. */
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 ||
        syscall(SYS_setresuid, 0, 0, 0) < 0)
        return wherry_error_set(err, errno, "become root of the user namespace");
    return 0;
}

/* The process in between; never returns. */
static void go_between(const struct wherry_launch *launch, int sync_fd)
{
    struct clone_args args = {.flags = launch->flags | CLONE_PARENT};
    struct wherry_error err = WHERRY_ERROR_INIT;
    long pid = -1;

    if (enter(launch->user_fd, &err) == 0) {
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
    _exit(0);
}

int wherry_launch_clone_in_user(struct wherry_launch *launch, int sync_fd, int child_fd, struct wherry_error *err)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    int result = wherry_message_ask_for_senders(sync_fd);
    long between;

    if (result < 0)
        return wherry_error_set(err, -result, "ask for credentials");
    if (launch->cgroup_fd >= 0) {
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
        return wherry_error_set(err, errno, "make a process in the user namespace");
    result = wherry_launch_receive_cloned(sync_fd, &launch->pid, err);
    while (waitpid((pid_t)between, NULL, 0) < 0 && errno == EINTR)
        ;
    if (result == 0)
        return wherry_error_set(err, EPIPE, "listen to the container's process");
    return result < 0 ? result : 0;
}
