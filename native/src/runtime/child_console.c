/* Step of the child: its terminal; see child.h. */
#include "child.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The multiplexer of the container's own devpts, so that the terminal has a name inside. It is opened without following
 * any link and checked to be what it should be: a container may have put anything there (CVE-2025-52565). */
static int open_multiplexer(const struct wherry_child *child, struct wherry_error *err)
{
    cleanup_close int root = child->root_fd >= 0 ? dup(child->root_fd) : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_close int directory = -1;
    cleanup_close int master = -1;
    struct statfs system;
    struct stat status;

    if (root < 0)
        return wherry_error_set(err, errno, "open the container's root");
    directory = wherry_paths_open_in_root(root, "/dev/pts", O_PATH | O_DIRECTORY, err);
    if (directory < 0)
        return wherry_error_prefix(err, "process.terminal");
    if (fstatfs(directory, &system) < 0 || system.f_type != DEVPTS_SUPER_MAGIC)
        return wherry_error_set(err, ENODEV, "process.terminal: /dev/pts is not a devpts: it must be in mounts");
    master = wherry_paths_open_beneath(directory, "ptmx", O_RDWR, err);
    if (master < 0)
        return wherry_error_prefix(err, "process.terminal");
    if (fstat(master, &status) < 0 || !S_ISCHR(status.st_mode) || status.st_rdev != makedev(5, 2))
        return wherry_error_set(err, ENODEV, "process.terminal: /dev/pts/ptmx is not the terminal multiplexer");
    return wherry_steal_fd(&master);
}

/* The master goes to whoever serves the terminal, as one message with one descriptor (the interface of runc's console
 * sockets). */
static int send_master(int socket_fd, int master, struct wherry_error *err)
{
    char name[] = "/dev/ptmx";
    struct iovec data = {.iov_base = name, .iov_len = sizeof(name) - 1};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &master, sizeof(int));
    if (sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0)
        return wherry_error_set(err, errno, "send the terminal to the console socket");
    return 0;
}

/* /dev/console is the terminal's other end: bound by its descriptor, so no name is looked up that could be swapped. */
static int bind_console(struct wherry_child *child, int slave, struct wherry_error *err)
{
    cleanup_close int target = wherry_paths_touch_in_root(child->root_fd, "/dev/console", 0600, err);
    cleanup_close int copy = -1;

    if (target < 0 || wherry_child_check_target(target, "/dev/console", err) < 0)
        return -1;
    copy = open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (copy < 0)
        return wherry_error_set(err, errno, "copy the mount of the terminal");
    return wherry_child_attach(copy, target, "/dev/console", err);
}

static int connect_terminal(int slave, const struct wherry_process *process, struct wherry_error *err)
{
    struct winsize size = {.ws_row = process->rows, .ws_col = process->columns};

    if (process->has_console_size && ioctl(slave, TIOCSWINSZ, &size) < 0)
        return wherry_error_set(err, errno, "set process.consoleSize");
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (dup3(slave, fd, 0) < 0)
            return wherry_error_set(err, errno, "connect standard streams to the terminal");
    }
    return 0;
}

int wherry_child_open_console(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_process *process = subject;
    cleanup_close int master = open_multiplexer(child, err);
    cleanup_close int slave = -1;
    int unlock = 0;

    if (master < 0)
        return master;
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return wherry_error_set(err, errno, "unlock the terminal");
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return wherry_error_set(err, errno, "open the terminal");
    if (child->root_fd >= 0 && bind_console(child, slave, err) < 0)
        return -1;
    if (send_master(child->plan->console_socket, master, err) < 0)
        return -1;
    return connect_terminal(slave, process, err);
}

int wherry_child_take_terminal(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)child;
    (void)subject;
    return ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0 ? wherry_error_set(err, errno, "take the controlling terminal") : 0;
}
