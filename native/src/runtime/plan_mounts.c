/* The steps for the mounts of config.json; see plan_mounts.h. */
#include "plan_mounts.h"

#include "child.h"
#include "idmap.h"
#include "mount_attributes.h"
#include "plan_cgroup_mounts.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* The longest value of an option that fsconfig(2) takes. */
#define FSCONFIG_VALUE_MAX 255

/* Sources are opened by the runtime, before the clone: in a user namespace the way to them may be closed to the child,
 * and a copy of a shared mount is the host's peer only when it is taken in the host's mount namespace. */
int wherry_plan_open_tree(const char *path, int flags)
{
    return open_tree(AT_FDCWD, path, (unsigned)flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

/* The ID mappings of the container itself: of the user namespace that it joins, or like those that its own will get. */
static int open_container_idmap(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_error *err)
{
    const struct wherry_namespace *user = wherry_spec_namespace(spec, CLONE_NEWUSER);

    if (plan->idmap_fd >= 0)
        return 0;
    if (user->path == NULL) {
        plan->idmap_fd = wherry_idmap_open(&spec->uid_mappings, &spec->gid_mappings, err);
        return plan->idmap_fd < 0 ? -1 : 0;
    }
    plan->idmap_fd = open(user->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return plan->idmap_fd >= 0 ? 0 : wherry_error_set(err, errno, "open user namespace %s", user->path);
}

/* Before anything else: IDs can be mapped only while a mount has never been attached, mount_setattr(2). */
static int map_ids(struct wherry_plan *plan, const struct wherry_spec *spec, const struct wherry_mount *mount, int tree,
                   struct wherry_error *err)
{
    cleanup_close int own = -1;

    if (mount->uid_mappings.count > 0) {
        own = wherry_idmap_open(&mount->uid_mappings, &mount->gid_mappings, err);
        return own < 0 ? -1 : wherry_mount_attributes_map(tree, mount->idmap_recursive, own, err);
    }
    if (open_container_idmap(plan, spec, err) < 0)
        return -1;
    return wherry_mount_attributes_map(tree, mount->idmap_recursive, plan->idmap_fd, err);
}

/* Here and not in the child: a mount that comes into another user namespace has its attributes locked,
 * mount_namespaces(7). What this kernel can do only to attached mounts is left to the child. */
static int prepare_tree(struct wherry_planned_bind *bind, struct wherry_error *err)
{
    int result = wherry_mount_attributes_set_detached(bind->tree, bind->mount, err);

    bind->attributes_pending = result == -ENOSYS;
    return result == -ENOSYS ? 0 : result;
}

int wherry_plan_push_bind(struct wherry_plan *plan, const struct wherry_mount *mount, int tree,
                          struct wherry_error *err)
{
    struct wherry_planned_bind *bind;

    if (tree < 0)
        return wherry_error_set(err, errno, "mount %s: open source %s", mount->destination, mount->source);
    bind = wherry_arena_array(&plan->arena, 1, sizeof(*bind));
    if (bind == NULL) {
        close(tree);
        return wherry_error_set(err, ENOMEM, "mount %s", mount->destination);
    }
    *bind = (struct wherry_planned_bind){.mount = mount, .tree = tree, .next = plan->binds};
    plan->binds = bind;
    wherry_plan_push(plan, wherry_child_mount_bind, bind);
    if (prepare_tree(bind, err) < 0)
        return wherry_error_prefix(err, "bind %s on %s", mount->source, mount->destination);
    return 0;
}

static int push_bind_of_child(struct wherry_plan *plan, const struct wherry_mount *mount, int flags,
                              struct wherry_error *err)
{
    struct wherry_planned_bind *bind = wherry_arena_array(&plan->arena, 1, sizeof(*bind));

    if (bind == NULL)
        return wherry_error_set(err, ENOMEM, "mount %s", mount->destination);
    *bind = (struct wherry_planned_bind){.mount = mount, .tree = -1, .flags = flags};
    wherry_plan_push(plan, wherry_child_mount_bind, bind);
    return 0;
}

/* Without a word about propagation nothing that is mounted on either side shows on the other. */
static int push_bind(struct wherry_plan *plan, const struct wherry_spec *spec, const struct wherry_mount *wanted,
                     struct wherry_error *err)
{
    struct wherry_mount *mount = wherry_arena_array(&plan->arena, 1, sizeof(*mount));
    int flags = (wanted->recursive ? AT_RECURSIVE : 0) | (wanted->source_nofollow ? AT_SYMLINK_NOFOLLOW : 0);
    int tree;

    if (mount == NULL)
        return wherry_error_set(err, ENOMEM, "plan");
    *mount = *wanted;
    if (mount->propagation_count == 0)
        mount->propagations[mount->propagation_count++] =
            (struct wherry_propagation){.mode = MS_PRIVATE, .recursive = wanted->recursive};
    tree = wherry_plan_open_tree(mount->source, flags);
    if (tree < 0 && errno == EPERM && plan->unprivileged && !mount->idmapped)
        return push_bind_of_child(plan, mount, flags, err);
    if (tree >= 0 && mount->idmapped && map_ids(plan, spec, mount, tree, err) < 0) {
        close(tree);
        return wherry_error_prefix(err, "bind %s on %s", mount->source, mount->destination);
    }
    return wherry_plan_push_bind(plan, mount, tree, err);
}

/* The target of the source where that is a symbolic link, to be copied instead of bound; 0 when it is none. */
static int push_link(struct wherry_plan *plan, const struct wherry_mount *mount, struct wherry_error *err)
{
    struct wherry_planned_link *link;
    char target[PATH_MAX];
    ssize_t length = readlink(mount->source, target, sizeof(target) - 1);

    if (length < 0 && errno == EINVAL)
        return 0;
    if (length < 0)
        return wherry_error_set(err, errno, "mount %s: read source %s", mount->destination, mount->source);
    target[length] = '\0';
    link = wherry_arena_array(&plan->arena, 1, sizeof(*link));
    if (link == NULL)
        return wherry_error_set(err, ENOMEM, "mount %s", mount->destination);
    link->path = mount->destination;
    link->target = wherry_arena_format(&plan->arena, "%s", target);
    if (link->target == NULL)
        return wherry_error_set(err, ENOMEM, "mount %s", mount->destination);
    wherry_plan_push(plan, wherry_child_copy_link, link);
    return 1;
}

/* The options as mount(2) takes them, for what fsconfig(2) cannot be told; NULL in `text` when it can be told all. */
static int join_options(struct wherry_plan *plan, const struct wherry_mount *mount, const char **text,
                        struct wherry_error *err)
{
    bool needed = (mount->system_set & MS_I_VERSION) != 0;
    size_t length = 1;
    char *at;

    for (size_t i = 0; i < mount->data_count; i++) {
        const char *value = strchr(mount->data[i], '=');

        needed = needed || (value != NULL && strlen(value + 1) > FSCONFIG_VALUE_MAX);
        length += strlen(mount->data[i]) + 1;
    }
    if (!needed)
        return 0;
    /* Of more than a page, mount(2) takes the beginning and drops the rest without a word. */
    if (length > (size_t)sysconf(_SC_PAGESIZE))
        return wherry_error_set(err, E2BIG, "mount %s: options of %zu bytes", mount->destination, length);
    at = wherry_arena_array(&plan->arena, length, 1);
    if (at == NULL)
        return wherry_error_set(err, ENOMEM, "mount %s", mount->destination);
    *text = at;
    for (size_t i = 0; i < mount->data_count; i++)
        at += sprintf(at, "%s%s", i > 0 ? "," : "", mount->data[i]);
    return 0;
}

/* A read-only tmpfs becomes that in the end: mount points and devices are still to be made in it. */
static int plan_late(struct wherry_plan *plan, struct wherry_planned_filesystem *planned)
{
    const struct wherry_mount *mount = planned->mount;

    if (strcmp(mount->type, "tmpfs") != 0 || planned->options != NULL ||
        ((mount->set | mount->recursive_set) & MOUNT_ATTR_RDONLY) == 0)
        return 0;
    planned->late = wherry_arena_array(&plan->arena, 1, sizeof(*planned->late));
    planned->next_late = plan->late_readonly;
    plan->late_readonly = planned;
    return planned->late != NULL ? 0 : -1;
}

int wherry_plan_push_filesystem(struct wherry_plan *plan, const struct wherry_mount *mount, const char *host_path,
                                struct wherry_error *err)
{
    struct wherry_planned_filesystem *planned = wherry_arena_array(&plan->arena, 1, sizeof(*planned));

    if (planned == NULL)
        return wherry_error_set(err, ENOMEM, "mount %s", mount->destination);
    *planned = (struct wherry_planned_filesystem){.mount = mount, .host_path = host_path};
    if (join_options(plan, mount, &planned->options, err) < 0)
        return -1;
    if (plan_late(plan, planned) < 0)
        return wherry_error_set(err, ENOMEM, "mount %s", mount->destination);
    if (planned->options != NULL && mount->copy_up)
        return wherry_error_set(err, EINVAL, "mount %s: tmpcopyup: not together with so long an option or iversion",
                                mount->destination);
    wherry_plan_push(plan, wherry_child_mount_filesystem, planned);
    return 0;
}

void wherry_plan_push_late_mounts(struct wherry_plan *plan)
{
    for (const struct wherry_planned_filesystem *late = plan->late_readonly; late != NULL; late = late->next_late)
        wherry_plan_push(plan, wherry_child_make_late_readonly, late);
}

/* The kernel lets a user namespace mount what shows the state of another namespace only if that is its own too,
 * user_namespaces(7). A container that shares the other with the host may see that state anyway, so the host's own
 * mount of it can stand in. */
static const char *host_path(const struct wherry_spec *spec, const char *type)
{
    static const struct {
        const char *type, *path;
        int shows;
    } kinds[] = {
        {"sysfs", "/sys", CLONE_NEWNET}, {"proc", "/proc", CLONE_NEWPID}, {"mqueue", "/dev/mqueue", CLONE_NEWIPC}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].type, type) == 0 && wherry_spec_namespace(spec, kinds[i].shows) == NULL)
            return kinds[i].path;
    }
    return NULL;
}

