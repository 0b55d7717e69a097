/* Steps of the child: hidden and read-only paths; see child.h. */
#include "child.h"
#include "mount_attributes.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The host's /dev/null, which the container cannot have swapped for a link: it is taken before the root is changed, and
 * what was opened is what is checked (CVE-2025-31133). */
static int open_null(struct wherry_child *child, struct wherry_error *err)
{
    struct stat status;

    if (child->null_fd >= 0)
        return 0;
    child->null_fd = open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (child->null_fd < 0)
        return wherry_error_set(err, errno, "open /dev/null");
    if (fstat(child->null_fd, &status) < 0 || !S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
        return wherry_error_set(err, ENODEV, "/dev/null of the host is not the null device");
    return 0;
}

static int copy_of(int mount_fd, const char *path, struct wherry_error *err)
{
    int copy = open_tree(mount_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

    return copy >= 0 ? copy : wherry_error_set(err, errno, "mask %s", path);
}

static int mask_file(struct wherry_child *child, int target, const char *path, struct wherry_error *err)
{
    cleanup_close int copy = -1;

    if (open_null(child, err) < 0)
        return -1;
    copy = copy_of(child->null_fd, path, err);
    return copy < 0 ? copy : wherry_child_attach(copy, target, path, err);
}

static int make_empty_directory(struct wherry_error *err)
{
    cleanup_close int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int fd;

    if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) < 0 ||
        fsconfig(context, FSCONFIG_SET_STRING, "mode", "555", 0) < 0 ||
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return wherry_error_set(err, errno, "make an empty directory for masks");
    fd =
        fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return fd >= 0 ? fd : wherry_error_set(err, errno, "make an empty directory for masks");
}

/* One empty file system serves all directories: the first mask mounts it, the others are copies of that mount. */
static int mask_directory(struct wherry_child *child, int target, const char *path, struct wherry_error *err)
{
    cleanup_close int copy = -1;

    if (child->empty_fd < 0) {
        child->empty_fd = make_empty_directory(err);
        return child->empty_fd < 0 ? -1 : wherry_child_attach(child->empty_fd, target, path, err);
    }
    copy = copy_of(child->empty_fd, path, err);
    return copy < 0 ? copy : wherry_child_attach(copy, target, path, err);
}

/* What is listed in /proc and /sys is looked up in those that the runtime has mounted there: in an image where /proc is
 * a link, another container could put a directory without the listed paths in the place where it leads. */
static int find_base(const struct wherry_child *child, const char **path)
{
    if (child->proc_is_at_proc && strncmp(*path, "/proc/", 6) == 0) {
        *path += 5;
        return child->proc_fd;
    }
    if (child->sys_fd >= 0 && strncmp(*path, "/sys/", 5) == 0) {
        *path += 4;
        return child->sys_fd;
    }
    return child->root_fd;
}

/* A path that this kernel or image has not got needs neither hiding nor protection. */
static int open_listed(const struct wherry_child *child, const char *path, struct wherry_error *err)
{
    const char *rest = path;
    int base = find_base(child, &rest);
    int fd = wherry_paths_open_in_root(base, rest, O_PATH, err);

    return fd < 0 && (err->code == ENOENT || err->code == ENOTDIR) ? -ENOENT : fd;
}

int wherry_child_mask_path(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const char *path = subject;
    cleanup_close int target = open_listed(child, path, err);
    struct stat status;

    if (target < 0)
        return target == -ENOENT ? 0 : target;
    if (fstat(target, &status) < 0)
        return wherry_error_set(err, errno, "stat %s", path);
    return S_ISDIR(status.st_mode) ? mask_directory(child, target, path, err) : mask_file(child, target, path, err);
}

int wherry_child_make_readonly(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    static const struct wherry_mount all = {.recursive_set = MOUNT_ATTR_RDONLY};
    static const struct wherry_mount top = {.set = MOUNT_ATTR_RDONLY};
    const char *path = subject;
    cleanup_close int target = open_listed(child, path, err);
    cleanup_close int copy = -1;
    int result;

    if (target < 0)
        return target == -ENOENT ? 0 : target;
    copy = open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    if (copy < 0)
        return wherry_error_set(err, errno, "copy the mount of %s", path);
    if (wherry_child_attach(copy, target, path, err) < 0)
        return -1;
    result = wherry_mount_attributes_set(copy, &all, err);
    /* Before 5.12 only the path itself can be protected, and not what is mounted below it. */
    if (result == -ENOSYS)
        result = wherry_mount_attributes_set(copy, &top, err);
    return result < 0 ? wherry_error_prefix(err, "make %s read-only", path) : 0;
}
