/* The runtime's own terminal joined to a container's; see terminal.h. */
#include "terminal.h"

#include "foreground.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define CHUNK 16384

int wherry_terminal_prepare(struct wherry_terminal *terminal, struct wherry_error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return wherry_error_set(err, errno, "socketpair");
    terminal->receiver = ends[0];
    terminal->sender = ends[1];
    return 0;
}

static int receive(struct wherry_terminal *terminal, struct wherry_error *err)
{
    char name[64];
    struct iovec data = {.iov_base = name, .iov_len = sizeof(name)};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    ssize_t got;

    do {
        got = recvmsg(terminal->receiver, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got <= 0 || CMSG_FIRSTHDR(&message) == NULL || CMSG_FIRSTHDR(&message)->cmsg_type != SCM_RIGHTS)
        return wherry_error_set(err, got < 0 ? errno : EPROTO, "receive the container's terminal");
    memcpy(&terminal->master, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return 0;
}

static void copy_size(const struct wherry_terminal *terminal)
{
    struct winsize size;

    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        ioctl(terminal->master, TIOCSWINSZ, &size);
}

int wherry_terminal_join(struct wherry_terminal *terminal, struct wherry_error *err)
{
    struct termios raw;

    if (receive(terminal, err) < 0)
        return -1;
    if (tcgetattr(STDIN_FILENO, &terminal->saved) < 0)
        return 0;
    copy_size(terminal);
    raw = terminal->saved;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
        return wherry_error_set(err, errno, "set the terminal to raw mode");
    terminal->raw = true;
    return 0;
}

/* Copies what there is. False when nothing will come any more: at end of file, and when the last one has closed the
 * terminal (EIO). */
static bool copy(int from, int to)
{
    char buffer[CHUNK];
    ssize_t got = read(from, buffer, sizeof(buffer));

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    return got > 0 && wherry_write_all(to, buffer, (size_t)got) == 0;
}

/* What the container has written before it ended. */
static void drain(const struct wherry_terminal *terminal)
{
    struct pollfd output = {.fd = terminal->master, .events = POLLIN};

    while (poll(&output, 1, 0) > 0 && (output.revents & POLLIN) != 0 && copy(terminal->master, STDOUT_FILENO))
        ;
}

/* 1 with the status when the process has ended, 0 when it lives. */
static int take_signal(const struct wherry_terminal *terminal, int signals, pid_t pid, int *status)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof(info)) != sizeof(info))
        return 0;
    if (info.ssi_signo == SIGWINCH)
        copy_size(terminal);
    else if (info.ssi_signo == SIGCHLD)
        return wherry_foreground_reap(pid, status);
    else
        wherry_foreground_forward(pid, (int)info.ssi_signo);
    return 0;
}

int wherry_terminal_relay(struct wherry_terminal *terminal, pid_t pid, struct wherry_error *err)
{
    cleanup_close int signals = -1;
    struct pollfd polls[3] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = terminal->master, .events = POLLIN}};
    int status = 0, ended;
    sigset_t all;

    sigfillset(&all);
    signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return wherry_error_set(err, errno, "signalfd");
    polls[2] = (struct pollfd){.fd = signals, .events = POLLIN};
    /* It may have ended before there was anybody to be told. */
    ended = wherry_foreground_reap(pid, &status);
    while (ended == 0) {
        if (poll(polls, 3, -1) < 0 && errno != EINTR)
            return wherry_error_set(err, errno, "poll");
        if (polls[1].revents != 0 && !copy(terminal->master, STDOUT_FILENO))
            polls[1].fd = -1;
        if (polls[0].revents != 0 && !copy(STDIN_FILENO, terminal->master))
            polls[0].fd = -1;
        if (polls[2].revents != 0)
            ended = take_signal(terminal, signals, pid, &status);
    }
    drain(terminal);
    return ended > 0 ? status : wherry_error_set(err, -ended, "wait for process %d", (int)pid);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void wherry_terminal_leave(struct wherry_terminal *terminal)
{
    if (terminal->raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal->saved);
    close_fd(terminal->receiver);
    close_fd(terminal->sender);
    close_fd(terminal->master);
    *terminal = (struct wherry_terminal)WHERRY_TERMINAL_INIT;
}

int wherry_terminal_attend(struct wherry_terminal *terminal, bool used, pid_t pid, struct wherry_error *err)
{
    int status;

    if (!used)
        status = wherry_foreground_wait(pid, err);
    else if (wherry_terminal_join(terminal, err) < 0)
        status = -1;
    else
        status = wherry_terminal_relay(terminal, pid, err);
    wherry_terminal_leave(terminal);
    return status;
}
