/* The verb exec, as the runtime's side sees it; see wherry/runtime.h. */
#include "launch.h"
#include "namespaces.h"
#include "priorities.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

struct execution {
    const struct wherry_launch_options *options;
    struct wherry_container container;
    struct wherry_arena arena;
    struct json_object *configuration;
    struct wherry_process process;
    struct wherry_execution_domain domain;
    struct wherry_plan plan;
    struct wherry_launch launch;
    int flags;    /* the namespaces that the child joins itself */
    int group_fd; /* the group that was joined in place of the container's own; -1: none */
};

static int open_running(struct execution *execution, const char *id, struct wherry_error *err)
{
    struct wherry_container *container = &execution->container;
    enum wherry_status status;

    if (wherry_container_open(execution->options->root, id, container, err) < 0)
        return -1;
    status = wherry_container_status(container);
    if (status == WHERRY_STATUS_PAUSED && !execution->options->ignore_paused)
        return wherry_error_set(err, 0, "cannot exec in a paused container (use --ignore-paused to override)");
    if (status == WHERRY_STATUS_STOPPED || status == WHERRY_STATUS_CREATING)
        return wherry_error_set(err, 0, "cannot exec in a %s container", wherry_status_name(status));
    execution->launch.container = container;
    execution->launch.status = status;
    execution->plan.pidfd = (int)syscall(SYS_pidfd_open, container->pid, 0);
    /* Asked again now that the number is held: it cannot pass to another process any more. */
    if (execution->plan.pidfd < 0 || wherry_process_start_time(container->pid) != container->pid_start)
        return wherry_error_set(err, 0, "cannot exec in a stopped container");
    return 0;
}

/* What the process does not say about its privileges and priorities is as in the container's own configuration. */
static int complete(struct json_object *object, struct json_object *configuration)
{
    static const char *const inherited[] = {"capabilities", "rlimits",         "noNewPrivileges", "ioPriority",
                                            "scheduler",    "execCPUAffinity", "apparmorProfile", "selinuxLabel"};
    struct json_object *own = NULL;

    if (!json_object_object_get_ex(configuration, "process", &own))
        return 0;
    for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
        struct json_object *value = NULL;

        if (json_object_object_get_ex(object, inherited[i], &value) && value != NULL)
            continue;
        if (json_object_object_get_ex(own, inherited[i], &value) &&
            json_object_object_add(object, inherited[i], json_object_get(value)) < 0)
            return -1;
    }
    return 0;
}

static int read_process(struct execution *execution, struct json_object *object, struct wherry_error *err)
{
    struct json_object *system = NULL, *seccomp = NULL;
    cleanup_free char *cache = NULL;

    if (execution->configuration == NULL)
        execution->configuration = wherry_spec_kept(execution->container.directory, err);
    if (execution->configuration == NULL)
        return -1;
    if (complete(object, execution->configuration) < 0)
        return wherry_error_set(err, ENOMEM, "process");
    if (wherry_process_parse(object, "process", &execution->arena, &execution->process, err) < 0 ||
        wherry_json_object(execution->configuration, "", "linux", &system, err) < 0 ||
        wherry_execution_domain_parse(system, &execution->arena, &execution->domain, err) < 0)
        return -1;
    seccomp = json_object_object_get(system, "seccomp");
    if (wherry_launch_check_console(execution->options, &execution->process, err) < 0)
        return -1;
    if (asprintf(&cache, "%s/" WHERRY_CONTAINER_SECCOMP_CACHE, execution->options->root) < 0)
        return wherry_error_set(err, ENOMEM, "seccomp cache");
    execution->plan.in_user_namespace = (execution->container.namespaces & CLONE_NEWUSER) != 0;
    return wherry_identity_prepare(&execution->plan, &execution->process, &execution->domain, seccomp, cache, err);
}

static int prepare(struct execution *execution, struct wherry_error *err)
{
    const struct wherry_launch_options *options = execution->options;
    struct wherry_plan *plan = &execution->plan;

    execution->launch.plan = plan;
    if (options->sub_cgroup != NULL &&
        wherry_cgroup_descend(&execution->container.cgroup, options->sub_cgroup, err) < 0)
        return -1;
    execution->launch.cgroup_fd = wherry_cgroup_v2_fd(&execution->container.cgroup);
    if (wherry_launch_open_console(options, &plan->console_socket, err) < 0)
        return -1;
    plan->unprivileged = geteuid() != 0;
    plan->preserved_fds = options->preserved_fds;
    plan->keep_keyring = options->keep_keyring;
    execution->flags = execution->container.namespaces;
    return wherry_plan_exec(plan, &execution->flags, err);
}

/* Clones into the container's group; where that has handed its controllers to groups below it, which leaves no room for
 * processes, into the one where the container's first process is. */
