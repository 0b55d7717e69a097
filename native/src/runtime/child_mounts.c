/* Steps of the child: the mounts of config.json, by the descriptor-based mount interface; see child.h. */
#include "child.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include "copy_up.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

/* What mount_setattr does, for kernels before 5.12, which have not got it: by path through /proc/self/fd, which until
 * the root is changed is the host's. Attributes of everything below cannot be had that way, propagation can. */
static int set_by_path(int mount_fd, bool recursive, uint64_t attributes, uint64_t propagation)
{
    static const struct {
        uint64_t attribute;
        unsigned long flag;
    } flags[] = {{MOUNT_ATTR_RDONLY, MS_RDONLY},        {MOUNT_ATTR_NOSUID, MS_NOSUID},
                 {MOUNT_ATTR_NODEV, MS_NODEV},          {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
                 {MOUNT_ATTR_NOATIME, MS_NOATIME},      {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
                 {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}};
    unsigned long value = MS_REMOUNT | MS_BIND;
    char path[64];

    if (attributes != 0 && recursive)
        return -ENOSYS;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", mount_fd);
    if (propagation != 0 && mount(NULL, path, NULL, propagation | (recursive ? MS_REC : 0), NULL) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if ((attributes & flags[i].attribute) != 0)
            value |= flags[i].flag;
    }
    return attributes != 0 && mount(NULL, path, NULL, value, NULL) < 0 ? -errno : 0;
}

static int set(int mount_fd, bool recursive, uint64_t attributes, uint64_t clear, uint64_t propagation)
{
    struct mount_attr attr = {.attr_set = attributes, .attr_clr = clear, .propagation = propagation};

    if (attributes == 0 && clear == 0 && propagation == 0)
        return 0;
    if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | (recursive ? (unsigned)AT_RECURSIVE : 0), &attr, sizeof(attr)) == 0)
        return 0;
    return errno == ENOSYS ? set_by_path(mount_fd, recursive, attributes, propagation) : -errno;
}

int wherry_child_set_attributes(int mount_fd, const struct wherry_mount *wanted, struct wherry_error *err)
{
    bool deep = wanted->recursive_propagation;
    int result = set(mount_fd, true, wanted->recursive_set, wanted->recursive_clear, deep ? wanted->propagation : 0);

    if (result == 0)
        result = set(mount_fd, false, wanted->set, wanted->clear, deep ? 0 : wanted->propagation);
    return result < 0 ? wherry_error_set(err, -result, "set mount attributes") : 0;
}

