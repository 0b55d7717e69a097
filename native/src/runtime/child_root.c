/* Steps of the child: its root file system; see child.h. */
#include "child.h"
#include "mount_attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int wherry_child_isolate_mounts(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)child;
    (void)subject;
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return wherry_error_set(err, errno, "cut mount propagation to the host");
    /* pivot_root refuses a root whose parent mount is shared, and what is mounted on "/" must stay here. */
    if (mount(NULL, "/", NULL, MS_PRIVATE, NULL) < 0)
        return wherry_error_set(err, errno, "make / private");
    return 0;
}

/* On top of "/", where no path has to be walked: in a user namespace the way to the bundle may be closed to this
 * process. Names that begin with "/" still mean the host's files until the root is changed; but who enters the
 * namespace from outside finds what is on top of "/". Hooks that do (nsenter(1)) look for the root where the host has
 * it. */
static int place_root(int tree, const struct wherry_spec *spec)
{
    bool visited = spec->hooks[WHERRY_HOOK_PRESTART].count + spec->hooks[WHERRY_HOOK_CREATE_RUNTIME].count > 0;

    if (visited && move_mount(tree, "", AT_FDCWD, spec->root_path, MOVE_MOUNT_F_EMPTY_PATH) == 0)
        return 0;
    return move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

int wherry_child_attach_root(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_spec *spec = subject;
    int tree = child->plan->root_tree;
    /* A copy of a shared mount is the host's peer. pivot_root refuses a shared root, and nothing may propagate to the
     * host; what the host mounts comes through only if it is asked for. */
    bool follow = (spec->root_propagation & (MS_SHARED | MS_SLAVE)) != 0;
    struct wherry_mount cut = {.propagations = {{.mode = follow ? MS_SLAVE : MS_PRIVATE, .recursive = true}},
                               .propagation_count = 1};

    if (tree < 0)
        tree = open_tree(AT_FDCWD, spec->root_path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0)
        return wherry_error_set(err, errno, "root.path: %s", spec->root_path);
    if (place_root(tree, spec) < 0)
        return wherry_error_set(err, errno, "mount root.path %s", spec->root_path);
    child->root_fd = tree;
    if (wherry_mount_attributes_set(tree, &cut, err) < 0)
        return wherry_error_prefix(err, "root.path %s", spec->root_path);
    return 0;
}

int wherry_child_make_root_readonly(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    static const struct wherry_mount readonly = {.set = MOUNT_ATTR_RDONLY};

    (void)subject;
    if (wherry_mount_attributes_set(child->root_fd, &readonly, err) < 0)
        return wherry_error_prefix(err, "make the root read-only");
    return 0;
}

int wherry_child_pivot_root(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    (void)subject;
    if (fchdir(child->root_fd) < 0)
        return wherry_error_set(err, errno, "enter the new root");
    /* With "." for both, the old root comes to lie on top of the new one and is taken off right away, pivot_root(2).
     * Unlike after chroot, nothing of the host remains to be reached. */
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return wherry_error_set(err, errno, "pivot_root");
    if (umount2(".", MNT_DETACH) < 0)
        return wherry_error_set(err, errno, "detach the old root");
    if (chdir("/") < 0)
        return wherry_error_set(err, errno, "enter /");
    return 0;
}

int wherry_child_set_root_propagation(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_spec *spec = subject;
    unsigned long flags = spec->root_propagation | (spec->root_propagation_recursive ? MS_REC : 0);

    (void)child;
    return mount(NULL, "/", NULL, flags, NULL) < 0 ? wherry_error_set(err, errno, "set linux.rootfsPropagation") : 0;
}
