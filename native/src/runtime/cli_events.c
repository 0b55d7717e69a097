/* The verb events on the command line: what a container uses, and that it ran out of memory; see cli.h. */
#include "cli.h"
#include "duration.h"
#include "oom_watch.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"
#include "wherry/statistics.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define INTERVAL_DEFAULT 5000000000LL
#define MILLISECOND 1000000LL

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* One line {"type": …, "id": …, "data": …}; takes the reference of `data`, which may be NULL. */
static int print_event(const char *type, const struct wherry_container *container, struct json_object *data,
                       struct wherry_error *err)
{
    cleanup_json struct json_object *event = json_object_new_object();

    if (event == NULL)
        return wherry_error_set(err, ENOMEM, "event");
    json_object_object_add(event, "type", json_object_new_string(type));
    json_object_object_add(event, "id", json_object_new_string(container->id));
    if (data != NULL)
        json_object_object_add(event, "data", data);
    if (printf("%s\n", json_object_to_json_string_ext(event, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) <
            0 ||
        fflush(stdout) != 0)
        return wherry_error_set(err, errno, "write to standard output");
    return 0;
}

static int print_statistics(struct wherry_container *container, struct wherry_error *err)
{
    struct json_object *statistics = NULL;
    bool own_network = (container->namespaces & CLONE_NEWNET) != 0;
    int result = wherry_statistics_read(&container->cgroup, own_network ? container->pid : 0, &statistics, err);

    return result < 0 ? result : print_event("stats", container, statistics, err);
}

static int print_kills(struct oom_watch *watch, struct wherry_container *container, struct wherry_error *err)
{
    int result = 0;

    for (uint64_t count = oom_watch_count(watch); count > 0 && result >= 0; count--)
        result = print_event("oom", container, NULL, err);
    return result;
}

/* What is left until `moment`, in milliseconds for poll(2), rounded up. */
static int timeout_until(int64_t moment)
{
    int64_t left = (moment - now() + MILLISECOND - 1) / MILLISECOND;

    return left <= 0 ? 0 : left < INT_MAX ? (int)left : INT_MAX;
}

/* Until the container's process has ended. */
static int follow(struct wherry_container *container, int process, struct oom_watch *watch, int64_t interval,
                  struct wherry_error *err)
{
    struct pollfd fds[] = {{.fd = process, .events = POLLIN}, {.fd = watch->fd, .events = POLLIN}};
    int64_t next = now() + interval;

    for (;;) {
        int ready = poll(fds, 2, timeout_until(next));
        int result = 0;

        if (ready < 0 && errno != EINTR)
            return wherry_error_set(err, errno, "wait for events");
        /* Looked at first: what ended the container may be what is to be told. */
        result = print_kills(watch, container, err);
        if (result < 0 || (ready > 0 && fds[0].revents != 0))
            return result;
        if (now() < next)
            continue;
        result = print_statistics(container, err);
        if (result < 0)
            return result;
        next += interval;
    }
}

/* Opens the container, which has to be alive, and a descriptor of its process. */
static int open_alive(const struct wherry_cli *cli, const char *id, struct wherry_container *container, int *process,
                      struct wherry_error *err)
{
    enum wherry_status status;

    if (wherry_container_open(cli->root, id, container, err) < 0)
        return -1;
    *process = (int)syscall(SYS_pidfd_open, container->pid, 0);
    status = wherry_container_status(container);
    if (*process >= 0 && status != WHERRY_STATUS_STOPPED && status != WHERRY_STATUS_CREATING)
        return 0;
    wherry_cleanup_close(process);
    *process = -1;
    wherry_container_close(container);
    return wherry_error_set(err, 0, "container with id %s is not running", id);
}

int wherry_cli_events(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {
        {"stats", no_argument, NULL, 's'}, {"interval", required_argument, NULL, 'i'}, {0}};
    struct oom_watch watch = OOM_WATCH_INIT;
    cleanup_close int process = -1;
    struct wherry_container container;
    int64_t interval = INTERVAL_DEFAULT;
    bool once = false;
    int code, result;

    while ((code = wherry_cli_next(argc, argv, ":", options, err)) >= 0) {
        if (code == 's')
            once = true;
        else if (wherry_duration_parse(optarg, "--interval", &interval, err) < 0)
            return -1;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return -1;
    if (interval <= 0)
        return wherry_error_set(err, 0, "--interval: must be greater than 0");
    if (open_alive(cli, argv[optind], &container, &process, err) < 0)
        return -1;
    if (once)
        result = print_statistics(&container, err);
    else if ((result = oom_watch_open(&container.cgroup, &watch, err)) >= 0)
        result = follow(&container, process, &watch, interval, err);
    oom_watch_close(&watch);
    wherry_container_close(&container);
    return result;
}
