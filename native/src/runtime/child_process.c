/* Steps of the child: from standard streams to exec; see child.h. */
#include "child.h"
#include "home.h"
#include "message.h"
#include "start_report.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEFAULT_UMASK 0022
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

int wherry_child_make_cwd(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int fd = wherry_paths_mkdir_in_root(child->root_fd, subject, 0755, err);

    if (fd < 0)
        return wherry_error_prefix(err, "process.cwd");
    close(fd);
    return 0;
}

/* Closes the descriptors from `first` up to and without `end`. */
static void close_between(int first, int end)
{
    if (first < end)
        syscall(SYS_close_range, (unsigned)first, (unsigned)end - 1, 0);
}

int wherry_child_close_descriptors(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int start = child->plan->start_fd;
    int low = start >= 0 && start < child->sync_fd ? start : child->sync_fd;
    int high = start > child->sync_fd ? start : child->sync_fd;
    int first = 3 + (int)child->plan->preserved_fds;

    (void)subject;
    (void)err;
    close_between(first, low);
    close_between(low + 1, high);
    close_between(high + 1, INT_MAX);
    child->root_fd = child->proc_fd = child->sys_fd = child->null_fd = child->empty_fd = -1;
    return 0;
}

/* So that a process that is not root can open /dev/stdout and its like anew. What cannot be given away is left as it
 * is. */
int wherry_child_own_streams(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_process *process = subject;

    (void)child;
    (void)err;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat status;

        if (fstat(fd, &status) < 0 || status.st_uid == process->uid)
            continue;
        /* /dev/null may be the host's own node. */
        if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3))
            continue;
        if (fchown(fd, process->uid, (gid_t)-1) < 0)
            continue;
    }
    return 0;
}

/* A working directory that leads out of the container, as a leaked descriptor makes it possible, has no path that
 * getcwd can tell (CVE-2024-21626). */
static int check_directory(const char *path, struct wherry_error *err)
{
    char where[PATH_MAX];

    if (syscall(SYS_getcwd, where, sizeof(where)) < 0)
        return wherry_error_set(err, errno, "process.cwd: %s", path);
    if (where[0] != '/')
        return wherry_error_set(err, EPERM, "process.cwd: %s: lies outside of the container", path);
    return 0;
}

int wherry_child_change_directory(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const char *path = subject;

    if (chdir(path) == 0)
        return check_directory(path, err);
    if (errno != EACCES && errno != EPERM)
        return wherry_error_set(err, errno, "process.cwd: %s", path);
    child->cwd_pending = true;
    return 0;
}

int wherry_child_change_directory_again(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const char *path = subject;

    if (!child->cwd_pending)
        return 0;
    if (chdir(path) < 0)
        return wherry_error_set(err, errno, "process.cwd: %s", path);
    return check_directory(path, err);
}

int wherry_child_set_no_new_privileges(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)child;
    (void)subject;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? wherry_error_set(err, errno, "set process.noNewPrivileges") : 0;
}

int wherry_child_install_seccomp(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int result = wherry_seccomp_install(subject);

    if (result < 0)
        return wherry_error_set(err, -result, "install linux.seccomp");
    /* Memory, not a message: every system call from here on may wait for the listener. */
    if (child->plan->listener_slot != NULL)
        __atomic_store_n(child->plan->listener_slot, result + 1, __ATOMIC_RELEASE);
    return 0;
}

int wherry_child_set_rlimits(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)child;
    return wherry_rlimits_apply(0, subject, err);
}

int wherry_child_change_user(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_identity *identity = subject;
    const struct wherry_process *process = identity->process;
    int result;

    /* The bounding set first, while CAP_SETPCAP is still there; what is left of the others must survive the change of
     * user. */
    result = wherry_capabilities_limit_bounding(&identity->capabilities);
    if (result < 0)
        return wherry_error_set(err, -result, "limit the capability bounding set");
    result = wherry_capabilities_keep();
    if (result < 0)
        return wherry_error_set(err, -result, "keep capabilities across the change of user");
    /* Always, with an empty list too: otherwise the host root's groups would remain (CVE-2022-36109). */
    if (syscall(SYS_setgroups, process->group_count, process->groups) < 0 &&
        !(errno == EPERM && child->plan->groups_fixed && process->group_count == 0))
        return wherry_error_set(err, errno, "set process.user.additionalGids");
    if (syscall(SYS_setresgid, process->gid, process->gid, process->gid) < 0)
        return wherry_error_set(err, errno, "set process.user.gid %u", process->gid);
    if (syscall(SYS_setresuid, process->uid, process->uid, process->uid) < 0)
        return wherry_error_set(err, errno, "set process.user.uid %u", process->uid);
    result = wherry_capabilities_apply(&identity->capabilities);
    if (result < 0)
        return wherry_error_set(err, -result, "set process.capabilities");
    /* A change of IDs sets it to whatever fs.suid_dumpable says, prctl(2). */
    prctl(PR_SET_DUMPABLE, 0);
    umask(process->has_umask ? process->umask : DEFAULT_UMASK);
    return 0;
}

