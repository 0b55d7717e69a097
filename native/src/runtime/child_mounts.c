/* Steps of the child: the binds of config.json, and changes to what is mounted already; see child.h. */
#include "child.h"
#include "mount_attributes.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

int wherry_child_attach(int mount_fd, int target, const char *path, struct wherry_error *err)
{
    if (move_mount(mount_fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return wherry_error_set(err, errno, "mount on %s", path);
    return 0;
}

bool wherry_child_same_path(const char *path, const char *plain)
{
    for (;;) {
        size_t length;

        path += strspn(path, "/");
        plain += strspn(plain, "/");
        length = strcspn(path, "/");
        if (length == 1 && path[0] == '.') {
            path++;
            continue;
        }
        if (length != strcspn(plain, "/") || strncmp(path, plain, length) != 0)
            return false;
        if (length == 0)
            return true;
        path += length;
        plain += length;
    }
}

int wherry_child_check_target(int target, const char *path, struct wherry_error *err)
{
    /* What lxcfs shows a container of its own share of the machine, and two files that checkpoints and FIPS need. */
    static const char *const allowed[] = {"/proc/cpuinfo",
                                          "/proc/diskstats",
                                          "/proc/loadavg",
                                          "/proc/meminfo",
                                          "/proc/slabinfo",
                                          "/proc/stat",
                                          "/proc/swaps",
                                          "/proc/uptime",
                                          "/proc/sys/crypto/fips_enabled",
                                          "/proc/sys/kernel/ns_last_pid"};
    struct statfs system;

    if (fstatfs(target, &system) < 0)
        return wherry_error_set(err, errno, "mount on %s", path);
    if (system.f_type != PROC_SUPER_MAGIC)
        return 0;
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        if (wherry_child_same_path(path, allowed[i]))
            return 0;
    }
    return wherry_error_set(err, EPERM, "mount on %s: nothing may be mounted over what /proc shows", path);
}

/* The place where a mount goes, made when it is missing: a directory for a directory, a file for anything else. */
static int open_target(const struct wherry_child *child, const struct wherry_planned_bind *bind,
                       struct wherry_error *err)
{
    const char *path = bind->mount->destination;
    struct stat status;

    if (fstat(bind->tree, &status) < 0)
        return wherry_error_set(err, errno, "stat the source of %s", path);
    if (bind->mount->target_nofollow) {
        int fd = wherry_paths_open_in_root(child->root_fd, path, O_PATH | O_NOFOLLOW, err);

        if (fd >= 0 || err->code != ENOENT)
            return fd;
    }
    if (S_ISDIR(status.st_mode))
        return wherry_paths_mkdir_in_root(child->root_fd, path, 0755, err);
    return wherry_paths_touch_in_root(child->root_fd, path, 0644, err);
}

/* What programs take for procfs has to be one: a volume in its place would tell them, and a runtime that is less
 * careful, what its owner likes (CVE-2019-16884, CVE-2019-19921). */
static int check_proc(const struct wherry_planned_bind *bind, struct wherry_error *err)
{
    struct statfs system;

    if (!wherry_child_same_path(bind->mount->destination, "/proc"))
        return 0;
    if (fstatfs(bind->tree, &system) < 0 || system.f_type != PROC_SUPER_MAGIC)
        return wherry_error_set(err, EPERM, "mount %s on /proc: it is not a procfs", bind->mount->source);
    return 0;
}

/* A runtime without privileges may not copy the host's mounts; its child may, in a mount namespace of its own. */
static int open_here(struct wherry_planned_bind *bind, struct wherry_error *err)
{
    int result;

    bind->tree = open_tree(AT_FDCWD, bind->mount->source, (unsigned)bind->flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (bind->tree < 0)
        return wherry_error_set(err, errno, "mount %s: open source %s", bind->mount->destination, bind->mount->source);
    result = wherry_mount_attributes_set_detached(bind->tree, bind->mount, err);
    bind->attributes_pending = result == -ENOSYS;
    return result == -ENOSYS ? 0 : result;
}

int wherry_child_mount_bind(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    struct wherry_planned_bind here = *(const struct wherry_planned_bind *)subject;
    const struct wherry_planned_bind *bind = &here;
    cleanup_close int target = -1;

    if (bind->tree < 0 && open_here(&here, err) < 0)
        return wherry_error_prefix(err, "bind %s on %s", bind->mount->source, bind->mount->destination);
    if (wherry_child_same_path(bind->mount->destination, "/"))
        return wherry_error_set(err, 0, "mount on /: the root is root.path's");
    if (check_proc(bind, err) < 0)
        return -1;
    target = open_target(child, bind, err);
    if (target < 0)
        return target;
    if (wherry_child_check_target(target, bind->mount->destination, err) < 0 ||
        wherry_child_attach(bind->tree, target, bind->mount->destination, err) < 0)
        return -1;
    if (bind->attributes_pending && wherry_mount_attributes_set(bind->tree, bind->mount, err) < 0)
        return wherry_error_prefix(err, "bind %s on %s", bind->mount->source, bind->mount->destination);
    /* Paths of /sys are now those of what is bound. */
    if (wherry_child_same_path(bind->mount->destination, "/sys"))
        child->sys_fd = -1;
    return 0;
}

int wherry_child_copy_link(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_planned_link *link = subject;
    const char *name = NULL;
    cleanup_close int directory = wherry_paths_parent_in_root(child->root_fd, link->path, &name, err);
    char present[PATH_MAX];
    ssize_t length;

    if (directory < 0)
        return directory;
    if (symlinkat(link->target, directory, name) == 0)
        return 0;
    if (errno != EEXIST)
        return wherry_error_set(err, errno, "make link %s", link->path);
    length = readlinkat(directory, name, present, sizeof(present));
    if (length == (ssize_t)strlen(link->target) && memcmp(present, link->target, (size_t)length) == 0)
        return 0;
    return wherry_error_set(err, EEXIST, "make link %s: something else is there", link->path);
}

/* What belongs to the file system, and so to all mounts of it. */
static int reconfigure(int target, const struct wherry_mount *mount, struct wherry_error *err)
{
    cleanup_close int context = fspick(target, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);

    if (context < 0)
        return wherry_error_set(err, errno, "remount %s", mount->destination);
    if (wherry_child_configure(context, mount, err) < 0)
        return wherry_error_prefix(err, "remount");
    if (fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
        return wherry_error_set(err, errno, "remount %s", mount->destination);
    return 0;
}

int wherry_child_change_mount(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_mount *mount = subject;
    cleanup_close int fd = wherry_paths_open_in_root(child->root_fd, mount->destination, O_PATH, err);
    struct statx status;

    if (fd < 0)
        return wherry_error_prefix(err, "remount");
    if (statx(fd, "", AT_EMPTY_PATH, 0, &status) < 0)
        return wherry_error_set(err, errno, "remount %s", mount->destination);
    if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0)
        return wherry_error_set(err, EINVAL, "remount %s: nothing is mounted there", mount->destination);
    if ((mount->data_count > 0 || mount->system_set != 0 || mount->system_clear != 0) &&
        reconfigure(fd, mount, err) < 0)
        return -1;
    if (wherry_mount_attributes_set(fd, mount, err) < 0)
        return wherry_error_prefix(err, "remount %s", mount->destination);
    return 0;
}
