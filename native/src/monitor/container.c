/* What happens to the container: created, started, ended, restarted, deleted, each by the OCI runtime. */
#include "monitor/command.h"
#include "monitor/monitor.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FINISH_MS 2000
#define ARGUMENTS_MAX 12
#define STATE_PATH_MAX 64
#define OOM_LOOKS 4
#define OOM_LOOK_MS 50
#define EXIT_NOT_STARTED 128

static const int NO_STDIO[3] = {-1, -1, -1};

static int read_pid(struct monitor *monitor, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    size_t length;
    int ret = wherry_file_read(monitor->state_dir, PID_FILE, 64, &text, &length, err);
    long pid;

    if (ret < 0)
        return ret;
    pid = strtol(text, NULL, 10);
    if (pid <= 1)
        return wherry_error_set(err, EBADMSG, "the runtime's pid file says \"%s\"", text);
    monitor->record.pid = (pid_t)pid;
    return 0;
}

static void watch_memory(struct monitor *monitor)
{
    uint32_t events;

    oom_open(&monitor->oom_watch, monitor->record.pid);
    monitor->oom = (struct source){.kind = SOURCE_OOM, .fd = oom_wait_fd(&monitor->oom_watch, &events)};
    monitor_wait_for(monitor, &monitor->oom, events);
}

/* Before the group is removed, which would wake us too; the count is the last word. */
static void unwatch_memory(struct monitor *monitor)
{
    monitor->oom_looks = 0;
    monitor_wait_for(monitor, &monitor->oom, 0);
    monitor->oom.fd = -1;
    if (oom_read(&monitor->oom_watch) > monitor->record.oom_kills)
        monitor->record.oom_kills = monitor->oom_watch.count;
    oom_close(&monitor->oom_watch);
}

/* The kernel tells before it kills (v1), or of much that is no kill (v2): it is looked a few times whether there was
 * one, and meanwhile not listened to, so that a container that lives at its bound wakes nobody a thousand times. */
void container_oom_notice(struct monitor *monitor)
{
    monitor_wait_for(monitor, &monitor->oom, 0);
    monitor->oom_looks = OOM_LOOKS;
    container_oom_look(monitor);
}

void container_oom_look(struct monitor *monitor)
{
    uint64_t kills = oom_read(&monitor->oom_watch);
    uint32_t events;

    monitor->oom_look_at = clock_monotonic_ms() + OOM_LOOK_MS;
    if (--monitor->oom_looks == 0) {
        oom_wait_fd(&monitor->oom_watch, &events);
        monitor_wait_for(monitor, &monitor->oom, events);
    }
    if (kills <= monitor->record.oom_kills)
        return;
    monitor->record.oom_kills = kills;
    relay_publish(monitor);
}

/* Runs the verb that makes the process, with the container's streams, and takes up what comes of it. The runtime may
 * change its directory, and a socket's path is short: its files are named by way of our descriptor of the state
 * directory. */
static int make_process(struct monitor *monitor, const char *verb, const char *option, const char *value,
                        struct wherry_error *err)
{
    const struct monitor_options *options = &monitor->options;
    char pid_file[STATE_PATH_MAX], console[STATE_PATH_MAX];
    const char *arguments[ARGUMENTS_MAX] = {verb, option, value, "--pid-file", pid_file};
    size_t count = 5;
    int ret;

    snprintf(pid_file, sizeof(pid_file), "/proc/%d/fd/%d/%s", (int)getpid(), monitor->state_dir, PID_FILE);
    snprintf(console, sizeof(console), "/proc/%d/fd/%d/%s", (int)getpid(), monitor->state_dir, CONSOLE_SOCKET);
    if (options->exec_process != NULL)
        arguments[count++] = "--detach";
    if (options->tty) {
        arguments[count++] = "--console-socket";
        arguments[count++] = console;
    }
    arguments[count] = options->id;
    ret = command_run(options, monitor->state_dir, monitor->stdio.child, arguments, err);
    if (ret == 0)
        ret = container_stdio_started(&monitor->stdio, monitor->state_dir, options->tty, err);
    if (ret == 0)
        ret = read_pid(monitor, err);
    if (ret < 0)
        return ret;
    if (options->exec_process == NULL)
        watch_memory(monitor);
    container_resize(monitor);
    relay_watch(monitor);
    return 0;
}

static int open_stdio(struct monitor *monitor, struct wherry_error *err)
{
    return container_stdio_open(&monitor->stdio, monitor->state_dir, monitor->options.tty, monitor->options.wants_stdin,
                                err);
}

int container_create(struct monitor *monitor, struct wherry_error *err)
{
    int ret = open_stdio(monitor, err);

    /* A further process is made when it is started: there is no state between. Its streams take input already. */
    if (ret < 0 || monitor->options.exec_process != NULL)
        return ret;
    ret = make_process(monitor, "create", "--bundle", monitor->options.bundle, err);
    if (ret < 0)
        container_delete(monitor);
    return ret;
}

