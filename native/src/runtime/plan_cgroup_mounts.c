/* The steps for a mount of type "cgroup"; see plan_cgroup_mounts.h. */
#include "plan_cgroup_mounts.h"

#include "cgroup_layout.h"
#include "child.h"
#include "plan_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mount.h>

static struct wherry_mount *new_mount(struct wherry_plan *plan, const struct wherry_mount *like, const char *type)
{
    struct wherry_mount *mount = wherry_arena_array(&plan->arena, 1, sizeof(*mount));

    if (mount == NULL)
        return NULL;
    *mount = *like;
    mount->type = type;
    mount->source = "cgroup";
    mount->data = NULL;
    mount->data_count = 0;
    return mount;
}

/* Without a cgroup namespace of its own the container is shown its own directory of the hierarchy and nothing above it.
 */
static int push_bind(struct wherry_plan *plan, struct wherry_mount *mount, const char *directory,
                     struct wherry_error *err)
{
    if (directory == NULL)
        return wherry_error_set(err, 0, "mount cgroup on %s: the container has no group in this hierarchy",
                                mount->destination);
    mount->source = directory;
    mount->bind = true;
    if (mount->propagation_count == 0)
        mount->propagations[mount->propagation_count++] = (struct wherry_propagation){.mode = MS_PRIVATE};
    return wherry_plan_push_bind(plan, mount, wherry_plan_open_tree(directory, 0), err);
}

/* The options by which a v1 hierarchy is known: its controllers, or "none" and its name. */
static int name_hierarchy(struct wherry_plan *plan, const struct cgroup_mount *hierarchy, struct wherry_mount *mount)
{
    mount->data = wherry_arena_array(&plan->arena, CGROUP_CONTROLLERS, sizeof(*mount->data));
    if (mount->data == NULL)
        return -1;
    for (int i = 0; i < CGROUP_NAMED; i++) {
        if ((hierarchy->controllers & CGROUP_BIT(i)) != 0)
            mount->data[mount->data_count++] = cgroup_controller_name((enum cgroup_controller)i, false);
    }
    if (hierarchy->name[0] != '\0') {
        mount->data[mount->data_count++] = "none";
        mount->data[mount->data_count] = wherry_arena_format(&plan->arena, "name=%s", hierarchy->name);
        if (mount->data[mount->data_count++] == NULL)
            return -1;
    }
    return 0;
}

static const char *directory_in(const struct wherry_cgroup *cgroup, const struct cgroup_mount *hierarchy)
{
    size_t length = strlen(hierarchy->point);

    for (size_t i = 0; i < cgroup->count; i++) {
        if (strncmp(cgroup->at[i].path, hierarchy->point, length) == 0 && cgroup->at[i].path[length] == '/')
            return cgroup->at[i].path;
    }
    return NULL;
}

static int push_hierarchy(struct wherry_plan *plan, const struct wherry_mount *parent, bool private,
                          const struct cgroup_mount *hierarchy, struct wherry_cgroup *cgroup, struct wherry_error *err)
{
    struct wherry_mount *mount = new_mount(plan, parent, hierarchy->unified ? "cgroup2" : "cgroup");
    const char *name = strrchr(hierarchy->point, '/');

    if (mount == NULL)
        return wherry_error_set(err, ENOMEM, "mount cgroup");
    mount->destination = wherry_arena_format(&plan->arena, "%s%s", parent->destination, name);
    if (mount->destination == NULL)
        return wherry_error_set(err, ENOMEM, "mount cgroup");
    if (!private)
        return push_bind(plan, mount, directory_in(cgroup, hierarchy), err);
    if (!hierarchy->unified && name_hierarchy(plan, hierarchy, mount) < 0)
        return wherry_error_set(err, ENOMEM, "mount cgroup");
    return wherry_plan_push_filesystem(plan, mount, NULL, err);
}

/* A tmpfs with one directory for each hierarchy, as on the host. */
static int push_tree(struct wherry_plan *plan, const struct wherry_mount *wanted, bool private,
                     const struct cgroup_layout *layout, struct wherry_cgroup *cgroup, struct wherry_error *err)
{
    static const char *options[] = {"mode=755"};
    struct wherry_mount *tmpfs = new_mount(plan, wanted, "tmpfs");

    if (tmpfs == NULL)
        return wherry_error_set(err, ENOMEM, "mount cgroup");
    tmpfs->data = options;
    tmpfs->data_count = 1;
    if (wherry_plan_push_filesystem(plan, tmpfs, NULL, err) < 0)
        return -1;
    for (size_t i = 0; i < layout->count; i++) {
        /* The v2 tree of a hybrid host is no group of the container's own: there is nothing to show without a
         * namespace. */
        if (!private && directory_in(cgroup, &layout->at[i]) == NULL)
            continue;
        if (push_hierarchy(plan, wanted, private, &layout->at[i], cgroup, err) < 0)
            return -1;
    }
    return 0;
}

/* The v2 tree alone: of a host that has nothing else, or where it is asked for by its type. */
static int push_unified(struct wherry_plan *plan, const struct wherry_mount *wanted, bool private,
                        const struct cgroup_layout *layout, struct wherry_cgroup *cgroup, struct wherry_error *err)
{
    struct wherry_mount *mount = new_mount(plan, wanted, "cgroup2");

    if (mount == NULL)
        return wherry_error_set(err, ENOMEM, "mount cgroup");
    for (size_t i = 0; i < layout->count; i++) {
        if (!layout->at[i].unified)
            continue;
        return private ? wherry_plan_push_filesystem(plan, mount, NULL, err)
                       : push_bind(plan, mount, directory_in(cgroup, &layout->at[i]), err);
    }
    return wherry_error_set(err, ENODEV, "mount cgroup2 on %s: the host has not mounted it", wanted->destination);
}

int wherry_plan_push_cgroup_mount(struct wherry_plan *plan, const struct wherry_spec *spec,
                                  const struct wherry_mount *mount, struct wherry_cgroup *cgroup,
                                  struct wherry_error *err)
{
    const struct wherry_namespace *namespace = wherry_spec_namespace(spec, CLONE_NEWCGROUP);
    struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    int result;

    if (cgroup_layout_read(&layout, err) < 0)
        return -1;
    if (layout.kind == WHERRY_CGROUP_NONE)
        result = wherry_error_set(err, ENODEV, "mount cgroup on %s: the host has mounted none", mount->destination);
    else if (layout.kind == WHERRY_CGROUP_V2 || strcmp(mount->type, "cgroup2") == 0)
        result = push_unified(plan, mount, namespace != NULL, &layout, cgroup, err);
    else
        result = push_tree(plan, mount, namespace != NULL, &layout, cgroup, err);
    cgroup_layout_free(&layout);
    return result;
}
