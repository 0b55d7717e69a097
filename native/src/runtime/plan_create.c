/* The steps of a new container's process, in their order; see plan.h. */
#include "child.h"
#include "namespaces.h"
#include "plan.h"
#include "plan_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mount.h>

/* Whether `path` is the directory `directory`, written in whatever way. */
static bool names(const char *path, const char *directory)
{
    size_t length = strlen(directory);

    while (path[0] == '/' && path[1] == '/')
        path++;
    return strncmp(path, directory, length) == 0 && path[length + strspn(path + length, "/")] == '\0';
}

static bool is_below_dev(const char *path)
{
    return strncmp(path + strspn(path, "/"), "dev/", 4) == 0;
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

void wherry_plan_push_admission(struct wherry_plan *plan, const struct wherry_spec *spec)
{
    const struct wherry_namespace *cgroup = wherry_spec_namespace(spec, CLONE_NEWCGROUP);

    if (plan->admission)
        return;
    plan->admission = true;
    wherry_plan_push(plan, wherry_child_await_admission, NULL);
    /* Of the host's procfs, while it is in sight and the process still the one that may open them. */
    if (wherry_identity_has_labels(&plan->identity))
        wherry_plan_push(plan, wherry_child_open_labels, &plan->identity);
    /* Through descriptors that the runtime has opened, before the IDs change. */
    wherry_plan_push(plan, wherry_child_enter_cgroup, NULL);
    if (wherry_spec_namespace(spec, CLONE_NEWUSER) != NULL)
        wherry_plan_push(plan, wherry_child_become_root, NULL);
    /* The group that the process is in becomes the root of the namespace, cgroup_namespaces(7): after it has entered
     * its own. */
    if (cgroup != NULL && cgroup->path == NULL)
        wherry_plan_push(plan, wherry_child_new_cgroup_namespace, NULL);
}

static void push_namespaces(struct wherry_plan *plan, const struct wherry_spec *spec)
{
    /* In a user namespace the process is nobody until its ID mappings are written, and in another's mount namespace
     * it does nothing that it could not be held to account for. */
    if (wherry_spec_namespace(spec, CLONE_NEWUSER) != NULL || wherry_spec_namespace(spec, CLONE_NEWNS)->path != NULL)
        wherry_plan_push_admission(plan, spec);
    plan->own_namespaces = wherry_namespaces_own_flags(spec);
    if (plan->own_namespaces != 0)
        wherry_plan_push(plan, wherry_child_make_namespaces, &plan->own_namespaces);
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

/* When /dev and what is in it are mounted. What the configuration says of a device goes before what is so by default.
 */
static void push_devices(struct wherry_plan *plan, const struct wherry_spec *spec)
{
    bool own = has_own_dev(spec);

    for (size_t i = 0; i < spec->device_count; i++) {
        const struct wherry_device *device = &spec->devices[i];

        /* It is the link to the container's own multiplexer; callers that hand over all of the host's devices
         * (--privileged) name the host's, whose terminals would be out of reach. */
        if (own && names(device->path, "/dev/ptmx"))
            continue;
        wherry_plan_push(
            plan, own || !is_below_dev(device->path) ? wherry_child_make_device : wherry_child_check_device, device);
    }
    if (own)
        wherry_plan_push(plan, wherry_child_make_default_devices, NULL);
}

static void push_console(struct wherry_plan *plan)
{
    wherry_plan_push(plan, wherry_child_open_console, plan->identity.process);
    /* The session was started before. */
    wherry_plan_push(plan, wherry_child_take_terminal, NULL);
}

/* Everything that is mounted, made and hidden below the new root. */
static int push_filesystem(struct wherry_plan *plan, const struct wherry_spec *spec, struct wherry_cgroup *cgroup,
                           struct wherry_error *err)
{
    plan->root_tree = wherry_plan_open_tree(spec->root_path, AT_RECURSIVE);
    if (plan->root_tree < 0 && !(errno == EPERM && plan->unprivileged))
        return wherry_error_set(err, errno, "root.path: %s", spec->root_path);
    wherry_plan_push(plan, wherry_child_isolate_mounts, NULL);
    wherry_plan_push(plan, wherry_child_attach_root, spec);
    if (wherry_plan_push_mounts(plan, spec, cgroup, err) < 0)
        return -1;
    /* At the latest: what is made from here on is subject to the container's device rules. */
    wherry_plan_push_admission(plan, spec);
    push_devices(plan, spec);
    /* Needs the container's devpts, and gives it /dev/console. */
    if (spec->process.terminal)
        push_console(plan);
    /* While /proc/sys is writable. */
    for (size_t i = 0; i < spec->sysctl_count; i++)
        wherry_plan_push(plan, wherry_child_set_sysctl, &spec->sysctls[i]);
    if (spec->has_process)
        wherry_plan_push(plan, wherry_child_make_cwd, spec->process.cwd);
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
    /* When nothing has to be made below them any more. */
    wherry_plan_push_late_mounts(plan);
    if (spec->root_readonly)
        wherry_plan_push(plan, wherry_child_make_root_readonly, NULL);
    wherry_plan_push(plan, wherry_child_pivot_root, NULL);
    if (spec->root_propagation != 0)
        wherry_plan_push(plan, wherry_child_set_root_propagation, spec);
}

/* A container without a process: what holds its namespaces waits for a start that is always refused. */
static void push_idling(struct wherry_plan *plan)
{
    wherry_plan_push(plan, wherry_child_close_descriptors, NULL);
    wherry_plan_push(plan, wherry_child_report_created, NULL);
    wherry_plan_push(plan, wherry_child_await_start, NULL);
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
    if (!spec->has_process) {
        push_idling(plan);
        return plan->incomplete ? wherry_error_set(err, ENOMEM, "plan") : 0;
    }
    wherry_plan_push_identity(plan);
    wherry_plan_push(plan, wherry_child_report_created, NULL);
    /* What the program does first can be to ask, or to have somebody ask, what becomes of it. */
    wherry_plan_push(plan, plan->start_fd >= 0 ? wherry_child_await_start : wherry_child_await_record, NULL);
    if (spec->hooks[WHERRY_HOOK_START_CONTAINER].count > 0) {
        /* Their programs are the container's, which come under its filter. */
        wherry_plan_push_late_filter(plan);
        wherry_plan_push(plan, wherry_child_run_start_hooks, &spec->hooks[WHERRY_HOOK_START_CONTAINER]);
    }
    wherry_plan_push_execute(plan);
    return plan->incomplete ? wherry_error_set(err, ENOMEM, "plan") : 0;
}
