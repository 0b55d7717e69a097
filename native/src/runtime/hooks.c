/* Running the hooks of config.json; see hooks.h. */
#include "hooks.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* A process of its own, with a descriptor that tells of its end. */
static pid_t clone_with_pidfd(int *pidfd)
{
    struct clone_args args = {
        .flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD};

    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void execute(const struct wherry_hook *hook, int input)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input, STDIN_FILENO) >= 0)
        execve(hook->path, (char *const *)hook->args, (char *const *)hook->env);
    /* The shell's convention for a program that cannot be executed. */
    _exit(errno == ENOENT ? 127 : 126);
}

static int remaining(const struct timespec *start, int timeout)
{
    struct timespec now;
    long long passed;

    if (timeout == 0)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    passed = (now.tv_sec - start->tv_sec) * 1000LL + (now.tv_nsec - start->tv_nsec) / 1000000;
    return passed >= timeout * 1000LL ? 0 : (int)(timeout * 1000LL - passed);
}

static int await(const struct wherry_hook *hook, const char *kind, int pidfd, struct wherry_error *err)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    struct timespec start;
    siginfo_t info = {0};
    int ready;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        ready = poll(&poll_fd, 1, remaining(&start, hook->timeout));
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    while (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0) {
        if (errno != EINTR)
            return wherry_error_set(err, errno, "wait for %s hook %s", kind, hook->path);
    }
    if (ready <= 0)
        return wherry_error_set(err, ETIMEDOUT, "%s hook %s: killed after %d seconds", kind, hook->path, hook->timeout);
    if (info.si_code != CLD_EXITED)
        return wherry_error_set(err, 0, "%s hook %s: killed by signal %d", kind, hook->path, info.si_status);
    if (info.si_status == 127 || info.si_status == 126)
        return wherry_error_set(err, 0, "%s hook %s: exit status %d (it could not be executed, or says so)", kind,
                                hook->path, info.si_status);
    if (info.si_status != 0)
        return wherry_error_set(err, 0, "%s hook %s: exit status %d", kind, hook->path, info.si_status);
    return 0;
}

/* A hook that does not read its input is no error: SIGPIPE is blocked while it is written. */
static void write_state(int fd, const struct wherry_state_text *state, const char *status, pid_t pid)
{
    char number[16];
    int length = snprintf(number, sizeof(number), "%d", (int)pid);
    sigset_t pipe_signal, before;
    struct timespec at_once = {0};

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigprocmask(SIG_BLOCK, &pipe_signal, &before);
    if (wherry_write_all(fd, state->before_status, strlen(state->before_status)) == 0 &&
        wherry_write_all(fd, status, strlen(status)) == 0 &&
        wherry_write_all(fd, state->before_pid, strlen(state->before_pid)) == 0 &&
        wherry_write_all(fd, number, (size_t)length) == 0)
        wherry_write_all(fd, state->after_pid, strlen(state->after_pid));
    sigtimedwait(&pipe_signal, NULL, &at_once);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static int run(const struct wherry_hook *hook, const char *kind, const struct wherry_state_text *state,
               const char *status, pid_t pid, struct wherry_error *err)
{
    cleanup_close int input = -1;
    cleanup_close int output = -1;
    cleanup_close int pidfd = -1;
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return wherry_error_set(err, errno, "pipe for %s hook %s", kind, hook->path);
    input = ends[0];
    output = ends[1];
    child = clone_with_pidfd(&pidfd);
    if (child < 0)
        return wherry_error_set(err, errno, "start %s hook %s", kind, hook->path);
    if (child == 0)
        execute(hook, input);
    close(input);
    input = -1;
    write_state(output, state, status, pid);
    close(output);
    output = -1;
    return await(hook, kind, pidfd, err);
}

int wherry_hooks_run(const struct wherry_hooks *hooks, const char *kind, const struct wherry_state_text *state,
                     const char *status, pid_t pid, struct wherry_error *err)
{
    for (size_t i = 0; i < hooks->count; i++) {
        if (run(&hooks->items[i], kind, state, status, pid, err) < 0)
            return -1;
    }
    return 0;
}

void wherry_hooks_run_each(const struct wherry_hooks *hooks, const char *kind, const struct wherry_state_text *state,
                           const char *status, pid_t pid, char warning[WHERRY_WARNING_MAX])
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    for (size_t i = 0; i < hooks->count; i++) {
        if (run(&hooks->items[i], kind, state, status, pid, &err) < 0)
            snprintf(warning, WHERRY_WARNING_MAX, "%.*s", WHERRY_WARNING_MAX - 1, err.message);
    }
}