int wherry_child_attach(int mount_fd, int target, const char *path, struct wherry_error *err)
{
    if (move_mount(mount_fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return wherry_error_set(err, errno, "mount on %s", path);
    return 0;
}

/* The place where a mount goes, made when it is missing: a directory for a directory, a file for anything else. */
static int open_target(const struct wherry_child *child, int source, const char *path, struct wherry_error *err)
{
    struct stat status;

    if (fstat(source, &status) < 0)
        return wherry_error_set(err, errno, "stat the source of %s", path);
    if (S_ISDIR(status.st_mode))
        return wherry_paths_mkdir_in_root(child->root_fd, path, 0755, err);
    return wherry_paths_touch_in_root(child->root_fd, path, 0644, err);
}

static bool is_root(const char *path)
{
    return path[strspn(path, "/.")] == '\0' && strstr(path, "..") == NULL;
}

int wherry_child_mount_bind(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_planned_bind *bind = subject;
    cleanup_close int target = -1;

    if (is_root(bind->mount->destination))
        return wherry_error_set(err, 0, "mount on /: the root is root.path's");
    target = open_target(child, bind->tree, bind->mount->destination, err);
    if (target < 0)
        return target;
    if (wherry_child_attach(bind->tree, target, bind->mount->destination, err) < 0)
        return -1;
    /* After the attachment, because kernels without mount_setattr only change what is attached. */
    if (wherry_child_set_attributes(bind->tree, bind->mount, err) < 0)
        return wherry_error_prefix(err, "bind %s on %s", bind->mount->source, bind->mount->destination);
    return 0;
}

/* What the file system itself has to say about a refusal: the kernel keeps it as text to be read from the context,
 * fsopen(2). */
static int filesystem_error(int context, const struct wherry_mount *mount, int code, struct wherry_error *err)
{
    char text[256];
    ssize_t length = read(context, text, sizeof(text) - 1);

    if (length <= 2)
        return wherry_error_set(err, code, "mount %s on %s", mount->type, mount->destination);
    text[length] = '\0';
    return wherry_error_set(err, code, "mount %s on %s: %s", mount->type, mount->destination, text + 2);
}

/* "key=value" is a string parameter, anything else a flag. */
static int configure(int context, const char *option)
{
    const char *equals = strchr(option, '=');
    char key[128];

    if (equals == NULL)
        return fsconfig(context, FSCONFIG_SET_FLAG, option, NULL, 0);
    if ((size_t)(equals - option) >= sizeof(key)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(key, option, (size_t)(equals - option));
    key[equals - option] = '\0';
    return fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1, 0);
}

/* A detached mount of a new file system, with the attributes of `mount`. */
static int make_filesystem(const struct wherry_mount *mount, struct wherry_error *err)
{
    cleanup_close int context = fsopen(mount->type, FSOPEN_CLOEXEC);
    int fd;

    if (context < 0)
        return wherry_error_set(err, errno, "mount %s on %s", mount->type, mount->destination);
    if (fsconfig(context, FSCONFIG_SET_STRING, "source", mount->source, 0) < 0)
        return filesystem_error(context, mount, errno, err);
    for (size_t i = 0; i < mount->data_count; i++) {
        if (configure(context, mount->data[i]) < 0)
            return filesystem_error(context, mount, errno, err);
    }
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return filesystem_error(context, mount, errno, err);
    fd = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)(mount->set | mount->recursive_set));
    return fd >= 0 ? fd : filesystem_error(context, mount, errno, err);
}

/* The procfs that the container gets is also the one that the runtime writes to: held by its root, nothing that is
 * mounted over it later can stand in for it (CVE-2019-16884, CVE-2025-52881). */
static int keep_proc(struct wherry_child *child, int fd, struct wherry_error *err)
{
    struct statfs status;

    if (fstatfs(fd, &status) < 0 || status.f_type != PROC_SUPER_MAGIC)
        return wherry_error_set(err, 0, "mount proc: not a procfs");
    child->proc_fd = fd;
    return 0;
}

int wherry_child_mount_filesystem(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_mount *mount = subject;
    struct wherry_mount propagation = {.propagation = mount->propagation,
                                       .recursive_propagation = mount->recursive_propagation};
    cleanup_close int target = -1;
    cleanup_close int fd = -1;

    if (is_root(mount->destination))
        return wherry_error_set(err, 0, "mount on /: the root is root.path's");
    fd = make_filesystem(mount, err);
    if (fd < 0)
        return fd;
    target = wherry_paths_mkdir_in_root(child->root_fd, mount->destination, 0755, err);
    if (target < 0)
        return target;
    if (mount->copy_up && wherry_child_copy_up(target, fd, mount->destination, err) < 0)
        return -1;
    if (wherry_child_attach(fd, target, mount->destination, err) < 0)
        return -1;
    if (mount->propagation != 0 && wherry_child_set_attributes(fd, &propagation, err) < 0)
        return wherry_error_prefix(err, "mount %s on %s", mount->type, mount->destination);
    if (strcmp(mount->type, "proc") == 0 && child->proc_fd < 0)
        return keep_proc(child, wherry_steal_fd(&fd), err);
    return 0;
}

int wherry_child_change_mount(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_mount *mount = subject;
    cleanup_close int fd = wherry_paths_open_in_root(child->root_fd, mount->destination, O_PATH | O_DIRECTORY, err);

    if (fd < 0)
        return fd;
    if (wherry_child_set_attributes(fd, mount, err) < 0)
        return wherry_error_prefix(err, "mount %s on %s", mount->type, mount->destination);
    return 0;
}
