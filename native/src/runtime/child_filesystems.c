/* Steps of the child: the file systems of config.json that are mounted anew, by the descriptor-based mount interface;
 * see child.h. */
#include "child.h"
#include "copy_up.h"
#include "mount_attributes.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What the file system itself has to say about a refusal: the kernel keeps it as text to be read from the context,
 * fsopen(2). */
static int filesystem_error(int context, const struct wherry_mount *mount, int code, struct wherry_error *err)
{
    const char *type = mount->type != NULL ? mount->type : "the file system";
    char text[256];
    ssize_t length = read(context, text, sizeof(text) - 1);

    if (length <= 2)
        return wherry_error_set(err, code, "mount %s on %s", type, mount->destination);
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return wherry_error_set(err, code, "mount %s on %s: %s", type, mount->destination, text + 2);
}

/* "key=value" is a string parameter, anything else a flag. */
static int configure_option(int context, const char *option)
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

int wherry_child_configure(int context, const struct wherry_mount *mount, struct wherry_error *err)
{
    static const struct {
        unsigned long flag;
        const char *on, *off;
    } flags[] = {
        {MS_SYNCHRONOUS, "sync", "async"}, {MS_DIRSYNC, "dirsync", NULL}, {MS_LAZYTIME, "lazytime", "nolazytime"}};

    for (size_t i = 0; i < COUNT(flags); i++) {
        const char *word = (mount->system_set & flags[i].flag) != 0     ? flags[i].on
                           : (mount->system_clear & flags[i].flag) != 0 ? flags[i].off
                                                                        : NULL;

        if (word != NULL && fsconfig(context, FSCONFIG_SET_FLAG, word, NULL, 0) < 0)
            return filesystem_error(context, mount, errno, err);
    }
    for (size_t i = 0; i < mount->data_count; i++) {
        if (configure_option(context, mount->data[i]) < 0)
            return filesystem_error(context, mount, errno, err);
    }
    return 0;
}

/* A tmpfs over a directory has that directory's mode unless another is asked for, as the field's runtimes have it. */
static int keep_mode(int context, const struct wherry_mount *mount, int covered, struct wherry_error *err)
{
    struct stat status;
    char mode[16];

    if (covered < 0 || strcmp(mount->type, "tmpfs") != 0)
        return 0;
    for (size_t i = 0; i < mount->data_count; i++) {
        if (strncmp(mount->data[i], "mode=", 5) == 0)
            return 0;
    }
    if (fstat(covered, &status) < 0)
        return wherry_error_set(err, errno, "stat %s", mount->destination);
    snprintf(mode, sizeof(mode), "%o", status.st_mode & 07777);
    if (fsconfig(context, FSCONFIG_SET_STRING, "mode", mode, 0) < 0)
        return filesystem_error(context, mount, errno, err);
    return 0;
}

/* A detached mount of a new file system, with the attributes of `mount`. `covered` is the directory that was at its
 * destination, or negative. */
