/* The verbs start, kill, delete, pause, resume and update; see wherry/runtime.h. */
#include "hooks.h"
#include "state_text.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

/* How long a killed process may take to be gone, in milliseconds. */
#define DEATH_MAX 10000

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

/* The hooks after start and stop: that they cannot be run, or fail, is told and stops nothing. */
static void run_hooks(const struct wherry_container *container, enum wherry_hook_kind kind, const char *name,
                      const char *status, pid_t pid, char warning[WHERRY_WARNING_MAX])
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_state_text text;
    struct wherry_spec spec;

    if (load_spec(container, &spec, &err) < 0) {
        snprintf(warning, WHERRY_WARNING_MAX, "%.*s", WHERRY_WARNING_MAX - 1, err.message);
        return;
    }
    if (spec.hooks[kind].count > 0) {
        if (wherry_state_text_prepare(container, &spec.arena, &text, &err) < 0)
            snprintf(warning, WHERRY_WARNING_MAX, "%.*s", WHERRY_WARNING_MAX - 1, err.message);
        else
            wherry_hooks_run_each(&spec.hooks[kind], name, &text, status, pid, warning);
    }
    wherry_spec_free(&spec);
}

static int refuse_start(const struct wherry_container *container, struct wherry_error *err)
{
    switch (wherry_container_status(container)) {
    case WHERRY_STATUS_STOPPED:
        return wherry_error_set(err, 0, "cannot start a container that has stopped");
    case WHERRY_STATUS_CREATING:
        return wherry_error_set(err, 0, "cannot start container %s: it is being created", container->id);
    default:
        return wherry_error_set(err, 0, "cannot start an already running container");
    }
}

int wherry_runtime_start(const char *root, const char *id, char warning[WHERRY_WARNING_MAX], struct wherry_error *err)
{
    cleanup_container struct wherry_container container;
    cleanup_close int fifo = -1;

    warning[0] = '\0';
    if (wherry_container_open(root, id, &container, err) < 0)
        return -1;
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
    run_hooks(&container, WHERRY_HOOK_POSTSTART, "poststart", "running", container.pid, warning);
    return 0;
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
    if (all) {
        int result = wherry_cgroup_kill(&container.cgroup, signal, err);

        return result < 0 ? result : 0;
    }
    process = open_process(&container);
    if (process < 0) {
        wherry_error_set(err, 0, "container not running");
        err->code = ESRCH;
        return -ESRCH;
    }
    if (syscall(SYS_pidfd_send_signal, process, signal, NULL, 0) < 0)
        return wherry_error_set(err, errno, "signal %d to container %s", signal, id);
    return 0;
}

/* Kills the first process, with which its pid namespace ends, and what else is in the cgroup. */
static int kill_all(struct wherry_container *container, struct wherry_error *err)
{
    cleanup_close int process = open_process(container);
    struct wherry_error ignored;

    if (process >= 0) {
        struct pollfd poll_fd = {.fd = process, .events = POLLIN};

        syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
        /* A frozen process takes no signal. */
        wherry_cgroup_freeze(&container->cgroup, false, &ignored);
        wherry_cgroup_kill(&container->cgroup, SIGKILL, &ignored);
        if (poll(&poll_fd, 1, DEATH_MAX) <= 0)
            return wherry_error_set(err, ETIMEDOUT, "container %s: its process %d does not die", container->id,
                                    container->pid);
        return 0;
    }
    /* Without a pid namespace of its own, a container's other processes outlive the first one. */
    wherry_cgroup_kill(&container->cgroup, SIGKILL, &ignored);
    return 0;
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
    if (clear_cgroup(&container, err) < 0)
        return -1;
    if (container.pid > 0)
        run_hooks(&container, WHERRY_HOOK_POSTSTOP, "poststop", "stopped", 0, warning);
    return wherry_container_discard(&container, err);
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

int wherry_runtime_update(const char *root, const char *id, struct json_object *resources, struct wherry_error *err)
{
    cleanup_container struct wherry_container container;

    if (wherry_container_open(root, id, &container, err) < 0 || require_running(&container, true, err) < 0)
        return -1;
    return wherry_cgroup_update(&container.cgroup, resources, err);
}
