/* The verbs create and run, as the runtime's side sees them; see wherry/runtime.h. */
#include "cgroup_name.h"
#include "hooks.h"
#include "launch.h"
#include "namespaces.h"
#include "network_devices.h"
#include "notify.h"
#include "start_report.h"
#include "state_text.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/stat.h>

/* Everything that one creation holds; given back by creation_end, undone by creation_undo. */
struct creation {
    const struct wherry_launch_options *options;
    struct wherry_spec spec;
    struct wherry_container container;
    struct wherry_plan plan;
    struct wherry_launch launch;
    struct wherry_network_devices network_devices;
    bool reserved;   /* the record exists */
    bool has_cgroup; /* the cgroup exists */
    int notify;      /* where the process of `run` says that it is ready; -1 */
    bool hooked;     /* hooks may have run, so that the poststop ones are due */
};

/* Reads the configuration, before anything is made. */
static int read_configuration(struct creation *creation, bool wait_for_start, struct wherry_error *err)
{
    const struct wherry_launch_options *options = creation->options;

    if (wherry_spec_load(options->bundle, options->config, &creation->spec, err) < 0)
        return -1;
    /* One that is only created can do without: config.md, "Process". */
    if (!creation->spec.has_process && !wait_for_start)
        return wherry_error_set(err, 0, "bundle %s: process: must be set", options->bundle);
    if (wherry_spec_apply_mount_label(&creation->spec, err) < 0)
        return -1;
    if (wherry_launch_check_console(options, &creation->spec.process, err) < 0)
        return -1;
    return wherry_launch_add_environment(options, &creation->spec.process, &creation->spec.arena, err);
}

/* Capabilities, limits and the filter, which is kept beside the containers for the next one with the same profile. */
static int prepare_identity(struct creation *creation, struct wherry_error *err)
{
    cleanup_free char *cache = NULL;

    if (asprintf(&cache, "%s/" WHERRY_CONTAINER_SECCOMP_CACHE, creation->options->root) < 0)
        return wherry_error_set(err, ENOMEM, "seccomp cache");
    creation->plan.in_user_namespace = wherry_spec_namespace(&creation->spec, CLONE_NEWUSER) != NULL;
    return wherry_identity_prepare(&creation->plan, &creation->spec.process, &creation->spec.domain,
                                   creation->spec.seccomp, cache, err);
}

/* A copy, because the bundle may be changed or gone by the time of exec and delete. */
static int keep_configuration(struct creation *creation, struct wherry_error *err)
{
    return wherry_file_replace(creation->container.directory, "config.json", creation->spec.text,
                               creation->spec.text_length, 0600, err);
}

static int fill_record(struct creation *creation, struct wherry_error *err)
{
    struct wherry_container *container = &creation->container;
    const struct wherry_spec *spec = &creation->spec;

    container->bundle = strdup(creation->options->bundle);
    container->oci_version = strdup(spec->oci_version);
    container->rootfs = strdup(spec->root_path != NULL ? spec->root_path : "");
    container->annotations = json_object_get(spec->annotations);
    container->namespaces = wherry_namespaces_all_flags(spec);
    container->hooks = wherry_hooks_kinds(spec);
    container->idle = !spec->has_process;
    if (container->bundle == NULL || container->oci_version == NULL || container->rootfs == NULL)
        return wherry_error_set(err, ENOMEM, "state.json");
    return 0;
}

