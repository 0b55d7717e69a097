/*
 * wherry-init: the first process of a container that was asked to have one (docker run --init). It starts the command,
 * passes signals on to it, reaps every orphan of the container, and ends as the command ended.
 *
 *     wherry-init -- COMMAND [ARGUMENT…]
 *
 * Exit status: the command's; 128+n when signal n killed it; 127 when it was not found, 126 when it cannot be run.
 * It shares the container's memory bound: no allocation, no stdio.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOT_FOUND 127
#define NOT_EXECUTABLE 126

/* Of a fault of our own: blocked they would be fatal anyway (signal(7)), and there is no one to pass them on for. */
static const int FAULTS[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS};

static void complain(const char *what, const char *object, int code)
{
    const char *reason = code == 0 ? "" : strerrordesc_np(code);
    const char *const texts[] = {"wherry-init: ", what, object, code == 0 ? "" : ": ", reason, "\n"};
    struct iovec parts[sizeof(texts) / sizeof(*texts)];

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        parts[i] = (struct iovec){.iov_base = (void *)texts[i], .iov_len = strlen(texts[i])};
    if (writev(STDERR_FILENO, parts, sizeof(texts) / sizeof(*texts)) < 0)
        return; /* nobody listens */
}

/* In the child. Its process group is its own, and a terminal's foreground one, so that job control and ^C reach the
 * command and not its init; writing to the terminal's settings from the background asks for SIGTTOU to be blocked. */
static void run(char *const *command, const sigset_t *before)
{
    if (setpgid(0, 0) == 0 && isatty(STDIN_FILENO) && tcsetpgrp(STDIN_FILENO, getpgrp()) < 0 && errno != ENOTTY)
        complain("take the terminal", "", errno);
    sigprocmask(SIG_SETMASK, before, NULL);
    execvp(command[0], command);
    complain("exec ", command[0], errno);
    _exit(errno == ENOENT || errno == ENOTDIR ? NOT_FOUND : NOT_EXECUTABLE);
}

/* Every process that has ended. True when the command is among them, its status then in *status. */
static bool reap(pid_t command, int *status)
{
    bool ended = false;
    int current;
    pid_t pid;

    while ((pid = waitpid(-1, &current, WNOHANG)) > 0)
        if (pid == command) {
            *status = current;
            ended = true;
        }
    return ended;
}

/* Sleeps until a signal comes: there is nothing else to wake up for. */
static int serve(pid_t command, const sigset_t *signals)
{
    int status = 0;

    for (;;) {
        siginfo_t info;
        int number = sigwaitinfo(signals, &info);

        if (number < 0)
            continue; /* interrupted by a stop and a continuation */
        if (number == SIGCHLD) {
            if (reap(command, &status))
                return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        } else {
            kill(command, number); /* fails only when it has just ended */
        }
    }
}

int main(int argc, char **argv)
{
    sigset_t signals, before;
    pid_t command;

    if (argc < 3 || strcmp(argv[1], "--") != 0) {
        complain("usage: wherry-init -- COMMAND [ARGUMENT...]", "", 0);
        return 2;
    }
    sigfillset(&signals);
    for (size_t i = 0; i < sizeof(FAULTS) / sizeof(*FAULTS); i++)
        sigdelset(&signals, FAULTS[i]);
    /* Before the fork: a signal that comes early waits until there is somebody to pass it on to. */
    sigprocmask(SIG_BLOCK, &signals, &before);
    if (getpid() != 1) /* orphans come to pid 1 by themselves */
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    command = fork();
    if (command < 0) {
        complain("fork", "", errno);
        return NOT_EXECUTABLE;
    }
    if (command == 0)
        run(argv + 2, &before);
    return serve(command, &signals);
}