static int clone_into_group(struct execution *execution, struct wherry_error *err)
{
    int result = wherry_launch_clone(&execution->launch, err);

    if (result != -EBUSY || execution->launch.cgroup_fd < 0)
        return result;
    execution->group_fd = wherry_cgroup_v2_open_group_of(&execution->container.cgroup, execution->container.pid, err);
    if (execution->group_fd < 0)
        return -1;
    execution->launch.cgroup_fd = execution->group_fd;
    return wherry_launch_clone(&execution->launch, err);
}

/* The CPUs that the process is to begin on are the runtime's own while it makes it: on v2 it is born in its cgroup,
 * where they may no longer be chosen. */
static int clone_on_cpus(struct execution *execution, struct wherry_error *err)
{
    const struct wherry_id_set *cpus = execution->process.initial_cpus;
    struct wherry_id_set own;
    int result;

    if (cpus == NULL)
        return clone_into_group(execution, err);
    result = wherry_priorities_get_affinity(&own);
    if (result == 0)
        result = wherry_priorities_set_affinity(cpus);
    if (result < 0)
        return wherry_error_set(err, -result, "process.execCPUAffinity.initial: none of these CPUs can be had");
    result = clone_into_group(execution, err);
    wherry_priorities_set_affinity(&own);
    return result;
}

/* A pid namespace can only be entered by being born in it: the child that was cloned here prepares everything, and has
 * the process be born at the very end. */
static int admit(struct execution *execution, struct wherry_error *err)
{
    struct wherry_launch *launch = &execution->launch;
    int result = wherry_message_ask_for_senders(launch->sync_fd);

    if (result < 0)
        return wherry_error_set(err, -result, "ask for credentials");
    if (execution->plan.in_user_namespace)
        wherry_launch_own_streams(execution->container.pid, &execution->process);
    if (wherry_cgroup_attach_prepare(&execution->container.cgroup, launch->groups.fds, &launch->groups.count, err) <
            0 ||
        wherry_launch_set_oom_score(launch->pid, &execution->process, err) < 0 || wherry_launch_admit(launch, err) < 0)
        return -1;
    return execution->plan.birth == WHERRY_BIRTH_BY_CLONE ? 0 : wherry_launch_follow(launch, err);
}

static int converse(struct execution *execution, struct wherry_error *err)
{
    struct wherry_launch *launch = &execution->launch;

    if (admit(execution, err) < 0 || wherry_launch_set_priorities(launch, &execution->process, err) < 0 ||
        wherry_launch_expect_created(launch, err) < 0)
        return -1;
    if (execution->options->pidfd_socket != NULL &&
        wherry_launch_send_pidfd(execution->options->pidfd_socket, "setns", launch->pid, err) < 0)
        return -1;
    if (execution->options->pid_file != NULL &&
        wherry_launch_write_pid(execution->options->pid_file, launch->pid, err) < 0)
        return -1;
    return wherry_launch_expect(launch, 0, err);
}

static int run(struct execution *execution, const char *id, struct json_object *object, struct wherry_error *err)
{
    if (open_running(execution, id, err) < 0 || read_process(execution, object, err) < 0 ||
        prepare(execution, err) < 0 || clone_on_cpus(execution, err) < 0)
        return -1;
    return converse(execution, err);
}

int wherry_runtime_exec(const struct wherry_launch_options *options, const char *id, struct json_object *object,
                        struct json_object *configuration, struct wherry_launch_result *result,
                        struct wherry_error *err)
{
    struct execution execution = {.options = options,
                                  .configuration = json_object_get(configuration),
                                  .container = WHERRY_CONTAINER_INIT,
                                  .plan = WHERRY_PLAN_INIT,
                                  .launch = WHERRY_LAUNCH_INIT,
                                  .group_fd = -1};
    int outcome = run(&execution, id, object, err);

    if (outcome < 0)
        wherry_launch_abort(&execution.launch);
    if (execution.launch.sync_fd >= 0)
        close(execution.launch.sync_fd);
    wherry_cleanup_close(&execution.group_fd);
    result->pid = execution.launch.pid;
    result->terminal = execution.process.terminal;
    wherry_launch_describe_lacking(&execution.plan.identity.capabilities, result->warning);
    wherry_plan_free(&execution.plan);
    wherry_arena_free(&execution.arena);
    if (execution.configuration != NULL)
        json_object_put(execution.configuration);
    wherry_container_close(&execution.container);
    return outcome;
}

int wherry_runtime_process(const char *root, const char *id, struct json_object **configuration,
                           struct json_object **object, struct wherry_error *err)
{
    struct wherry_container container;

    if (wherry_container_open(root, id, &container, err) < 0)
        return -1;
    *configuration = wherry_spec_kept(container.directory, err);
    wherry_container_close(&container);
    if (*configuration == NULL)
        return -1;
    if (!json_object_object_get_ex(*configuration, "process", object))
        return wherry_error_set(err, 0, "container %s: its config.json has no process", id);
    return 0;
}