static bool is_cgroup(const struct wherry_mount *mount)
{
    return strcmp(mount->type, "cgroup") == 0 || strcmp(mount->type, "cgroup2") == 0;
}

static int push_mount(struct wherry_plan *plan, const struct wherry_spec *spec, const struct wherry_mount *mount,
                      struct wherry_cgroup *cgroup, struct wherry_error *err)
{
    int copied = 0;

    if (mount->remount) {
        wherry_plan_push(plan, wherry_child_change_mount, mount);
        return 0;
    }
    if (mount->copy_symlink)
        copied = push_link(plan, mount, err);
    if (copied != 0)
        return copied < 0 ? copied : 0;
    if (mount->bind)
        return push_bind(plan, spec, mount, err);
    /* A cgroup mount shows the group that the process is in, and what is copied into a tmpfs counts there. */
    if (is_cgroup(mount) || mount->copy_up)
        wherry_plan_push_admission(plan, spec);
    if (is_cgroup(mount))
        return wherry_plan_push_cgroup_mount(plan, spec, mount, cgroup, err);
    return wherry_plan_push_filesystem(plan, mount, host_path(spec, mount->type), err);
}

int wherry_plan_push_mounts(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_cgroup *cgroup,
                            struct wherry_error *err)
{
    for (size_t i = 0; i < spec->mount_count; i++) {
        int result = push_mount(plan, spec, &spec->mounts[i], cgroup, err);

        if (result < 0)
            return result;
    }
    return 0;
}
