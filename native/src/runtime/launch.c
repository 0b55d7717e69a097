/* The runtime's side of making a process; see launch.h. */
#include "launch.h"

#include "child.h"
#include "priorities.h"
#include "seccomp_listener.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int clone_directly(struct wherry_launch *launch, int sync_fd, int child_fd, struct wherry_error *err)
{
    struct clone_args args = {.flags = launch->flags, .exit_signal = SIGCHLD};
    long pid;

    if (launch->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)launch->cgroup_fd;
    }
    pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid == 0) {
        close(sync_fd);
        wherry_child_run(launch->plan, child_fd);
    }
    if (pid < 0)
        return wherry_error_set(err, errno, "make the container's process");
    launch->pid = (pid_t)pid;
    return 0;
}

int wherry_launch_clone(struct wherry_launch *launch, struct wherry_error *err)
{
    cleanup_close int sync_fd = -1;
    cleanup_close int child_fd = -1;
    int ends[2], result;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return wherry_error_set(err, errno, "socketpair");
    sync_fd = ends[0];
    child_fd = ends[1];
    /* Nothing in the container may trace the child or read its memory and descriptors before it has become the
     * container's program; the child inherits this, exec ends it (CVE-2016-9962). */
    /* Without privileges the child's /proc files are the runtime's to write only while it can be traced: it forbids
     * that itself once it is admitted, before it joins anybody. */
    if (geteuid() == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return wherry_error_set(err, errno, "make the process undumpable");
    result = launch->user_fd >= 0 || launch->plan->listener_slot != NULL
                 ? wherry_launch_clone_between(launch, sync_fd, child_fd, err)
                 : clone_directly(launch, sync_fd, child_fd, err);
    if (result == 0)
        launch->sync_fd = wherry_steal_fd(&sync_fd);
    return result;
}

/* Whether the child has failed. One that ends well has had another be born in its place, or has executed its program.
 */
static bool has_failed(pid_t pid)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid &&
           (info.si_code != CLD_EXITED || info.si_status != 0);
}

/* A carrier keeps the child's end open: that the child has ended without a filter shows by the child alone. */
static void end_carrier_of_the_dead(struct wherry_launch *launch)
{
    cleanup_close int child = (int)syscall(SYS_pidfd_open, launch->pid, 0);
    struct pollfd polls[] = {{.fd = launch->sync_fd, .events = POLLIN}, {.fd = child, .events = POLLIN}};

    while (poll(polls, 2, -1) < 0 && errno == EINTR)
        ;
    if (polls[0].revents == 0 && has_failed(launch->pid) &&
        __atomic_load_n(launch->plan->listener_slot, __ATOMIC_ACQUIRE) == 0)
        wherry_launch_end_carrier(launch);
}

static void close_groups(struct wherry_launch *launch)
{
    for (size_t i = 0; i < launch->groups.count; i++)
        close(launch->groups.fds[i]);
    launch->groups.count = 0;
}

int wherry_launch_admit(struct wherry_launch *launch, struct wherry_error *err)
{
    int result = wherry_message_send_fds(launch->sync_fd, WHERRY_MESSAGE_ADMITTED, launch->pid, &launch->groups);

    close_groups(launch);
    return result < 0 && result != -EPIPE && result != -ECONNRESET
               ? wherry_error_set(err, -result, "admit the container's process")
               : 0;
}

int wherry_launch_next(struct wherry_launch *launch, struct wherry_message *message, struct wherry_error *err)
{
    int got;

    if (launch->carrier > 0)
        end_carrier_of_the_dead(launch);
    got = wherry_message_receive(launch->sync_fd, message);

    if (got < 0)
        return wherry_error_set(err, -got, "listen to the container's process");
    if (got > 0 && message->kind == WHERRY_MESSAGE_FAILED) {
        *err = message->error;
        return err->code > 0 ? -err->code : -1;
    }
    return got;
}

/* A child that vanished without a word: what it died of is all there is to tell. */
static int report_death(struct wherry_launch *launch, struct wherry_error *err)
{
    int status = 0;

    if (waitpid(launch->pid, &status, WNOHANG) == launch->pid)
        launch->pid = 0;
    if (launch->pid == 0 && WIFSIGNALED(status))
        return wherry_error_set(err, 0, "the container's process was killed by signal %d while it was being prepared",
                                WTERMSIG(status));
    return wherry_error_set(err, 0, "the container's process ended while it was being prepared");
}

int wherry_launch_receive_cloned(int sync_fd, pid_t *pid, struct wherry_error *err)
{
    struct wherry_message message;
    pid_t sender = 0;
    int got = wherry_message_receive_from(sync_fd, &message, &sender);

    if (got < 0)
        return wherry_error_set(err, -got, "listen to the container's process");
    if (got == 0)
        return 0;
    if (message.kind == WHERRY_MESSAGE_FAILED) {
        *err = message.error;
        return err->code > 0 ? -err->code : -1;
    }
    if (message.kind != WHERRY_MESSAGE_CLONED)
        return wherry_error_set(err, EPROTO, "unexpected message %d", (int)message.kind);
    *pid = sender;
    return 1;
}

