/* The steps of a new container's process, in their order; see plan.h. */
#include "child.h"
#include "plan.h"
#include "plan_cgroup_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mount.h>

static bool is_cgroup(const struct wherry_mount *mount)
{
    return !mount->bind && (strcmp(mount->type, "cgroup") == 0 || strcmp(mount->type, "cgroup2") == 0);
}

/* Whether `path` is the directory `directory`, written in whatever way. */
static bool names(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    while (path[0] == '/' && path[1] == '/')
        path++;
    return strncmp(path, directory, length) == 0 && path[length + strspn(path + length, "/")] == '\0';
}

/* A /dev that is bound from the host is complete, and nothing may be made in it. */
static bool has_own_dev(const struct wherry_spec *spec)
{
    for (size_t i = 0; i < spec->mount_count; i++) {
        if (spec->mounts[i].bind && names(spec->mounts[i].destination, "/dev"))
            return false;
    }
    return true;
}

/* Sources are opened by the runtime, before the clone: in a user namespace the way to them may be closed to the child,
 * and a copy of a shared mount is the host's peer only when it is taken in the host's mount namespace. */
static int open_source(const char *path, bool recursive)
{
    return open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? (unsigned)AT_RECURSIVE : 0));
}

/* Without a word about propagation nothing that is mounted on either side shows on the other. */
static int push_bind(struct wherry_plan *plan, const struct wherry_mount *wanted, struct wherry_error *err)
{
    struct wherry_mount *mount = wherry_arena_array(&plan->arena, 1, sizeof(*mount));

    if (mount == NULL)
        return wherry_error_set(err, ENOMEM, "plan");
    *mount = *wanted;
    if (mount->propagation == 0) {
        mount->propagation = MS_PRIVATE;
        mount->recursive_propagation = true;
    }
    return wherry_plan_push_bind(plan, mount, open_source(mount->source, mount->recursive), err);
}

static int push_mounts(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_cgroup *cgroup,
                       struct wherry_error *err)
{
    for (size_t i = 0; i < spec->mount_count; i++) {
        const struct wherry_mount *mount = &spec->mounts[i];
        int result = 0;

        if (mount->bind)
            result = push_bind(plan, mount, err);
        else if (is_cgroup(mount))
            result = wherry_plan_push_cgroup_mount(plan, spec, mount, cgroup, err);
        else
            wherry_plan_push(plan, wherry_child_mount_filesystem, mount);
        if (result < 0)
            return result;
    }
    return 0;
}

static void push_namespaces(struct wherry_plan *plan, const struct wherry_spec *spec)
{
    const struct wherry_namespace *cgroup = wherry_spec_namespace(spec, CLONE_NEWCGROUP);

    /* Nothing is done before the runtime has written the ID mappings and knows the process by its number. */
    wherry_plan_push(plan, wherry_child_await_admission, NULL);
    /* Through descriptors that the runtime has opened, before the IDs change. */
    if (plan->cgroup_fd_count > 0)
        wherry_plan_push(plan, wherry_child_enter_cgroup, NULL);
    if (wherry_spec_namespace(spec, CLONE_NEWUSER) != NULL)
        wherry_plan_push(plan, wherry_child_become_root, NULL);
    /* The group that the process is in becomes the root of the namespace, cgroup_namespaces(7): after it has entered
     * its own. */
    if (cgroup != NULL && cgroup->path == NULL)
        wherry_plan_push(plan, wherry_child_new_cgroup_namespace, NULL);
    /* The caller's keys and terminal are not the container's (session keyring; TIOCSTI). The keyring belongs to the
     * user that the process is by now. */
    if (!plan->keep_keyring)
        wherry_plan_push(plan, wherry_child_new_keyring, NULL);
    wherry_plan_push(plan, wherry_child_new_session, NULL);
    if (spec->hostname != NULL)
        wherry_plan_push(plan, wherry_child_set_hostname, spec->hostname);
    if (spec->domainname != NULL)
        wherry_plan_push(plan, wherry_child_set_domainname, spec->domainname);
}