/* 0, or -errno: whether this user could execute `path`. */
static int check_program(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
        return 0;
    /* Filters that are older than faccessat2(2) answer so; then execve has the last word. */
    if (errno == EPERM)
        return (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0 ? 0 : -EACCES;
    return -errno;
}

static const char *search_path(const struct wherry_identity *identity)
{
    for (size_t i = 0; i < identity->environment_count; i++) {
        if (strncmp(identity->environment[i], "PATH=", 5) == 0)
            return identity->environment[i] + 5;
    }
    return DEFAULT_PATH;
}

/* Looks the program up along PATH like execvp, but before "created" is reported, so that a wrong name fails `create`.
 */
static int find_along_path(struct wherry_child *child, const char *name, const char *path)
{
    int found = -ENOENT;

    for (;;) {
        size_t length = strcspn(path, ":");
        int written = length == 0
                          ? snprintf(child->program, sizeof(child->program), "./%s", name)
                          : snprintf(child->program, sizeof(child->program), "%.*s/%s", (int)length, path, name);
        int result = (size_t)written < sizeof(child->program) ? check_program(child->program) : -ENAMETOOLONG;

        if (result == 0)
            return 0;
        if (result == -EACCES)
            found = result;
        if (path[length] == '\0')
            return found;
        path += length + 1;
    }
}

int wherry_child_find_program(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_identity *identity = subject;
    const char *name = identity->process->args[0];
    int result;

    if (!identity->has_home) {
        memcpy(child->home, "HOME=", 5);
        wherry_home_find(identity->process->uid, child->home + 5, sizeof(child->home) - 5);
        identity->environment[identity->environment_count] = child->home;
    }
    if (strchr(name, '/') == NULL) {
        result = find_along_path(child, name, search_path(identity));
        /* The words by which Docker's clients know exit status 127. */
        if (result == -ENOENT)
            return wherry_error_set(err, 0, "exec: \"%s\": executable file not found in $PATH", name);
    } else {
        if ((size_t)snprintf(child->program, sizeof(child->program), "%s", name) >= sizeof(child->program))
            return wherry_error_set(err, ENAMETOOLONG, "exec: \"%s\"", name);
        result = check_program(name);
        if (result == -ENOENT)
            return wherry_error_set(err, 0, "exec: \"%s\": stat %s: no such file or directory", name, name);
    }
    if (result == -EACCES || result == -EPERM)
        return wherry_error_set(err, 0, "exec: \"%s\": permission denied", name);
    if (result == -EISDIR)
        /* Docker knows exit status 126 by the first words, podman by the last. */
        return wherry_error_set(err, 0, "exec: \"%s\": is a directory: permission denied", name);
    return result < 0 ? wherry_error_set(err, -result, "exec: \"%s\"", name) : 0;
}

int wherry_child_report_created(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    int result;

    (void)subject;
    /* From here on the process lives without the runtime that made it. */
    prctl(PR_SET_PDEATHSIG, 0);
    result = wherry_message_send(child->sync_fd, WHERRY_MESSAGE_CREATED, 0, NULL);
    child->reported = true;
    return result < 0 ? wherry_error_set(err, -result, "report to the runtime") : 0;
}

/* The FIFO was opened for reading before the root was changed, so that no name has to be looked up now. It is readable
 * once `start` has written to it. */
int wherry_child_await_start(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    struct pollfd poll_fd = {.fd = child->plan->start_fd, .events = POLLIN};
    char byte;
    int ready;

    (void)subject;
    do {
        ready = poll(&poll_fd, 1, -1);
    } while (ready < 0 && errno == EINTR);
    if (ready < 0 || read(child->plan->start_fd, &byte, 1) != 1)
        return wherry_error_set(err, ready < 0 ? errno : EPIPE, "wait for start");
    return 0;
}

/* Read, and not received: filters that let a program run at all permit that. */
int wherry_child_await_record(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    static struct wherry_message message;
    ssize_t got;

    (void)subject;
    do {
        got = read(child->sync_fd, &message, sizeof(message));
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return wherry_error_set(err, errno, "wait for the runtime");
    return got == sizeof(message) && message.kind == WHERRY_MESSAGE_EXECUTE
               ? 0
               : wherry_error_set(err, EPROTO, "the runtime has gone");
}

/* Signals that the runtime's caller ignores or blocks are the container's to decide upon. */
static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int wherry_child_execute(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_identity *identity = subject;

    reset_signals();
    /* Every descriptor of the runtime is close-on-exec by itself; this is for the one that somebody forgets
     * (CVE-2024-21626). Kernels before 5.11 do not know the flag. */
    syscall(SYS_close_range, 3 + child->plan->preserved_fds, ~0u, CLOSE_RANGE_CLOEXEC);
    wherry_start_report_executing(child->plan->report);
    execve(child->program, (char *const *)identity->process->args, identity->environment);
    return wherry_error_set(err, errno, "exec %s", child->program);
}
