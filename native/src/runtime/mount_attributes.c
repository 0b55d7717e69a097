/* Flags and propagation of mounts; see mount_attributes.h. */
#include "mount_attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>

/* One call's worth. */
struct change {
    bool recursive;
    uint64_t set, clear, propagation;
};

/* What mount_setattr does, for kernels before 5.12, which have not got it: by path through /proc/self/fd, which until
 * the root is changed is the host's. Attributes of everything below cannot be had that way, propagation can. */
static int change_by_path(int mount_fd, const struct change *change)
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

    if (change->set != 0 && change->recursive)
        return -ENOSYS;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", mount_fd);
    if (change->propagation != 0 &&
        mount(NULL, path, NULL, change->propagation | (change->recursive ? MS_REC : 0), NULL) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if ((change->set & flags[i].attribute) != 0)
            value |= flags[i].flag;
    }
    return change->set != 0 && mount(NULL, path, NULL, value, NULL) < 0 ? -errno : 0;
}

static int apply(int mount_fd, bool attached, const struct change *change)
{
    struct mount_attr attr = {.attr_set = change->set, .attr_clr = change->clear, .propagation = change->propagation};
    unsigned flags = AT_EMPTY_PATH | (change->recursive ? (unsigned)AT_RECURSIVE : 0);

    if (change->set == 0 && change->clear == 0 && change->propagation == 0)
        return 0;
    if (mount_setattr(mount_fd, "", flags, &attr, sizeof(attr)) == 0)
        return 0;
    return errno == ENOSYS && attached ? change_by_path(mount_fd, change) : -errno;
}

/* Most mounts want one thing: the first word about propagation goes along with the attributes that reach as deep. */
static int set(int mount_fd, bool attached, const struct wherry_mount *wanted, struct wherry_error *err)
{
    struct change deep = {.recursive = true, .set = wanted->recursive_set, .clear = wanted->recursive_clear};
    struct change top = {.set = wanted->set, .clear = wanted->clear};
    int result;

    if (wanted->propagation_count > 0 && wanted->propagations[0].recursive)
        deep.propagation = wanted->propagations[0].mode;
    else if (wanted->propagation_count > 0)
        top.propagation = wanted->propagations[0].mode;
    result = apply(mount_fd, attached, &deep);
    if (result == 0)
        result = apply(mount_fd, attached, &top);
    for (size_t i = 1; result == 0 && i < wanted->propagation_count; i++) {
        struct change next = {.recursive = wanted->propagations[i].recursive,
                              .propagation = wanted->propagations[i].mode};

        result = apply(mount_fd, attached, &next);
    }
    return result < 0 ? wherry_error_set(err, -result, "set mount attributes") : 0;
}

int wherry_mount_attributes_set(int mount_fd, const struct wherry_mount *wanted, struct wherry_error *err)
{
    return set(mount_fd, true, wanted, err);
}

int wherry_mount_attributes_set_detached(int mount_fd, const struct wherry_mount *wanted, struct wherry_error *err)
{
    return set(mount_fd, false, wanted, err);
}

int wherry_mount_attributes_map(int mount_fd, bool recursive, int user_namespace, struct wherry_error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace};
    unsigned flags = AT_EMPTY_PATH | (recursive ? (unsigned)AT_RECURSIVE : 0);

    if (mount_setattr(mount_fd, "", flags, &attr, sizeof(attr)) == 0)
        return 0;
    /* mount_setattr(2): EINVAL is the file system's answer. */
    if (errno == EINVAL)
        return wherry_error_set(err, EINVAL, "map IDs: the file system (or one below it) cannot do that");
    return wherry_error_set(err, errno, "map IDs");
}