/* Everything that is mounted, made and hidden below the new root. */
static int push_filesystem(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_cgroup *cgroup,
                           struct wherry_error *err)
{
    plan->root_tree = open_source(spec->root_path, true);
    if (plan->root_tree < 0)
        return wherry_error_set(err, errno, "root.path: %s", spec->root_path);
    wherry_plan_push(plan, wherry_child_isolate_mounts, NULL);
    wherry_plan_push(plan, wherry_child_attach_root, spec);
    if (push_mounts(plan, spec, cgroup, err) < 0)
        return -1;
    /* When /dev and what is in it are mounted. */
    if (has_own_dev(spec))
        wherry_plan_push(plan, wherry_child_make_default_devices, NULL);
    for (size_t i = 0; i < spec->device_count; i++)
        wherry_plan_push(plan, wherry_child_make_device, &spec->devices[i]);
    /* Needs the container's devpts, and gives it /dev/console. */
    if (plan->identity.process->terminal)
        wherry_plan_push(plan, wherry_child_open_console, plan->identity.process);
    /* While /proc/sys is writable. */
    for (size_t i = 0; i < spec->sysctl_count; i++)
        wherry_plan_push(plan, wherry_child_set_sysctl, &spec->sysctls[i]);
    wherry_plan_push(plan, wherry_child_make_cwd, plan->identity.process->cwd);
    return 0;
}

static void push_hooks(struct wherry_plan *plan, const struct wherry_spec *spec)
{
    if (spec->hooks[WHERRY_HOOK_PRESTART].count + spec->hooks[WHERRY_HOOK_CREATE_RUNTIME].count > 0)
        wherry_plan_push(plan, wherry_child_await_runtime_hooks, NULL);
    /* In the container's namespaces, with the host's files still in sight, as the specification wants it. */
    if (spec->hooks[WHERRY_HOOK_CREATE_CONTAINER].count > 0)
        wherry_plan_push(plan, wherry_child_run_create_hooks, &spec->hooks[WHERRY_HOOK_CREATE_CONTAINER]);
}

static void push_seal(struct wherry_plan *plan, const struct wherry_spec *spec)
{
    /* Read-only paths before hidden ones: a copy of /proc/sys must not lack what is hidden below it. After the hooks,
     * which may mount; before the root is changed, because the mask is the host's /dev/null. */
    for (size_t i = 0; i < spec->readonly_count; i++)
        wherry_plan_push(plan, wherry_child_make_readonly, spec->readonly_paths[i]);
    for (size_t i = 0; i < spec->masked_count; i++)
        wherry_plan_push(plan, wherry_child_mask_path, spec->masked_paths[i]);
    /* When nothing has to be made below it any more. */
    if (spec->root_readonly)
        wherry_plan_push(plan, wherry_child_make_root_readonly, NULL);
    wherry_plan_push(plan, wherry_child_pivot_root, NULL);
    if (spec->root_propagation != 0)
        wherry_plan_push(plan, wherry_child_set_root_propagation, spec);
}

int wherry_plan_create(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_cgroup *cgroup,
                       struct wherry_error *err)
{
    const struct wherry_namespace *mount = wherry_spec_namespace(spec, CLONE_NEWNS);

    push_namespaces(plan, spec);
    if (mount->path != NULL)
        wherry_plan_push(plan, wherry_child_join_mount_namespace, mount->path);
    else if (push_filesystem(plan, spec, cgroup, err) < 0)
        return -1;
    push_hooks(plan, spec);
    if (mount->path == NULL)
        push_seal(plan, spec);
    wherry_plan_push_identity(plan);
    wherry_plan_push(plan, wherry_child_report_created, NULL);
    if (plan->start_fd >= 0)
        wherry_plan_push(plan, wherry_child_await_start, NULL);
    if (spec->hooks[WHERRY_HOOK_START_CONTAINER].count > 0)
        wherry_plan_push(plan, wherry_child_run_start_hooks, &spec->hooks[WHERRY_HOOK_START_CONTAINER]);
    wherry_plan_push_execute(plan);
    return plan->incomplete ? wherry_error_set(err, ENOMEM, "plan") : 0;
}
