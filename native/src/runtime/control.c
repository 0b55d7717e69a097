/* The verbs start, kill, delete, pause, resume and update; see wherry/runtime.h. */
#include "hooks.h"
#include "start_report.h"
#include "state_text.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

/* How long a killed process may take to be gone, in milliseconds. */
#define DEATH_MAX 10000
#define DEATH_STEP 20

static inline void cleanup_container_close(struct wherry_container *container)
{
    wherry_container_close(container);
}

#define cleanup_container __attribute__((cleanup(cleanup_container_close)))

/* The configuration that the container was created with, for its hooks. */
static int load_spec(const struct wherry_container *container, struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *document = wherry_json_read(container->directory, "config.json", WHERRY_SPEC_SIZE_MAX, err);

    if (document == NULL)
        return -1;
    return wherry_spec_parse(document, container->bundle, spec, err);
}

static bool has_hooks(const struct wherry_container *container, enum wherry_hook_kind kind)
{
    return (container->hooks & 1U << kind) != 0;
}

/* The poststop hooks, which run when the container is gone. That they cannot be run, or fail, is told and stops
 * nothing.
 */
static void run_poststop_hooks(const struct wherry_container *container, const struct wherry_spec *spec,
                               char warning[WHERRY_WARNING_MAX])
{
    struct wherry_arena arena = WHERRY_ARENA_INIT;
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_state_text text;

    if (wherry_state_text_prepare(container, &arena, &text, &err) < 0)
        snprintf(warning, WHERRY_WARNING_MAX, "%.*s", WHERRY_WARNING_MAX - 1, err.message);
    else
        wherry_hooks_run_each(&spec->hooks[WHERRY_HOOK_POSTSTOP], "poststop", &text, "stopped", 0, warning);
    wherry_arena_free(&arena);
}

static int refuse_start(const struct wherry_container *container, struct wherry_error *err)
{
    switch (wherry_container_status(container)) {
    case WHERRY_STATUS_STOPPED:
        return wherry_error_set(err, 0, "cannot start a container that has stopped");
    case WHERRY_STATUS_CREATING:
        return wherry_error_set(err, 0, "cannot start container %s: it is being created", container->id);
    case WHERRY_STATUS_PAUSED:
        return wherry_error_set(err, 0, "cannot start a paused container");
    default:
        return wherry_error_set(err, 0, "cannot start an already running container");
    }
}

/* A descriptor of the container's process, surely of that one: what it refers to was alive with the recorded start time
 * after it was opened. -1 when it is gone. */
static int open_process(const struct wherry_container *container)
{
    int fd;

    if (container->pid <= 0)
        return -1;
    fd = (int)syscall(SYS_pidfd_open, container->pid, 0);
    if (fd >= 0 && wherry_process_start_time(container->pid) != container->pid_start) {
        close(fd);
        return -1;
    }
    return fd;
}

int wherry_runtime_kill(const char *root, const char *id, int signal, bool all, struct wherry_error *err)
{
    cleanup_container struct wherry_container container;
    cleanup_close int process = -1;

    if (wherry_container_open(root, id, &container, err) < 0)
        return -1;
    /* Without groups of its own the container is its pid namespace. */
    if (all && container.cgroup.count > 0) {
        int result = wherry_cgroup_kill(&container.cgroup, signal, err);

        return result < 0 ? result : 0;
    }
    process = open_process(&container);
    if (process < 0 && all)
        return 0;
    if (process < 0) {
        wherry_error_set(err, 0, "container not running");
        err->code = ESRCH;
        return -ESRCH;
    }
    if (syscall(SYS_pidfd_send_signal, process, signal, NULL, 0) < 0)
        return wherry_error_set(err, errno, "signal %d to container %s", signal, id);
    /* A paused container is to die at once, not when it is resumed. */
    return signal == SIGKILL && wherry_container_status(&container) == WHERRY_STATUS_PAUSED
               ? wherry_cgroup_freeze(&container.cgroup, false, err)
               : 0;
}

static bool is_empty(struct wherry_container *container)
{
    cleanup_free pid_t *pids = NULL;
    size_t count = 1;

    return wherry_cgroup_pids(&container->cgroup, &pids, &count, NULL) >= 0 && count == 0;
}

/* Waits until nothing runs in the container. The first process of a pid namespace counts as alive until those that came
 * by exec have been waited for by their parents, which can take seconds where these are a slow init's; but having left
 * the cgroup it holds nothing any more. */