/* The FIFO is opened for reading here, which does not wait for a writer, and handed to the child. */
static int make_fifo(struct creation *creation, struct wherry_error *err)
{
    unsigned waited_for = 1U << WHERRY_HOOK_START_CONTAINER | 1U << WHERRY_HOOK_POSTSTART;
    int directory = creation->container.directory;

    if ((creation->container.hooks & waited_for) != 0 &&
        wherry_start_report_make(directory, &creation->plan.report, err) < 0)
        return -1;
    if (mkfifoat(directory, WHERRY_CONTAINER_FIFO, 0600) < 0)
        return wherry_error_set(err, errno, "make %s", WHERRY_CONTAINER_FIFO);
    creation->plan.start_fd = openat(directory, WHERRY_CONTAINER_FIFO, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    return creation->plan.start_fd >= 0 ? 0 : wherry_error_set(err, errno, "open %s", WHERRY_CONTAINER_FIFO);
}

static int place_cgroup(struct creation *creation, struct wherry_error *err)
{
    char path[WHERRY_CGROUP_NAME_MAX];
    const struct wherry_spec *spec = &creation->spec;
    struct wherry_container *container = &creation->container;
    int result;

    if (creation->options->systemd)
        result =
            wherry_cgroup_place_unit(spec->cgroups_path, container->id, spec->annotations, &container->cgroup, err);
    else if ((result = wherry_cgroup_name(spec->cgroups_path, container->id, path, err)) >= 0)
        result = wherry_cgroup_place(path, &container->cgroup, err);
    return result < 0 ? -1 : 0;
}

/* Whether linux.resources asks for more than rules for devices, which a user namespace has of the kernel itself. */
static bool has_limits(struct json_object *resources)
{
    if (resources == NULL)
        return false;
    json_object_object_foreach(resources, name, value)
    {
        if (value != NULL && strcmp(name, "devices") != 0)
            return true;
    }
    return false;
}

/* A user to whom no group is delegated has containers without one, unless a group or a limit is asked for by name. */
static int do_without_cgroup(struct creation *creation, struct wherry_error *err)
{
    bool forbidden = err->code == EACCES || err->code == EPERM || err->code == EROFS || err->code == ENOENT;

    if (!creation->options->rootless || creation->spec.cgroups_path != NULL || !forbidden)
        return -1;
    if (has_limits(creation->spec.resources))
        return wherry_error_prefix(err, "linux.resources: no limits without control groups, and none may be made here");
    creation->container.cgroup = (struct wherry_cgroup)WHERRY_CGROUP_INIT;
    creation->has_cgroup = true;
    *err = (struct wherry_error)WHERRY_ERROR_INIT;
    return 0;
}

/* The record tells of the groups before they are there, and of the process where there is one already, so that `delete`
 * finds what a killed runtime has left. */
static int make_cgroup(struct creation *creation, struct wherry_error *err)
{
    struct wherry_cgroup *cgroup = &creation->container.cgroup;

    cgroup->rootless = creation->options->rootless;
    if (wherry_container_save(&creation->container, err) < 0)
        return -1;
    if (wherry_cgroup_make(cgroup, creation->spec.resources, err) < 0)
        return do_without_cgroup(creation, err);
    creation->has_cgroup = true;
    creation->launch.cgroup_fd = wherry_cgroup_v2_fd(cgroup);
    return wherry_cgroup_attach_prepare(cgroup, creation->launch.groups.fds, &creation->launch.groups.count, err);
}

/* On v2 the process is born in its group, and without a cgroup namespace the group's directory is one of the mounts.
 * Otherwise the groups, nine directories on v1, are made while the process makes its namespaces and mounts. */
static bool is_cgroup_first(const struct creation *creation)
{
    return creation->container.cgroup.layout == WHERRY_CGROUP_V2 ||
           wherry_spec_namespace(&creation->spec, CLONE_NEWCGROUP) == NULL;
}

/* The socket of one that is only created is made by `start`, which listens there. */
static int prepare_notify(struct creation *creation, bool wait_for_start, struct wherry_error *err)
{
    const struct wherry_container *container = &creation->container;
    int result;

    if (!creation->options->notify)
        return 0;
    result = wherry_notify_prepare(container, creation->options->root, &creation->spec, err);
    if (result <= 0 || wait_for_start)
        return result;
    creation->notify = wherry_notify_listen(container->directory, err);
    return creation->notify < 0 ? -1 : 0;
}

/* Everything that has to be there before the process is made. */
static int prepare(struct creation *creation, const char *id, bool wait_for_start, struct wherry_error *err)
{
    const struct wherry_launch_options *options = creation->options;

    if (read_configuration(creation, wait_for_start, err) < 0)
        return -1;
    if (wherry_container_reserve(options->root, id, &creation->container, err) < 0)
        return -1;
    creation->reserved = true;
    if (prepare_notify(creation, wait_for_start, err) < 0 || prepare_identity(creation, err) < 0 ||
        fill_record(creation, err) < 0 || keep_configuration(creation, err) < 0 || place_cgroup(creation, err) < 0)
        return -1;
    if (is_cgroup_first(creation) && make_cgroup(creation, err) < 0)
        return -1;
    if (wait_for_start && make_fifo(creation, err) < 0)
        return -1;
    if (wherry_launch_open_console(options, &creation->plan.console_socket, err) < 0)
        return -1;
    creation->plan.unprivileged = geteuid() != 0;
    creation->plan.preserved_fds = options->preserved_fds;
    creation->plan.keep_keyring = options->keep_keyring;
    if (wherry_state_text_prepare(&creation->container, &creation->plan.arena, &creation->plan.state, err) < 0)
        return -1;
    return wherry_plan_create(&creation->plan, &creation->spec, &creation->container.cgroup, err);
}

static int clone_child(struct creation *creation, struct wherry_error *err)
{
    const struct wherry_namespace *user = wherry_spec_namespace(&creation->spec, CLONE_NEWUSER);
    struct wherry_namespaces_own own;
    struct wherry_error later;
    int result;

    creation->launch.plan = &creation->plan;
    creation->launch.container = &creation->container;
    creation->launch.status = WHERRY_STATUS_CREATING;
    creation->launch.flags = (uint64_t)(unsigned)wherry_namespaces_clone_flags(&creation->spec);
    if (user != NULL && user->path != NULL) {
        creation->launch.user_fd = open(user->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (creation->launch.user_fd < 0)
            return wherry_error_set(err, errno, "open user namespace %s", user->path);
    }
    if (wherry_namespaces_join(&creation->spec, &own, err) < 0)
        return -1;
    result = wherry_launch_clone(&creation->launch, err);
    if (wherry_namespaces_leave(&own, result < 0 ? &later : err) < 0)
        return -1;
    return result;
}

/* What is done for the child from outside, until it waits for it. */
static int admit_child(struct creation *creation, struct wherry_error *err)
{
    struct wherry_container *container = &creation->container;
    const struct wherry_namespace *user = wherry_spec_namespace(&creation->spec, CLONE_NEWUSER);

    container->pid = creation->launch.pid;
    container->pid_start = wherry_process_start_time(container->pid);
    /* Recorded before it is let go: from its "created" on it lives without this process, whatever becomes of it. */
    if ((creation->has_cgroup ? wherry_container_save(container, err) : make_cgroup(creation, err)) < 0)
        return -1;
    if (user != NULL && user->path == NULL &&
        wherry_namespaces_map(container->pid, &creation->spec.uid_mappings, &creation->spec.gid_mappings, err) < 0)
        return wherry_error_prefix(err, "linux");
    if (user != NULL)
        wherry_launch_own_streams(container->pid, &creation->spec.process);
    if (wherry_launch_set_oom_score(container->pid, &creation->spec.process, err) < 0)
        return -1;
    /* Before hooks run, which configure the network. */
    if (creation->spec.net_device_count > 0 &&
        wherry_network_devices_move(&creation->spec, container->pid, &creation->network_devices, err) < 0)
        return -1;
    return wherry_launch_admit(&creation->launch, err);
}

static int run_hooks(struct creation *creation, struct wherry_error *err)
{
    const struct wherry_hooks *hooks = creation->spec.hooks;
    int result;

    if (wherry_hooks_run(&hooks[WHERRY_HOOK_PRESTART], "prestart", &creation->plan.state, "creating",
                         creation->launch.pid, err) < 0 ||
        wherry_hooks_run(&hooks[WHERRY_HOOK_CREATE_RUNTIME], "createRuntime", &creation->plan.state, "creating",
                         creation->launch.pid, err) < 0)
        return -1;
    result = wherry_message_send(creation->launch.sync_fd, WHERRY_MESSAGE_HOOKS_DONE, 0, NULL);
    return result < 0 ? wherry_error_set(err, -result, "let the container go on after hooks") : 0;
}

static int converse(struct creation *creation, struct wherry_error *err)
{
    const struct wherry_hooks *hooks = creation->spec.hooks;

    creation->hooked = true;
    if (hooks[WHERRY_HOOK_PRESTART].count + hooks[WHERRY_HOOK_CREATE_RUNTIME].count > 0) {
        if (wherry_launch_expect(&creation->launch, WHERRY_MESSAGE_RUN_HOOKS, err) < 0 || run_hooks(creation, err) < 0)
            return -1;
    }
    if (wherry_launch_set_priorities(&creation->launch, &creation->spec.process, err) < 0)
        return -1;
    return wherry_launch_expect_created(&creation->launch, err);
}

/* The hooks come last, when nothing is left of the container (runtime.md, "Lifecycle", steps 12 and 13). */
static void undo(struct creation *creation, char warning[WHERRY_WARNING_MAX])
{
    struct wherry_error ignored;

    wherry_launch_abort(&creation->launch);
    wherry_network_devices_return(&creation->network_devices);
    if (creation->has_cgroup)
        wherry_cgroup_remove(&creation->container.cgroup, &ignored);
    if (creation->reserved)
        wherry_container_discard(&creation->container, &ignored);
    if (creation->hooked)
        wherry_hooks_run_each(&creation->spec.hooks[WHERRY_HOOK_POSTSTOP], "poststop", &creation->plan.state, "stopped",
                              0, warning);
}

static void end(struct creation *creation)
{
    if (creation->launch.sync_fd >= 0)
        close(creation->launch.sync_fd);
    if (creation->launch.user_fd >= 0)
        close(creation->launch.user_fd);
    if (creation->notify >= 0)
        close(creation->notify);
    wherry_network_devices_free(&creation->network_devices);
    wherry_plan_free(&creation->plan);
    wherry_container_close(&creation->container);
    wherry_spec_free(&creation->spec);
}

static int create(struct creation *creation, const char *id, bool wait_for_start, struct wherry_error *err)
{
    if (prepare(creation, id, wait_for_start, err) < 0 || clone_child(creation, err) < 0 ||
        admit_child(creation, err) < 0 || converse(creation, err) < 0)
        return -1;
    wherry_cgroup_settle(&creation->container.cgroup);
    creation->container.ready = true;
    if (wherry_container_save(&creation->container, err) < 0)
        return -1;
    if (creation->options->pidfd_socket != NULL &&
        wherry_launch_send_pidfd(creation->options->pidfd_socket, "standard", creation->launch.pid, err) < 0)
        return -1;
    if (creation->options->pid_file != NULL)
        return wherry_launch_write_pid(creation->options->pid_file, creation->launch.pid, err);
    return 0;
}

/* What was left out of what the configuration asks for, because this process or this kernel has not got it. */
static void describe_warnings(const struct creation *creation, char text[WHERRY_WARNING_MAX])
{
    const char *cgroup = creation->container.cgroup.warning;
    size_t used;

    wherry_launch_describe_lacking(&creation->plan.identity.capabilities, text);
    used = strlen(text);
    if (cgroup != NULL)
        snprintf(text + used, WHERRY_WARNING_MAX - used, "%s%s", used > 0 ? "; " : "", cgroup);
}

static int run_poststart_hooks(struct creation *creation, char warning[WHERRY_WARNING_MAX], struct wherry_error *err)
{
    const struct wherry_hooks *hooks = &creation->spec.hooks[WHERRY_HOOK_POSTSTART];

    if (wherry_hooks_poststart_must_succeed(creation->spec.oci_version))
        return wherry_hooks_run(hooks, "poststart", &creation->plan.state, "running", creation->launch.pid, err);
    wherry_hooks_run_each(hooks, "poststart", &creation->plan.state, "running", creation->launch.pid, warning);
    return 0;
}

/* The rest of `run`: the next thing to hear is the silence of exec, or why it failed. */
static int execute(struct creation *creation, char warning[WHERRY_WARNING_MAX], struct wherry_error *err)
{
    int result = wherry_message_send(creation->launch.sync_fd, WHERRY_MESSAGE_EXECUTE, 0, NULL);

    /* One that has died meanwhile is told of by what is expected next. */
    if (result < 0 && result != -EPIPE && result != -ECONNRESET)
        return wherry_error_set(err, -result, "let the container's process execute its program");
    result = wherry_launch_expect(&creation->launch, 0, err);
    return result < 0 ? result : run_poststart_hooks(creation, warning, err);
}

static int launch(const struct wherry_launch_options *options, const char *id, bool wait_for_start,
                  struct wherry_launch_result *result, struct wherry_error *err)
{
    struct creation creation = {.options = options,
                                .container = WHERRY_CONTAINER_INIT,
                                .notify = -1,
                                .plan = WHERRY_PLAN_INIT,
                                .launch = WHERRY_LAUNCH_INIT,
                                .network_devices = WHERRY_NETWORK_DEVICES_INIT};
    int outcome = create(&creation, id, wait_for_start, err);

    describe_warnings(&creation, result->warning);
    if (outcome == 0 && !wait_for_start)
        outcome = execute(&creation, result->warning, err);
    if (outcome < 0)
        undo(&creation, result->warning);
    else if (creation.notify >= 0)
        result->notify_socket = wherry_steal_fd(&creation.notify);
    result->pid = creation.launch.pid;
    result->terminal = creation.spec.process.terminal;
    end(&creation);
    return outcome;
}

int wherry_runtime_create(const struct wherry_launch_options *options, const char *id,
                          struct wherry_launch_result *result, struct wherry_error *err)
{
    return launch(options, id, true, result, err);
}

int wherry_runtime_run(const struct wherry_launch_options *options, const char *id, struct wherry_launch_result *result,
                       struct wherry_error *err)
{
    return launch(options, id, false, result, err);
}
