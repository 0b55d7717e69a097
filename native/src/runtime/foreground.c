/* Standing in for a container's process; see foreground.h. */
#include "foreground.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>

void wherry_foreground_begin(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
}

int wherry_foreground_reap(pid_t pid, int *status)
{
    int raw;
    pid_t ended;

    while ((ended = waitpid(-1, &raw, WNOHANG)) > 0) {
        if (ended != pid)
            continue;
        *status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
        return 1;
    }
    return ended < 0 && errno != EINTR ? -errno : 0;
}

void wherry_foreground_forward(pid_t pid, int signal)
{
    /* What the terminal's job control and this process's own children cause is not meant for the container. */
    if (signal != SIGCHLD && signal != SIGTTIN && signal != SIGTTOU && signal != SIGTSTP && signal != SIGURG &&
        signal != SIGPIPE)
        kill(pid, signal);
}

int wherry_foreground_wait(pid_t pid, struct wherry_error *err)
{
    sigset_t all;

    sigfillset(&all);
    for (;;) {
        int status = 0;
        int ended = wherry_foreground_reap(pid, &status);
        int number;

        if (ended != 0)
            return ended > 0 ? status : wherry_error_set(err, -ended, "wait for process %d", (int)pid);
        number = sigwaitinfo(&all, NULL);
        if (number > 0)
            wherry_foreground_forward(pid, number);
    }
}