static int await_death(struct wherry_container *container, int process, struct wherry_error *err)
{
    struct pollfd poll_fd = {.fd = process, .events = POLLIN};

    for (int waited = 0, step = 1; waited < DEATH_MAX; waited += step, step += step < DEATH_STEP) {
        if (poll(&poll_fd, 1, step) > 0 || is_empty(container))
            return 0;
    }
    return wherry_error_set(err, ETIMEDOUT, "container %s: its process %d does not die", container->id, container->pid);
}

/* Kills the first process, and what else is in the cgroup. */
static int kill_all(struct wherry_container *container, struct wherry_error *err)
{
    cleanup_close int process = open_process(container);
    struct wherry_error ignored;

    if (process >= 0) {
        syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
        /* A frozen process takes no signal. */
        wherry_cgroup_freeze(&container->cgroup, false, &ignored);
    }
    /* Without a pid namespace of its own, a container's other processes outlive the first one. */
    wherry_cgroup_kill(&container->cgroup, SIGKILL, &ignored);
    return process >= 0 ? await_death(container, process, err) : 0;
}

/* Takes away the groups with all that runs in them. A runtime that was killed before it recorded a process has let none
 * in: what waits there ends by itself, and what runs there is not ours. */
static int clear_cgroup(struct wherry_container *container, struct wherry_error *err)
{
    if (container->pid == 0)
        return wherry_cgroup_remove_abandoned(&container->cgroup, err);
    if (kill_all(container, err) < 0)
        return -1;
    return wherry_cgroup_remove(&container->cgroup, err);
}

/* Kills what there is, removes the rest, and runs the poststop hooks: the end of every container. */
static int destroy(struct wherry_container *container, char warning[WHERRY_WARNING_MAX], struct wherry_error *err)
{
    bool hooked = container->pid > 0 && has_hooks(container, WHERRY_HOOK_POSTSTOP);
    struct wherry_error unread = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    if (clear_cgroup(container, err) < 0)
        return -1;
    /* That systemd could not be asked to forget the scope. */
    if (container->cgroup.warning != NULL)
        snprintf(warning, WHERRY_WARNING_MAX, "%s", container->cgroup.warning);
    /* Read while there is a record; run when there is none any more, as the specification wants it. */
    if (hooked && load_spec(container, &spec, &unread) < 0) {
        snprintf(warning, WHERRY_WARNING_MAX, "%.*s", WHERRY_WARNING_MAX - 1, unread.message);
        hooked = false;
    }
    if (wherry_container_discard(container, err) < 0) {
        if (hooked)
            wherry_spec_free(&spec);
        return -1;
    }
    if (hooked) {
        run_poststop_hooks(container, &spec, warning);
        wherry_spec_free(&spec);
    }
    return 0;
}

static int run_poststart_hooks(const struct wherry_container *container, char warning[WHERRY_WARNING_MAX],
                               struct wherry_error *err)
{
    const struct wherry_hooks *hooks;
    struct wherry_state_text text;
    struct wherry_spec spec;
    int result;

    if (load_spec(container, &spec, err) < 0)
        return -1;
    hooks = &spec.hooks[WHERRY_HOOK_POSTSTART];
    result = wherry_state_text_prepare(container, &spec.arena, &text, err);
    if (result == 0 && wherry_hooks_poststart_must_succeed(spec.oci_version))
        result = wherry_hooks_run(hooks, "poststart", &text, "running", container->pid, err);
    else if (result == 0)
        wherry_hooks_run_each(hooks, "poststart", &text, "running", container->pid, warning);
    wherry_spec_free(&spec);
    return result;
}

/* Waits until the process, whose end of the FIFO is close-on-exec, has executed its program; then its poststart hooks
 * are due. */
static int follow_start(const struct wherry_container *container, int fifo, char warning[WHERRY_WARNING_MAX],
                        struct wherry_error *err)
{
    struct pollfd poll_fd = {.fd = fifo};

    while (poll(&poll_fd, 1, -1) < 0) {
        if (errno != EINTR)
            return wherry_error_set(err, errno, "wait for the program of container %s", container->id);
    }
    if (wherry_start_report_read(container->directory, err) < 0)
        return -1;
    unlinkat(container->directory, WHERRY_CONTAINER_START_REPORT, 0);
    return has_hooks(container, WHERRY_HOOK_POSTSTART) ? run_poststart_hooks(container, warning, err) : 0;
}

