/* Running probes in throw-away namespaces; see kernel_probe.h. */
#include "kernel/kernel_probe.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* No probe takes a second; one that hangs in the kernel must not hang the agent. */
#define PROBE_SECONDS 10

/* What the child could not get as far as: no verdict on the kernel. */
#define CANNOT_ISOLATE 1000

static int isolate(int namespaces)
{
    /* Without root a user namespace gives the rights over the other new namespaces. */
    if (geteuid() != 0)
        namespaces |= CLONE_NEWUSER;
    if (unshare(namespaces) < 0)
        return -errno;
    if ((namespaces & CLONE_NEWNS) != 0 && mount("", "/", "", MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    return 0;
}

/* In the child. Only system calls: the parent may have had other threads. */
__attribute__((noreturn)) static void run_child(const struct kernel_probe *probe, int out)
{
    sigset_t none;
    int result;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGALRM, SIG_DFL);
    alarm(PROBE_SECONDS);
    result = isolate(probe->namespaces);
    if (result < 0)
        result -= CANNOT_ISOLATE;
    else
        result = probe->attempt();
    _exit(write(out, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
}

/* 0, -errno of the attempt, or below -CANNOT_ISOLATE when it could not be made. */
static int run(const struct kernel_probe *probe)
{
    int pipe_fds[2], result = -CANNOT_ISOLATE - EIO;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -CANNOT_ISOLATE - errno;
    pid = fork();
    if (pid == 0)
        run_child(probe, pipe_fds[1]);
    close(pipe_fds[1]);
    if (pid < 0)
        result = -CANNOT_ISOLATE - errno;
    else if (read(pipe_fds[0], &result, sizeof(result)) != (ssize_t)sizeof(result))
        result = -CANNOT_ISOLATE - ETIMEDOUT;
    close(pipe_fds[0]);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return result;
}

int kernel_probe_run(const struct kernel_probe *probe, const struct kernel_view *view,
                     struct wherry_kernel_report *report, struct wherry_error *err)
{
    struct wherry_kernel_finding finding = {
        .group = probe->group,
        .name = probe->name,
        .module = probe->module,
        .required = probe->required,
        .breaks = probe->breaks,
    };
    enum wherry_kernel_state option = kernel_view_state(view, probe->option, probe->module);
    int result;

    if (option == WHERRY_KERNEL_MODULE_NOT_LOADED) {
        finding.state = WHERRY_KERNEL_UNKNOWN;
        return kernel_report_add(report, err, &finding, "modprobe %s, then check again", probe->module);
    }
    result = run(probe);
    if (result == 0) {
        finding.state = WHERRY_KERNEL_OK;
        return kernel_report_add(report, err, &finding, "%s", "");
    }
    if (result <= -CANNOT_ISOLATE) {
        finding.state = WHERRY_KERNEL_UNKNOWN;
        return kernel_report_add(report, err, &finding, "could not be tried in a namespace: %s; run as root",
                                 strerror(-result - CANNOT_ISOLATE));
    }
    finding.state = WHERRY_KERNEL_FAILED;
    if (option == WHERRY_KERNEL_MISSING)
        return kernel_report_add(report, err, &finding, "see %s (%s)", probe->option, strerror(-result));
    return kernel_report_add(report, err, &finding, "%s (%s)", probe->remedy, strerror(-result));
}
