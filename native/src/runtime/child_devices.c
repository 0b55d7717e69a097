/* Steps of the child: device nodes and the links in /dev; see child.h. */
#include "child.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Where the kernel refuses mknod (in a user namespace), the host's own node is bound over an empty file. The host's
 * path is that of the container's: the same device has the same name. */
static int bind_device(int directory, const char *name, const struct wherry_device *device, struct wherry_error *err)
{
    cleanup_close int source = open_tree(AT_FDCWD, device->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    cleanup_close int target = -1;
    struct stat status;

    if (source < 0)
        return wherry_error_set(err, errno, "bind device %s of the host", device->path);
    if (fstat(source, &status) < 0 || (status.st_mode & S_IFMT) != (device->mode & S_IFMT) ||
        status.st_rdev != device->number)
        return wherry_error_set(err, ENODEV, "%s of the host is another device", device->path);
    if (mknodat(directory, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
        return wherry_error_set(err, errno, "create %s", device->path);
    target = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return wherry_error_set(err, errno, "open %s", device->path);
    if (wherry_child_check_target(target, device->path, err) < 0)
        return -1;
    return wherry_child_attach(source, target, device->path, err);
}

/* An image may bring the node along; it must then be the device that is asked for, and no link to something else. */
static int accept_existing(int directory, const char *name, const struct wherry_device *device,
                           struct wherry_error *err)
{
    struct stat status;

    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return wherry_error_set(err, errno, "stat %s", device->path);
    if ((status.st_mode & S_IFMT) == (device->mode & S_IFMT) && status.st_rdev == device->number)
        return 0;
    return wherry_error_set(err, EEXIST, "make device %s: something else is there", device->path);
}

static int make_node(int directory, const char *name, const struct wherry_device *device, struct wherry_error *err)
{
    if (mknodat(directory, name, device->mode, device->number) < 0) {
        if (errno == EPERM)
            return bind_device(directory, name, device, err);
        if (errno == EEXIST)
            return accept_existing(directory, name, device, err);
        return wherry_error_set(err, errno, "make device %s", device->path);
    }
    if (device->uid == 0 && device->gid == 0)
        return 0;
    if (fchownat(directory, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return wherry_error_set(err, errno, "change the owner of %s", device->path);
    return 0;
}

int wherry_child_make_device(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_device *device = subject;
    const char *name = NULL;
    cleanup_close int directory = wherry_paths_parent_in_root(child->root_fd, device->path, &name, err);

    if (directory < 0)
        return directory;
    return make_node(directory, name, device, err);
}

/* In a /dev that is the host's nothing is made: it would be made on the host. */
int wherry_child_check_device(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_device *device = subject;
    cleanup_close int fd = wherry_paths_open_in_root(child->root_fd, device->path, O_PATH, err);
    struct stat status;

    if (fd < 0)
        return wherry_error_prefix(err, "linux.devices");
    if (fstat(fd, &status) < 0 || (status.st_mode & S_IFMT) != (device->mode & S_IFMT) ||
        status.st_rdev != device->number)
        return wherry_error_set(err, ENODEV, "linux.devices: %s of the bound /dev is another device", device->path);
    return 0;
}

/* The devices and links that every container has, as the specification's config-linux.md lists them ("Default Devices")
 * and its runtime-linux.md ("Dev symbolic links"). */
int wherry_child_make_default_devices(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct {
        const char *name;
        struct wherry_device device;
    } nodes[] = {{"null", {"/dev/null", S_IFCHR | 0666, makedev(1, 3), 0, 0}},
                 {"zero", {"/dev/zero", S_IFCHR | 0666, makedev(1, 5), 0, 0}},
                 {"full", {"/dev/full", S_IFCHR | 0666, makedev(1, 7), 0, 0}},
                 {"random", {"/dev/random", S_IFCHR | 0666, makedev(1, 8), 0, 0}},
                 {"urandom", {"/dev/urandom", S_IFCHR | 0666, makedev(1, 9), 0, 0}},
                 {"tty", {"/dev/tty", S_IFCHR | 0666, makedev(5, 0), 0, 0}}};
    static const struct {
        const char *name, *target;
    } links[] = {{"fd", "/proc/self/fd"},
                 {"stdin", "/proc/self/fd/0"},
                 {"stdout", "/proc/self/fd/1"},
                 {"stderr", "/proc/self/fd/2"},
                 {"ptmx", "pts/ptmx"}};
    cleanup_close int directory = wherry_paths_mkdir_in_root(child->root_fd, "/dev", 0755, err);

    (void)subject;
    if (directory < 0)
        return directory;
    for (size_t i = 0; i < COUNT(nodes); i++) {
        if (make_node(directory, nodes[i].name, &nodes[i].device, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < COUNT(links); i++) {
        if (symlinkat(links[i].target, directory, links[i].name) < 0 && errno != EEXIST)
            return wherry_error_set(err, errno, "make link /dev/%s", links[i].name);
    }
    return 0;
}