int wherry_runtime_start(const char *root, const char *id, char warning[WHERRY_WARNING_MAX], struct wherry_error *err)
{
    cleanup_container struct wherry_container container;
    cleanup_close int fifo = -1;
    struct wherry_error later = WHERRY_ERROR_INIT;

    warning[0] = '\0';
    if (wherry_container_open(root, id, &container, err) < 0)
        return -1;
    if (container.idle)
        return wherry_error_set(err, 0, "cannot start container %s: its config.json has no process", id);
    if (wherry_container_status(&container) != WHERRY_STATUS_CREATED)
        return refuse_start(&container, err);
    /* Without a reader this fails at once: the process is gone, or has been started. */
    fifo = openat(container.directory, WHERRY_CONTAINER_FIFO, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fifo < 0)
        return errno == ENXIO || errno == ENOENT ? refuse_start(&container, err)
                                                 : wherry_error_set(err, errno, "open %s", WHERRY_CONTAINER_FIFO);
    /* Of two who start at the same time, the one that removes the name goes on. */
    if (unlinkat(container.directory, WHERRY_CONTAINER_FIFO, 0) < 0)
        return errno == ENOENT ? refuse_start(&container, err)
                               : wherry_error_set(err, errno, "remove %s", WHERRY_CONTAINER_FIFO);
    if (write(fifo, "0", 1) != 1)
        return wherry_error_set(err, errno, "start container %s", id);
    if (!has_hooks(&container, WHERRY_HOOK_START_CONTAINER) && !has_hooks(&container, WHERRY_HOOK_POSTSTART))
        return 0;
    if (follow_start(&container, fifo, warning, err) == 0)
        return 0;
    /* runtime.md, "Lifecycle", steps 7 and 9: stop the container and go on with its destruction. */
    if (destroy(&container, warning, &later) < 0)
        snprintf(warning, WHERRY_WARNING_MAX, "%.*s", WHERRY_WARNING_MAX - 1, later.message);
    return -1;
}

int wherry_runtime_delete(const char *root, const char *id, bool force, char warning[WHERRY_WARNING_MAX],
                          struct wherry_error *err)
{
    cleanup_container struct wherry_container container;
    enum wherry_status status;

    warning[0] = '\0';
    if (wherry_container_open(root, id, &container, err) < 0)
        return force && err->code == ENOENT ? 0 : -1;
    status = wherry_container_status(&container);
    /* One that was never started has nothing to lose. */
    if (!force && status != WHERRY_STATUS_STOPPED && status != WHERRY_STATUS_CREATED)
        return wherry_error_set(err, 0, "cannot delete container %s that is not stopped: %s", id,
                                wherry_status_name(status));
    return destroy(&container, warning, err);
}

static int require_running(const struct wherry_container *container, bool paused_too, struct wherry_error *err)
{
    enum wherry_status status = wherry_container_status(container);

    if (status == WHERRY_STATUS_RUNNING || status == WHERRY_STATUS_CREATED ||
        (paused_too && status == WHERRY_STATUS_PAUSED))
        return 0;
    return wherry_error_set(err, 0, "container %s is %s: it must be running or created", container->id,
                            wherry_status_name(status));
}

int wherry_runtime_pause(const char *root, const char *id, bool paused, struct wherry_error *err)
{
    cleanup_container struct wherry_container container;

    if (wherry_container_open(root, id, &container, err) < 0)
        return -1;
    if (!paused && wherry_container_status(&container) != WHERRY_STATUS_PAUSED)
        return wherry_error_set(err, 0, "container %s is not paused", id);
    if (paused && require_running(&container, false, err) < 0)
        return -1;
    return wherry_cgroup_freeze(&container.cgroup, paused, err);
}

int wherry_runtime_update(const char *root, const char *id, struct json_object *resources,
                          char warning[WHERRY_WARNING_MAX], struct wherry_error *err)
{
    cleanup_container struct wherry_container container;
    int result;

    warning[0] = '\0';
    if (wherry_container_open(root, id, &container, err) < 0 || require_running(&container, true, err) < 0)
        return -1;
    result = wherry_cgroup_update(&container.cgroup, resources, err);
    if (container.cgroup.warning != NULL)
        snprintf(warning, WHERRY_WARNING_MAX, "%s", container.cgroup.warning);
    return result;
}
