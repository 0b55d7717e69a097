/* What the caller of a launch hands over and is handed: the sockets for a terminal and a pidfd, listening sockets, the
 * file for the process's number; see launch.h. */
#include "launch.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

int wherry_launch_check_console(const struct wherry_launch_options *options, struct wherry_process *process,
                                struct wherry_error *err)
{
    bool terminal = process->terminal;
    struct winsize own;

    if (terminal && options->console_socket == NULL && options->console_fd <= 0)
        return wherry_error_set(err, 0, "cannot allocate tty if runtime will detach without setting console socket");
    if (!terminal && options->console_socket != NULL)
        return wherry_error_set(err, 0, "cannot use console socket if runtime will not detach or allocate tty");
    if (terminal && options->console_fd > 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &own) == 0) {
        process->has_console_size = true;
        process->rows = own.ws_row;
        process->columns = own.ws_col;
    }
    return 0;
}

static int connect_socket(const char *kind, const char *path, struct wherry_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return wherry_error_set(err, errno, "socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return wherry_error_set(err, ENAMETOOLONG, "%s %s", kind, path);
    strcpy(address.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return wherry_error_set(err, errno, "connect to %s %s", kind, path);
    return wherry_steal_fd(&fd);
}

int wherry_launch_open_console(const struct wherry_launch_options *options, int *fd, struct wherry_error *err)
{
    if (options->console_fd > 0) {
        *fd = fcntl(options->console_fd, F_DUPFD_CLOEXEC, 3);
        return *fd < 0 ? wherry_error_set(err, errno, "console socket") : 0;
    }
    if (options->console_socket != NULL)
        *fd = connect_socket("console socket", options->console_socket, err);
    return options->console_socket != NULL && *fd < 0 ? -1 : 0;
}

int wherry_launch_write_pid(const char *path, pid_t pid, struct wherry_error *err)
{
    char number[16];
    int length = snprintf(number, sizeof(number), "%d", (int)pid);
    const char *slash = strrchr(path, '/');
    cleanup_free char *directory = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    cleanup_close int fd = -1;

    if (directory == NULL)
        return wherry_error_set(err, ENOMEM, "pid file %s", path);
    fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return wherry_error_set(err, errno, "pid file %s", path);
    if (wherry_file_replace(fd, slash != NULL ? slash + 1 : path, number, (size_t)length, 0644, err) < 0)
        return wherry_error_prefix(err, "pid file %s", path);
    return 0;
}

int wherry_launch_add_environment(const struct wherry_launch_options *options, struct wherry_process *process,
                                  struct wherry_arena *arena, struct wherry_error *err)
{
    const char *names = getenv("LISTEN_FDNAMES");
    const char *count;

    if (options->listen_fds == 0)
        return 0;
    count = wherry_arena_format(arena, "LISTEN_FDS=%u", options->listen_fds);
    if (wherry_process_add_variable(process, arena, count, err) < 0 ||
        wherry_process_add_variable(process, arena, "LISTEN_PID=1", err) < 0)
        return -1;
    if (names == NULL)
        return 0;
    return wherry_process_add_variable(process, arena, wherry_arena_format(arena, "LISTEN_FDNAMES=%s", names), err);
}

int wherry_launch_send_pidfd(const char *path, const char *name, pid_t pid, struct wherry_error *err)
{
    cleanup_close int to = connect_socket("pidfd socket", path, err);
    cleanup_close int pidfd = -1;
    struct iovec data = {.iov_base = (char *)(uintptr_t)name, .iov_len = strlen(name)};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    if (to < 0)
        return -1;
    /* The process is this one's child and not reaped: the number cannot be another's. */
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return wherry_error_set(err, errno, "pidfd of process %d", (int)pid);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pidfd, sizeof(pidfd));
    if (sendmsg(to, &message, MSG_NOSIGNAL) < 0)
        return wherry_error_set(err, errno, "send to pidfd socket %s", path);
    return 0;
}