int wherry_launch_follow(struct wherry_launch *launch, struct wherry_error *err)
{
    siginfo_t info = {0};
    pid_t pid = 0;
    int got;

    if (launch->carrier > 0)
        end_carrier_of_the_dead(launch);
    got = wherry_launch_receive_cloned(launch->sync_fd, &pid, err);
    if (got <= 0)
        return got < 0 ? got : report_death(launch, err);
    /* Whose parent is this process: what is signalled and waited for from here on can be nothing else. */
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return wherry_error_set(err, errno, "the container's process %d", (int)pid);
    while (waitpid(launch->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    launch->pid = pid;
    return 0;
}

int wherry_launch_expect(struct wherry_launch *launch, int expected, struct wherry_error *err)
{
    struct wherry_message message;
    int got = wherry_launch_next(launch, &message, err);

    if (got < 0)
        return got;
    if (got == 0)
        return expected == 0 ? 0 : report_death(launch, err);
    if ((int)message.kind != expected)
        return wherry_error_set(err, EPROTO, "unexpected message %d", (int)message.kind);
    return 0;
}

static int hand_over(struct wherry_launch *launch, int received, struct wherry_error *err)
{
    cleanup_close int listener = received;

    wherry_launch_end_carrier(launch);
    if (listener < 0)
        return wherry_error_set(err, EPROTO, "the listener of linux.seccomp has not come");
    return wherry_seccomp_listener_send(&launch->plan->identity.seccomp, listener, launch->pid, launch->container,
                                        launch->status, err);
}

int wherry_launch_expect_created(struct wherry_launch *launch, struct wherry_error *err)
{
    bool created = false;

    /* In either order: what the child says may itself wait for the agent. */
    while (!created || launch->carrier > 0) {
        struct wherry_message message;
        int got = wherry_launch_next(launch, &message, err);

        if (got < 0)
            return got;
        if (got == 0)
            return report_death(launch, err);
        if (message.kind == WHERRY_MESSAGE_LISTENER && launch->carrier > 0) {
            if (hand_over(launch, message.fd, err) < 0)
                return -1;
        } else if (message.kind == WHERRY_MESSAGE_CREATED) {
            created = true;
        } else {
            return wherry_error_set(err, EPROTO, "unexpected message %d", (int)message.kind);
        }
    }
    return 0;
}

void wherry_launch_abort(struct wherry_launch *launch)
{
    wherry_launch_end_carrier(launch);
    close_groups(launch);
    /* Before the conversation ends: what the child would have to say to that is of no interest. */
    if (launch->pid > 0) {
        kill(launch->pid, SIGKILL);
        while (waitpid(launch->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        launch->pid = 0;
    }
    if (launch->sync_fd >= 0)
        close(launch->sync_fd);
    launch->sync_fd = -1;
}

int wherry_launch_set_priorities(struct wherry_launch *launch, const struct wherry_process *process,
                                 struct wherry_error *err)
{
    int result;

    if (!wherry_priorities_wanted(process))
        return 0;
    if (wherry_launch_expect(launch, WHERRY_MESSAGE_SET_PRIORITIES, err) < 0 ||
        wherry_priorities_set(launch->pid, process, err) < 0)
        return -1;
    result = wherry_message_send(launch->sync_fd, WHERRY_MESSAGE_PRIORITIES_SET, 0, NULL);
    return result < 0 ? wherry_error_set(err, -result, "let the process go on with its priorities") : 0;
}

int wherry_launch_set_oom_score(pid_t pid, const struct wherry_process *process, struct wherry_error *err)
{
    char path[64], value[16];

    if (!process->has_oom_score_adj)
        return 0;
    snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
    snprintf(value, sizeof(value), "%d", process->oom_score_adj);
    return wherry_file_write(AT_FDCWD, path, value, err) < 0 ? wherry_error_prefix(err, "process.oomScoreAdj") : 0;
}

void wherry_launch_describe_lacking(const struct wherry_capabilities *capabilities, char text[WHERRY_WARNING_MAX])
{
    char names[WHERRY_WARNING_MAX - 64];

    text[0] = '\0';
    if (capabilities->lacking == 0 && *capabilities->unknown == '\0')
        return;
    wherry_capabilities_describe(capabilities->lacking, names, sizeof(names));
    snprintf(text, WHERRY_WARNING_MAX, "left out, because the runtime has not got them: %s%s%s", names,
             *names != '\0' && *capabilities->unknown != '\0' ? ", " : "", capabilities->unknown);
}
