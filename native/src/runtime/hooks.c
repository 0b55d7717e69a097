/* Running the hooks of config.json; see hooks.h. */
#include "hooks.h"

#include "wherry/cleanup.h"

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

unsigned wherry_hooks_kinds(const struct wherry_spec *spec)
{
    unsigned kinds = 0;

    for (int kind = 0; kind < WHERRY_HOOK_KINDS; kind++)
        kinds |= spec->hooks[kind].count > 0 ? 1U << kind : 0;
    return kinds;
}

bool wherry_hooks_poststart_must_succeed(const char *oci_version)
{
    unsigned major = 0, minor = 0, patch = 0;

    if (sscanf(oci_version, "%u.%u.%u", &major, &minor, &patch) != 3)
        return false;
    return minor > 2 || (minor == 2 && patch >= 1);
}

/* A process of its own, with a descriptor that tells of its end. */
static pid_t clone_with_pidfd(int *pidfd)
{
    /* Not clone3, which common filters answer with ENOSYS: a startContainer hook is under the container's. */
    return (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
}

static void execute(const struct wherry_hook *hook, const char *directory, int input)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Its timeout ends what it has started as well. */
    setpgid(0, 0);
    /* As with runc and crun. That it is gone, as it may be after the container, is the hook's to find out. */
    if (directory != NULL && chdir(directory) < 0)
        errno = 0;
    if (dup2(input, STDIN_FILENO) >= 0)
        execve(hook->path, (char *const *)hook->args, hook->env != NULL ? (char *const *)hook->env : environ);
    /* The shell's convention for a program that cannot be executed. */
    _exit(errno == ENOENT ? 127 : 126);
}

/* One hook that runs. */
struct run {
    const struct wherry_hook *hook;
    const char *kind;
    pid_t pid;
    int pidfd;
    int input; /* the other end of its standard input; -1 when it has all of it */
    struct timespec start;
};

/* Milliseconds until its time is up; -1: never. */
static int remaining(const struct run *run)
{
    int timeout = run->hook->timeout;
    struct timespec now;
    long long passed;

    if (timeout == 0)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    passed = (now.tv_sec - run->start.tv_sec) * 1000LL + (now.tv_nsec - run->start.tv_nsec) / 1000000;
    return passed >= timeout * 1000LL ? 0 : (int)(timeout * 1000LL - passed);
}

/* Waits until the process has ended (1) or its time is up (0), or with an input until that takes more (2). */
static int await_event(const struct run *run)
{
    struct pollfd polls[] = {{.fd = run->pidfd, .events = POLLIN}, {.fd = run->input, .events = POLLOUT}};
    int ready;

    do {
        ready = poll(polls, run->input >= 0 ? 2 : 1, remaining(run));
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return 0;
    return polls[0].revents != 0 ? 1 : 2;
}

/* Writes all of `text` unless the hook does not want it, which is no error, or has ended, or its time is up. False when
 * there is no use in writing more. */
static bool feed(const struct run *run, const char *text)
{
    size_t length = strlen(text);

    while (length > 0) {
        ssize_t written = write(run->input, text, length);

        if (written < 0 && errno == EAGAIN && await_event(run) == 2)
            continue;
        if (written < 0 && errno != EINTR)
            return false;
        text += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* A hook that does not read its input is no error: SIGPIPE is blocked while it is written. */
static void write_state(struct run *run, const struct wherry_state_text *state, const char *status, pid_t pid)
{
    char number[16];
    sigset_t pipe_signal, before;
    struct timespec at_once = {0};

    snprintf(number, sizeof(number), "%d", (int)pid);
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigprocmask(SIG_BLOCK, &pipe_signal, &before);
    (void)(feed(run, state->before_status) && feed(run, status) && feed(run, state->before_pid) && feed(run, number) &&
           feed(run, state->after_pid));
    sigtimedwait(&pipe_signal, NULL, &at_once);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(run->input);
    run->input = -1;
}

static int judge(const struct run *run, const siginfo_t *info, struct wherry_error *err)
{
    const char *kind = run->kind, *path = run->hook->path;

    if (info->si_code != CLD_EXITED)
        return wherry_error_set(err, 0, "%s hook %s: killed by signal %d", kind, path, info->si_status);
    if (info->si_status == 127 || info->si_status == 126)
        return wherry_error_set(err, 0, "%s hook %s: exit status %d (it could not be executed, or says so)", kind, path,
                                info->si_status);
    if (info->si_status != 0)
        return wherry_error_set(err, 0, "%s hook %s: exit status %d", kind, path, info->si_status);
    return 0;
}

static int await_end(const struct run *run, struct wherry_error *err)
{
    bool ended = await_event(run) == 1;
    siginfo_t info = {0};

    if (!ended) {
        kill(-run->pid, SIGKILL);
        syscall(SYS_pidfd_send_signal, run->pidfd, SIGKILL, NULL, 0);
    }
    while (waitid((idtype_t)P_PIDFD, (id_t)run->pidfd, &info, WEXITED) < 0) {
        if (errno != EINTR)
            return wherry_error_set(err, errno, "wait for %s hook %s", run->kind, run->hook->path);
    }
    if (!ended)
        return wherry_error_set(err, ETIMEDOUT, "%s hook %s: killed after %d seconds", run->kind, run->hook->path,
                                run->hook->timeout);
    return judge(run, &info, err);
}

static int run_one(const struct wherry_hook *hook, const char *kind, const struct wherry_state_text *state,
                   const char *status, pid_t pid, struct wherry_error *err)
{
    struct run run = {.hook = hook, .kind = kind, .input = -1};
    cleanup_close int input = -1;
    cleanup_close int pidfd = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return wherry_error_set(err, errno, "pipe for %s hook %s", kind, hook->path);
    input = ends[0];
    clock_gettime(CLOCK_MONOTONIC, &run.start);
    run.pid = clone_with_pidfd(&pidfd);
    if (run.pid == 0)
        execute(hook, state->directory, input);
    if (run.pid < 0) {
        close(ends[1]);
        return wherry_error_set(err, errno, "start %s hook %s", kind, hook->path);
    }
    run.pidfd = pidfd;
    run.input = ends[1];
    close(input);
    input = -1;
    /* Its time counts while it is fed, too. */
    fcntl(run.input, F_SETFL, O_NONBLOCK);
    write_state(&run, state, status, pid);
    return await_end(&run, err);
}

int wherry_hooks_run(const struct wherry_hooks *hooks, const char *kind, const struct wherry_state_text *state,
                     const char *status, pid_t pid, struct wherry_error *err)
{
    for (size_t i = 0; i < hooks->count; i++) {
        if (run_one(&hooks->items[i], kind, state, status, pid, err) < 0)
            return -1;
    }
    return 0;
}

void wherry_hooks_run_each(const struct wherry_hooks *hooks, const char *kind, const struct wherry_state_text *state,
                           const char *status, pid_t pid, char warning[WHERRY_WARNING_MAX])
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    for (size_t i = 0; i < hooks->count; i++) {
        if (run_one(&hooks->items[i], kind, state, status, pid, &err) < 0)
            snprintf(warning, WHERRY_WARNING_MAX, "%.*s", WHERRY_WARNING_MAX - 1, err.message);
    }
}
