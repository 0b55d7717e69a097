/*
 * wherry-monitor: stays with one container from its creation to its end; docs/internals.md, "The monitor".
 *
 * It leaves its caller (double fork, session of its own, no shared descriptors), has the runtime create the container,
 * says so on --ready-fd, and serves clients until the container has ended for good.
 */
#include "monitor/log_compress.h"
#include "monitor/log_json.h"
#include "monitor/monitor.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 1 in the process that goes on, 0 in those that are done. */
static int detach(void)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid < 0 ? -1 : 0;
    if (setsid() < 0 || (pid = fork()) < 0)
        _exit(EXIT_FAILURE);
    if (pid > 0)
        _exit(EXIT_SUCCESS);
    return 1;
}

/* Nothing of the caller's stays open but the descriptor that it waits on, which goes to no child. */
static int leave_descriptors(int ready_fd, struct wherry_error *err)
{
    int null = open("/dev/null", O_RDWR);

    if (null < 0)
        return wherry_error_set(err, errno, "/dev/null");
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    if (ready_fd < 0)
        return close_range(3, ~0U, 0);
    if (ready_fd > 3)
        close_range(3, (unsigned)ready_fd - 1, 0);
    close_range((unsigned)ready_fd + 1, ~0U, 0);
    return fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
}

static void answer(struct monitor *monitor, int result, const struct wherry_error *error)
{
    char escaped[WHERRY_ERROR_MAX * 6 + 1], text[WHERRY_ERROR_MAX * 6 + 64];
    int fd = monitor->options.ready_fd;

    if (fd < 0)
        return;
    if (result < 0) {
        escaped[log_json_escape(escaped, error->message, strlen(error->message))] = '\0';
        snprintf(text, sizeof(text), "{\"ok\":false,\"error\":\"%s\"}\n", escaped);
    } else {
        snprintf(text, sizeof(text), "{\"ok\":true,\"monitor_pid\":%d,\"pid\":%d}\n", (int)getpid(),
                 (int)monitor->record.pid);
    }
    wherry_write_all(fd, text, strlen(text));
    close(fd);
    monitor->options.ready_fd = -1;
}

static int prepare(struct monitor *monitor, struct wherry_error *err)
{
    int ret = leave_descriptors(monitor->options.ready_fd, err);

    if (ret < 0)
        return ret;
    monitor->state_dir = open(monitor->options.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (monitor->state_dir < 0)
        return wherry_error_set(err, errno, "state directory %s", monitor->options.state_dir);
    monitor->backlog_dir = monitor->options.backlog_dir == NULL
                               ? monitor->state_dir
                               : open(monitor->options.backlog_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (monitor->backlog_dir < 0)
        return wherry_error_set(err, errno, "backlog directory %s", monitor->options.backlog_dir);
    if (chdir("/") < 0)
        return wherry_error_set(err, errno, "/");
    ret = monitor_open(monitor, err);
    if (ret == 0)
        ret = container_create(monitor, err);
    if (ret == 0)
        relay_publish(monitor);
    return ret;
}

static int serve(int argc, char **argv)
{
    /* On the heap: the log's line buffers alone would be half of a small stack. */
    struct monitor *monitor = calloc(1, sizeof(*monitor));
    struct wherry_error error = WHERRY_ERROR_INIT;
    int ret;

    if (monitor == NULL || monitor_options_parse(argc, argv, &monitor->options, &error) < 0) {
        fprintf(stderr, "wherry-monitor: %s\n", monitor == NULL ? strerror(ENOMEM) : error.message);
        return 2;
    }
    monitor->stdio = (struct container_stdio)CONTAINER_STDIO_INIT;
    monitor->backoff = (struct restart_backoff)RESTART_BACKOFF_INIT;
    monitor->oom_watch = (struct oom_watch)OOM_WATCH_INIT;
    monitor->oom.fd = -1;
    monitor->record.exit_code = -1;
    ret = detach();
    if (ret <= 0)
        return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    /* What waits there waits for the agent, not for its containers, as the runtime would take it. */
    unsetenv("NOTIFY_SOCKET");
    ret = prepare(monitor, &error);
    answer(monitor, ret, &error);
    if (ret == 0)
        ret = monitor_run(monitor, &error);
    monitor_close(monitor);
    free(monitor);
    return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct wherry_error error = WHERRY_ERROR_INIT;

    if (argc == 3 && strcmp(argv[1], LOG_COMPRESS_OPTION) == 0)
        return log_compress_run(argv[2], &error) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    return serve(argc, argv);
}