static int make_filesystem(const struct wherry_planned_filesystem *planned, int covered, struct wherry_error *err)
{
    const struct wherry_mount *mount = planned->mount;
    cleanup_close int context = fsopen(mount->type, FSOPEN_CLOEXEC);
    uint64_t attributes = mount->set | mount->recursive_set;
    int fd;

    if (context < 0)
        return wherry_error_set(err, errno, "mount %s on %s", mount->type, mount->destination);
    if (fsconfig(context, FSCONFIG_SET_STRING, "source", mount->source, 0) < 0)
        return filesystem_error(context, mount, errno, err);
    /* A device that cannot be written is mounted only if the file system, too, is told that it shall not be. */
    if ((attributes & MOUNT_ATTR_RDONLY) != 0 && mount->source[0] == '/' &&
        fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
        return filesystem_error(context, mount, errno, err);
    if (wherry_child_configure(context, mount, err) < 0 || keep_mode(context, mount, covered, err) < 0)
        return -1;
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return filesystem_error(context, mount, errno, err);
    if (planned->late != NULL)
        attributes &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    fd = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
    return fd >= 0 ? fd : filesystem_error(context, mount, errno, err);
}

/* By mount(2), for what the interface of descriptors cannot be told: the target is named by its descriptor all the
 * same, through the host's procfs, which is in sight until the root is changed. */
static int mount_by_path(struct wherry_child *child, const struct wherry_planned_filesystem *planned, int target,
                         struct wherry_error *err)
{
    static const struct {
        uint64_t attribute;
        unsigned long flag;
    } table[] = {{MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
                 {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
                 {MOUNT_ATTR_NOATIME, MS_NOATIME},       {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
                 {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW}};
    const struct wherry_mount *mounted = planned->mount;
    unsigned long flags = mounted->system_set;
    cleanup_close int fd = -1;
    char path[64];

    for (size_t i = 0; i < COUNT(table); i++) {
        if (((mounted->set | mounted->recursive_set) & table[i].attribute) != 0)
            flags |= table[i].flag;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
    if (mount(mounted->source, path, mounted->type, flags, planned->options) < 0)
        return wherry_error_set(err, errno, "mount %s on %s", mounted->type, mounted->destination);
    if (mounted->propagation_count == 0)
        return 0;
    fd = wherry_paths_open_in_root(child->root_fd, mounted->destination, O_PATH | O_DIRECTORY, err);
    return fd < 0 ? fd : wherry_mount_attributes_set(fd, mounted, err);
}

/* The procfs that the container gets is also the one that the runtime writes to, and it, the sysfs too, are where paths
 * are hidden: held by their roots, nothing that is mounted over them or takes their names later can stand in for them
 * (CVE-2019-16884, CVE-2025-52881). Takes `fd` if it keeps it. */
static int keep(struct wherry_child *child, const struct wherry_mount *mount, int *fd, struct wherry_error *err)
{
    bool at_proc = strcmp(mount->type, "proc") == 0 && wherry_child_same_path(mount->destination, "/proc");
    struct statfs status;

    if (strcmp(mount->type, "sysfs") == 0 && wherry_child_same_path(mount->destination, "/sys"))
        child->sys_fd = wherry_steal_fd(fd);
    if (strcmp(mount->type, "proc") != 0 || (child->proc_fd >= 0 && !at_proc))
        return 0;
    if (fstatfs(*fd, &status) < 0 || status.f_type != PROC_SUPER_MAGIC)
        return wherry_error_set(err, 0, "mount proc: not a procfs");
    child->proc_is_at_proc = at_proc;
    child->proc_fd = wherry_steal_fd(fd);
    return 0;
}

/* A copy of the host's own mount. Alone if possible; in a user namespace the kernel parts a mount only together with
 * all that lies on it, mount_namespaces(7). */
static int copy_host_mount(const struct wherry_planned_filesystem *planned, bool *recursive)
{
    int fd = open_tree(AT_FDCWD, planned->host_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    *recursive = fd < 0 && errno == EINVAL;
    if (*recursive)
        fd = open_tree(AT_FDCWD, planned->host_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    return fd;
}

static int bind_host_mount(struct wherry_child *child, const struct wherry_planned_filesystem *planned, int target,
                           struct wherry_error *err)
{
    const struct wherry_mount *mount = planned->mount;
    /* The access time mode of a mount from another user namespace is locked. */
    uint64_t attributes = (mount->set | mount->recursive_set) & ~(uint64_t)MOUNT_ATTR__ATIME;
    struct wherry_mount wanted = {.propagations = {{.mode = MS_PRIVATE, .recursive = true}}, .propagation_count = 1};
    bool recursive = false;
    cleanup_close int fd = copy_host_mount(planned, &recursive);

    if (fd < 0)
        return wherry_error_set(err, errno, "mount %s on %s: it may not be mounted here, and so %s is bound",
                                mount->type, mount->destination, planned->host_path);
    if (recursive)
        wanted.recursive_set = attributes;
    else
        wanted.set = attributes;
    if (wherry_child_attach(fd, target, mount->destination, err) < 0 ||
        wherry_mount_attributes_set(fd, &wanted, err) < 0)
        return wherry_error_prefix(err, "bind %s on %s", planned->host_path, mount->destination);
    return keep(child, mount, &fd, err);
}

static int attach_filesystem(struct wherry_child *child, const struct wherry_planned_filesystem *planned, int *fd,
                             int target, struct wherry_error *err)
{
    const struct wherry_mount *mount = planned->mount;
    struct wherry_mount wanted = {.propagation_count = mount->propagation_count};

    if (mount->copy_up && wherry_child_copy_up(target, *fd, mount->destination, err) < 0)
        return -1;
    if (wherry_child_attach(*fd, target, mount->destination, err) < 0)
        return -1;
    memcpy(wanted.propagations, mount->propagations, sizeof(wanted.propagations));
    if (mount->propagation_count > 0 && wherry_mount_attributes_set(*fd, &wanted, err) < 0)
        return wherry_error_prefix(err, "mount %s on %s", mount->type, mount->destination);
    if (planned->late != NULL)
        *planned->late = wherry_steal_fd(fd);
    return keep(child, mount, fd, err);
}

/* The directory that the file system covers, made when it is missing. */
static int open_directory(const struct wherry_child *child, const char *path, bool *was_there, struct wherry_error *err)
{
    int fd = wherry_paths_open_in_root(child->root_fd, path, O_PATH | O_DIRECTORY, err);

    *was_there = fd >= 0;
    return fd >= 0 || err->code != ENOENT ? fd : wherry_paths_mkdir_in_root(child->root_fd, path, 0755, err);
}

int wherry_child_mount_filesystem(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_planned_filesystem *planned = subject;
    const struct wherry_mount *mount = planned->mount;
    cleanup_close int target = -1;
    cleanup_close int fd = -1;
    bool was_there = false;

    if (wherry_child_same_path(mount->destination, "/"))
        return wherry_error_set(err, 0, "mount on /: the root is root.path's");
    target = open_directory(child, mount->destination, &was_there, err);
    if (target < 0)
        return target;
    if (strcmp(mount->type, "proc") != 0) {
        if (wherry_child_same_path(mount->destination, "/proc"))
            return wherry_error_set(err, EPERM, "mount %s on /proc: it is not a procfs", mount->type);
        if (wherry_child_check_target(target, mount->destination, err) < 0)
            return -1;
    }
    if (planned->options != NULL)
        return mount_by_path(child, planned, target, err);
    fd = make_filesystem(planned, was_there ? target : -1, err);
    if (fd < 0 && err->code == EPERM && planned->host_path != NULL)
        return bind_host_mount(child, planned, target, err);
    return fd < 0 ? fd : attach_filesystem(child, planned, &fd, target, err);
}

int wherry_child_make_late_readonly(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    static const struct wherry_mount readonly = {.set = MOUNT_ATTR_RDONLY};
    const struct wherry_planned_filesystem *planned = subject;

    (void)child;
    if (wherry_mount_attributes_set(*planned->late, &readonly, err) < 0)
        return wherry_error_prefix(err, "mount %s on %s", planned->mount->type, planned->mount->destination);
    return 0;
}