int container_start(struct monitor *monitor, struct wherry_error *err)
{
    const char *arguments[] = {"start", monitor->options.id, NULL};
    int ret;

    if (monitor->started || monitor->finishing)
        return wherry_error_set(err, 0, "container %s was started before", monitor->options.id);
    /* The time before the act: the process's first output is never older than its start. */
    clock_now_text(monitor->record.started_at);
    ret = monitor->options.exec_process != NULL
              ? make_process(monitor, "exec", "--process", monitor->options.exec_process, err)
              : command_run(&monitor->options, monitor->state_dir, NO_STDIO, arguments, err);
    if (ret < 0)
        return ret;
    monitor->started = true;
    monitor->started_ms = clock_monotonic_ms();
    monitor->record.status = RECORD_RUNNING;
    monitor->record.exit_code = -1;
    monitor->record.signal = 0;
    monitor->record.oom_kills = 0;
    *monitor->record.error = '\0';
    relay_publish(monitor);
    return 0;
}

static void schedule_restart(struct monitor *monitor)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t lasted = monitor->started ? now - monitor->started_ms : 0;

    monitor->record.status = RECORD_RESTARTING;
    monitor->record.restart_count++;
    monitor->restart_at = now + restart_backoff_next(&monitor->backoff, lasted);
    relay_publish(monitor);
    container_delete(monitor);
    relay_unwatch(monitor);
}

static void ended_for_good(struct monitor *monitor)
{
    monitor->record.status = RECORD_EXITED;
    relay_publish(monitor);
    container_finish(monitor);
}

static void decide_what_follows(struct monitor *monitor)
{
    const struct restart_policy *policy = &monitor->options.restart;

    if (!monitor->stopping && restart_policy_demands(policy, monitor->record.exit_code, monitor->record.restart_count))
        schedule_restart(monitor);
    else
        ended_for_good(monitor);
}

void container_ended(struct monitor *monitor, int status)
{
    struct record *record = &monitor->record;

    record->pid = 0;
    record->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    record->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    unwatch_memory(monitor);
    clock_now_text(record->finished_at);
    relay_drain(monitor);
    if (!monitor->started) { /* it died while it waited to be started */
        ended_for_good(monitor);
        return;
    }
    decide_what_follows(monitor);
}

void container_restart(struct monitor *monitor)
{
    struct wherry_error error = WHERRY_ERROR_INIT;

    monitor->restart_at = 0;
    monitor->started = false;
    if (container_create(monitor, &error) == 0 && container_start(monitor, &error) == 0)
        return;
    snprintf(monitor->record.error, sizeof(monitor->record.error), "%.*s", RECORD_ERROR_MAX - 1, error.message);
    monitor->record.pid = 0;
    monitor->record.exit_code = EXIT_NOT_STARTED;
    clock_now_text(monitor->record.finished_at);
    decide_what_follows(monitor);
}

void container_cancel_restart(struct monitor *monitor)
{
    if (monitor->restart_at == 0)
        return;
    monitor->restart_at = 0;
    ended_for_good(monitor);
}

int container_signal(struct monitor *monitor, uint32_t number, bool everyone, struct wherry_error *err)
{
    char signal_text[16];
    const char *arguments[] = {"kill", everyone ? "--all" : monitor->options.id,
                               everyone ? monitor->options.id : signal_text, everyone ? signal_text : NULL, NULL};

    if (number == 0 || number > (uint32_t)SIGRTMAX)
        return wherry_error_set(err, EINVAL, "signal %u", number);
    if (monitor->record.pid <= 0)
        return wherry_error_set(err, 0, "container %s is not running", monitor->options.id);
    snprintf(signal_text, sizeof(signal_text), "%u", number);
    if (monitor->options.exec_process != NULL) {
        if (kill(monitor->record.pid, (int)number) < 0)
            return wherry_error_set(err, errno, "signal process %d", (int)monitor->record.pid);
        return 0;
    }
    return command_run(&monitor->options, monitor->state_dir, NO_STDIO, arguments, err);
}

void container_finish(struct monitor *monitor)
{
    monitor->finishing = true;
    monitor->finish_until = clock_monotonic_ms() + FINISH_MS;
    container_delete(monitor);
}

void container_delete(struct monitor *monitor)
{
    const char *arguments[] = {"delete", "--force", monitor->options.id, NULL};
    struct wherry_error error = WHERRY_ERROR_INIT;

    if (monitor->options.exec_process != NULL)
        return;
    /* What the runtime could not remove, the agent's sweep finds by the instance's name. */
    if (command_run(&monitor->options, monitor->state_dir, NO_STDIO, arguments, &error) < 0 &&
        *monitor->record.error == '\0')
        snprintf(monitor->record.error, sizeof(monitor->record.error), "%.*s", RECORD_ERROR_MAX - 1, error.message);
}

void container_resize(struct monitor *monitor)
{
    struct winsize size = {.ws_row = monitor->rows, .ws_col = monitor->columns};

    if (monitor->options.tty && monitor->stdio.output >= 0 && monitor->rows > 0 && monitor->columns > 0)
        ioctl(monitor->stdio.output, TIOCSWINSZ, &size); /* fails only on what is no terminal */
}
