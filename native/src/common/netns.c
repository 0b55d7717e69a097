/*
 * See wherry/netns.h. setns(2) and unshare(2) act on the calling thread alone, so a thread that ends takes the change
 * with it, and the agent's own threads are never in a container's namespace.
 */
#include "wherry/netns.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statfs.h>

#define SYSCTL_NAME_MAX 256
/* The work is a few system calls; the default of 8 MiB of address space for each short thread is not needed. */
#define THREAD_STACK (128 * 1024)

struct task {
    int (*run)(struct task *task);
    const char *path;
    const char *name;
    const char *value;
    int family, type, protocol;
    int result;
    struct wherry_error *err;
};

static void *task_thread(void *argument)
{
    struct task *task = argument;

    task->result = task->run(task);
    return NULL;
}

static int run_in_thread(struct task *task)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int failed;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    failed = pthread_create(&thread, &attributes, task_thread, task);
    pthread_attr_destroy(&attributes);
    if (failed != 0)
        return wherry_error_set(task->err, failed, "network namespace %s: start a thread", task->path);
    pthread_join(thread, NULL);
    return task->result;
}

/* The loopback of a new namespace is down, and containers expect to reach themselves. */
static int loopback_up(struct wherry_error *err)
{
    struct ifreq request = {.ifr_name = "lo"};
    cleanup_close int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (sock < 0)
        return wherry_error_set(err, errno, "open a socket in a new network namespace");
    if (ioctl(sock, SIOCGIFFLAGS, &request) < 0)
        return wherry_error_set(err, errno, "read the flags of lo");
    request.ifr_flags |= IFF_UP;
    if (ioctl(sock, SIOCSIFFLAGS, &request) < 0)
        return wherry_error_set(err, errno, "set lo up");
    return 0;
}

static int create(struct task *task)
{
    int ret;

    if (unshare(CLONE_NEWNET) < 0)
        return wherry_error_set(task->err, errno, "network namespace %s: unshare", task->path);
    ret = loopback_up(task->err);
    if (ret < 0)
        return wherry_error_prefix(task->err, "network namespace %s", task->path);
    if (mount("/proc/thread-self/ns/net", task->path, NULL, MS_BIND, NULL) < 0)
        return wherry_error_set(task->err, errno, "network namespace %s: bind mount", task->path);
    return 0;
}

int wherry_netns_create(const char *path, struct wherry_error *err)
{
    struct task task = {.run = create, .path = path, .err = err};
    int ret;
    int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);

    if (fd < 0)
        return wherry_error_set(err, errno, "network namespace %s: make the file", path);
    close(fd);
    ret = run_in_thread(&task);
    if (ret < 0)
        unlink(path);
    return ret;
}

int wherry_netns_remove(const char *path, struct wherry_error *err)
{
    /* EINVAL: a file without a mount, left by a crash between the two steps of making it. */
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return wherry_error_set(err, errno, "network namespace %s: unmount", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return wherry_error_set(err, errno, "network namespace %s: remove the file", path);
    return 0;
}

static int enter(struct task *task)
{
    cleanup_close int fd = open(task->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return wherry_error_set(task->err, errno, "network namespace %s: open", task->path);
    if (setns(fd, CLONE_NEWNET) < 0)
        return wherry_error_set(task->err, errno, "network namespace %s: enter", task->path);
    return 0;
}

static int enter_and_set_loopback_up(struct task *task)
{
    int ret = enter(task);

    if (ret < 0)
        return ret;
    ret = loopback_up(task->err);
    return ret < 0 ? wherry_error_prefix(task->err, "network namespace %s", task->path) : 0;
}

int wherry_netns_loopback_up(const char *path, struct wherry_error *err)
{
    struct task task = {.run = enter_and_set_loopback_up, .path = path, .err = err};

    return run_in_thread(&task);
}

static int open_socket(struct task *task)
{
    int ret = enter(task);

    if (ret < 0)
        return ret;
    ret = socket(task->family, task->type | SOCK_CLOEXEC, task->protocol);
    if (ret < 0)
        return wherry_error_set(task->err, errno, "network namespace %s: open a socket", task->path);
    return ret;
}

int wherry_netns_socket(const char *path, int family, int type, int protocol, struct wherry_error *err)
{
    struct task task = {
        .run = open_socket, .path = path, .family = family, .type = type, .protocol = protocol, .err = err};

    return run_in_thread(&task);
}

/* The name below /proc/sys/net as a path: "net.ipv4.ip_forward" and "net/ipv4/ip_forward" are "ipv4/ip_forward". */
static int sysctl_path(char path[SYSCTL_NAME_MAX], const char *name, struct wherry_error *err)
{
    bool dotted = strchr(name, '/') == NULL;
    size_t length = strlen(name);

    if (length >= SYSCTL_NAME_MAX || strncmp(name, dotted ? "net." : "net/", 4) != 0 || name[4] == '\0')
        return wherry_error_set(err, EINVAL, "sysctl \"%s\": not a sysctl of a network namespace", name);
    memcpy(path, name + 4, length - 3);
    for (char *at = path; dotted && (at = strchr(at, '.')) != NULL;)
        *at = '/';
    return 0;
}

/*
 * /proc/sys/net shows the namespace of the thread that opens it. The lookup starts there and stays beneath it, so that
 * ".." reaches no setting of the host, and what is no procfs is not written, whatever is mounted over it
 * (CVE-2025-52881).
 */
static int write_sysctl(struct task *task)
{
    char path[SYSCTL_NAME_MAX];
    struct statfs system;
    cleanup_close int root = -1;
    cleanup_close int fd = -1;
    int ret = sysctl_path(path, task->name, task->err);

    if (ret < 0)
        return ret;
    ret = enter(task);
    if (ret < 0)
        return ret;
    root = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return wherry_error_set(task->err, errno, "/proc/sys/net");
    if (fstatfs(root, &system) < 0 || system.f_type != PROC_SUPER_MAGIC)
        return wherry_error_set(task->err, EINVAL, "/proc/sys/net is not procfs");
    fd = wherry_paths_open_beneath(root, path, O_WRONLY, task->err);
    if (fd < 0)
        return wherry_error_prefix(task->err, "sysctl %s", task->name);
    ret = wherry_write_all(fd, task->value, strlen(task->value));
    if (ret < 0)
        return wherry_error_set(task->err, -ret, "sysctl %s: write \"%s\"", task->name, task->value);
    return 0;
}

int wherry_netns_sysctl(const char *path, const char *name, const char *value, struct wherry_error *err)
{
    struct task task = {.run = write_sysctl, .path = path, .name = name, .value = value, .err = err};

    return run_in_thread(&task);
}
