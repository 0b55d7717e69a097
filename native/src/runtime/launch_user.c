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

/* The first message, with the number of its sender. */
static int receive_cloned(int sync_fd, pid_t *pid, struct wherry_error *err)
{
    struct wherry_message message = {0};
    struct iovec data = {.iov_base = &message, .iov_len = sizeof(message)};
    union {
        char space[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr header = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    struct ucred sender;
    ssize_t got;

    do {
        got = recvmsg(sync_fd, &header, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got != sizeof(message) || CMSG_FIRSTHDR(&header) == NULL)
        return wherry_error_set(err, got < 0 ? errno : EPROTO, "listen to the container's process");
    if (message.kind == WHERRY_MESSAGE_FAILED) {
        *err = message.error;
        return -1;
    }
    memcpy(&sender, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(sender));
    *pid = sender.pid;
    return 0;
}

int wherry_launch_clone_in_user(struct wherry_launch *launch, int sync_fd, int child_fd, struct wherry_error *err)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    int on = 1, result;
    long between;

    if (setsockopt(sync_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return wherry_error_set(err, errno, "ask for credentials");
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
    result = receive_cloned(sync_fd, &launch->pid, err);
    while (waitpid((pid_t)between, NULL, 0) < 0 && errno == EINTR)
        ;
    return result;
}
