/* See wherry/userns.h. */
#include "wherry/userns.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The most that the kernel takes in one map, and the length of a line of it. */
#define RANGES_MAX 340
#define LINE_MAX_LENGTH 34

/* A copy of this process that waits to be killed. Between clone and its end it calls nothing but the kernel. */
struct holder {
    pid_t pid;
    int ready; /* closed by the holder's end of the pipe when it is where it shall be, or has failed */
};

static void end_holder(struct holder *holder)
{
    if (holder->pid > 0) {
        kill(holder->pid, SIGKILL);
        while (waitpid(holder->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (holder->ready >= 0)
        close(holder->ready);
}

#define cleanup_holder __attribute__((cleanup(end_holder)))

static _Noreturn void hold(int user_fd, int told)
{
    int failed = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* The user namespace first: what is made after it belongs to it. */
    if (user_fd >= 0 && (setns(user_fd, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNET) < 0))
        failed = errno;
    if (write(told, &failed, sizeof(failed)) < 0)
        _exit(1);
    for (;;)
        pause();
}

/* `flags` are those of the clone; with a user namespace to join, a network namespace is made in that. */
static int start_holder(struct holder *holder, uint64_t flags, int user_fd, struct wherry_error *err)
{
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    int ends[2], failed = 0;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return wherry_error_set(err, errno, "pipe");
    holder->ready = ends[0];
    holder->pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (holder->pid == 0)
        hold(user_fd, ends[1]);
    if (holder->pid < 0)
        failed = errno;
    close(ends[1]);
    if (failed == 0 && read(holder->ready, &failed, sizeof(failed)) != sizeof(failed))
        failed = ECHILD;
    return failed != 0 ? wherry_error_set(err, failed, "make a namespace") : 0;
}

static int write_map(pid_t pid, const char *name, const struct wherry_id_map *map, struct wherry_error *err)
{
    char path[64];
    char text[RANGES_MAX * LINE_MAX_LENGTH];
    size_t length = 0;

    if (map->count == 0 || map->count > RANGES_MAX)
        return wherry_error_set(err, EINVAL, "%s: %zu ranges; allowed are 1 to %d", name, map->count, RANGES_MAX);
    for (size_t i = 0; i < map->count; i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%u %u %u\n", map->ranges[i].inside,
                                   map->ranges[i].outside, map->ranges[i].count);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return wherry_file_write(AT_FDCWD, path, text, err);
}

static int make_file(const char *path, struct wherry_error *err)
{
    int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);

    if (fd < 0)
        return wherry_error_set(err, errno, "make the file");
    close(fd);
    return 0;
}

static int bind_to(const char *source, const char *path, struct wherry_error *err)
{
    if (make_file(path, err) < 0)
        return -1;
    if (mount(source, path, NULL, MS_BIND, NULL) < 0) {
        wherry_error_set(err, errno, "bind mount");
        unlink(path);
        return -1;
    }
    return 0;
}

static int keep(pid_t pid, const char *name, const char *path, struct wherry_error *err)
{
    char source[64];

    snprintf(source, sizeof(source), "/proc/%d/ns/%s", (int)pid, name);
    return bind_to(source, path, err);
}

int wherry_userns_create(const char *path, const struct wherry_id_maps *maps, struct wherry_error *err)
{
    struct holder holder cleanup_holder = {.ready = -1};

    if (start_holder(&holder, CLONE_NEWUSER, -1, err) < 0 || write_map(holder.pid, "uid_map", &maps->uids, err) < 0 ||
        write_map(holder.pid, "gid_map", &maps->gids, err) < 0 || keep(holder.pid, "user", path, err) < 0)
        return wherry_error_prefix(err, "user namespace %s", path);
    return 0;
}

int wherry_userns_create_network(const char *user_path, const char *path, struct wherry_error *err)
{
    struct holder holder cleanup_holder = {.ready = -1};
    cleanup_close int user_fd = open(user_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (user_fd < 0)
        return wherry_error_set(err, errno, "user namespace %s", user_path);
    if (start_holder(&holder, 0, user_fd, err) < 0 || keep(holder.pid, "net", path, err) < 0)
        return wherry_error_prefix(err, "network namespace %s", path);
    if (wherry_netns_loopback_up(path, err) < 0) {
        struct wherry_error ignored = WHERRY_ERROR_INIT;

        wherry_netns_remove(path, &ignored);
        return -1;
    }
    return 0;
}

int wherry_userns_share(const char *from, const char *path, struct wherry_error *err)
{
    return bind_to(from, path, err) < 0 ? wherry_error_prefix(err, "user namespace %s", path) : 0;
}

int wherry_userns_remove(const char *path, struct wherry_error *err)
{
    /* EINVAL: a file without a mount, left by a crash between the two steps of making it. */
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return wherry_error_set(err, errno, "user namespace %s: unmount", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return wherry_error_set(err, errno, "user namespace %s: remove the file", path);
    return 0;
}
