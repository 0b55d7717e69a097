/* The monitor's one loop: it sleeps in epoll until a stream, a client, a child or a deadline wants something. */
#include "monitor/monitor.h"
#include "monitor/trim.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS_MAX 32
#define BACKLOG 64
#define LOOK_MS 1000 /* how often slow clients are looked at when the container is over */
#define GATHER_MS 5
#define GATHER_LEAST 512
#define GATHER_MOST (12 * 1024) /* the pipe holds 64 KiB: at that pace it is far from full */
#define HOT_WINDOW_MS 20
#define HOT_ROUNDS 40
#define TRIM_MS 200
#define TRIM_PAUSE_MS 10000
#define LINGER_MS 60000
#define UNCLAIMED_MS 10000

int monitor_wait_for(struct monitor *monitor, struct source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    int operation = source->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    if (source->events == events || source->fd < 0)
        return 0;
    source->events = events;
    return epoll_ctl(monitor->epoll, operation, source->fd, &event) < 0 ? -errno : 0;
}

/* By way of the directory's descriptor: a unix socket's path holds 107 bytes, and a state directory's is longer. */
static int open_listener(struct monitor *monitor, struct wherry_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return wherry_error_set(err, errno, "monitor socket");
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", monitor->state_dir, MONITOR_SOCKET);
    unlinkat(monitor->state_dir, MONITOR_SOCKET, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return wherry_error_set(err, errno, "monitor socket in %s", monitor->options.state_dir);
    /* Sockets get all permissions that the mask leaves, of which executing is none of theirs. */
    if (fchmodat(monitor->state_dir, MONITOR_SOCKET, 0600, 0) < 0 || listen(fd, BACKLOG) < 0)
        return wherry_error_set(err, errno, "monitor socket");
    monitor->listener = (struct source){.kind = SOURCE_LISTENER, .fd = wherry_steal_fd(&fd)};
    return 0;
}

static int open_signals(struct monitor *monitor, struct wherry_error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    /* A terminal's or a service manager's signals are for the agent; a monitor goes with its container. */
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return wherry_error_set(err, errno, "block signals");
    signal(SIGPIPE, SIG_IGN);
    monitor->signals = (struct source){.kind = SOURCE_SIGNALS, .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
    if (monitor->signals.fd < 0)
        return wherry_error_set(err, errno, "signalfd");
    return 0;
}

int monitor_open(struct monitor *monitor, struct wherry_error *err)
{
    int ret;

    monitor->output = (struct source){.kind = SOURCE_OUTPUT, .fd = -1};
    monitor->error = (struct source){.kind = SOURCE_ERROR, .fd = -1};
    monitor->input = (struct source){.kind = SOURCE_INPUT, .fd = -1};
    /* The container's first process loses its parent, the runtime, at once: it becomes ours (PR_SET_CHILD_SUBREAPER).
     */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return wherry_error_set(err, errno, "become a subreaper");
    umask(0077);
    monitor->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (monitor->epoll < 0)
        return wherry_error_set(err, errno, "epoll");
    ret = open_signals(monitor, err);
    if (ret == 0)
        ret = open_listener(monitor, err);
    if (ret == 0)
        ret = monitor_log_open(&monitor->log, &monitor->options.log, err);
    if (ret < 0)
        return ret;
    monitor->log_room = (struct source){.kind = SOURCE_LOG, .fd = monitor_log_wake_fd(&monitor->log)};
    monitor_wait_for(monitor, &monitor->log_room, EPOLLIN);
    monitor_wait_for(monitor, &monitor->signals, EPOLLIN);
    monitor_wait_for(monitor, &monitor->listener, EPOLLIN);
    return 0;
}

/* Lets go of all but the clients, so that nothing but their reading keeps this process. */
static void leave(struct monitor *monitor)
{
    monitor->done = true;
    monitor_log_close(&monitor->log);
    relay_account(monitor);
    relay_unwatch(monitor);
    unlinkat(monitor->state_dir, MONITOR_SOCKET, 0);
    unlinkat(monitor->state_dir, PID_FILE, 0);
    monitor_wait_for(monitor, &monitor->listener, 0);
    close(monitor->listener.fd);
    monitor->listener.fd = -1;
}

void monitor_close(struct monitor *monitor)
{
    if (!monitor->lingering)
        leave(monitor);
    while (monitor->clients != NULL) {
        struct client *client = monitor->clients;

        monitor->clients = client->next;
        client_free(client);
    }
}

/* Whoever may be root here, or is who we are, may command the container: nobody else. */
static bool may_connect(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_clients(struct monitor *monitor)
{
    int fd;

    while ((fd = accept4(monitor->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct client *client = may_connect(fd) ? client_new(fd) : NULL;

        if (client == NULL) {
            close(fd);
            continue;
        }
        client->out.directory = monitor->backlog_dir;
        client->out.file_max = monitor->options.exec_process == NULL ? monitor->options.backlog_max : 0;
        client->next = monitor->clients;
        monitor->clients = client;
        monitor_wait_for(monitor, &client->source, EPOLLIN);
    }
}

static void reap(struct monitor *monitor)
{
    struct signalfd_siginfo drained;
    int status;
    pid_t pid;

    while (read(monitor->signals.fd, &drained, sizeof(drained)) == sizeof(drained))
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        monitor_log_reaped(&monitor->log, pid);
        if (pid == monitor->record.pid)
            container_ended(monitor, status);
    }
}

static void handle(struct monitor *monitor, const struct epoll_event *event)
{
    struct source *source = event->data.ptr;

    switch (source->kind) {
    case SOURCE_LISTENER:
        accept_clients(monitor);
        break;
    case SOURCE_SIGNALS:
        reap(monitor);
        break;
    case SOURCE_OUTPUT:
    case SOURCE_ERROR:
        relay_output(monitor, source);
        break;
    case SOURCE_INPUT:
        container_stdio_flush(&monitor->stdio);
        break;
    case SOURCE_OOM:
        container_oom_notice(monitor);
        break;
    case SOURCE_LOG: /* relay_throttle asks whether there is room */
        break;
    case SOURCE_CLIENT: {
        struct client *client = (struct client *)source;

        if ((event->events & EPOLLOUT) != 0)
            client_flush(client);
        if ((event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
            requests_serve(monitor, client);
        break;
    }
    }
}

static void settle_input(struct monitor *monitor)
{
    struct container_stdio *stdio = &monitor->stdio;

    if (stdio->input_done) {
        monitor_wait_for(monitor, &monitor->input, 0);
        container_stdio_close_input(stdio);
    }
    if (stdio->queued < STDIN_QUEUE_MAX)
        requests_resume_input(monitor);
    monitor->input.fd = stdio->input;
    monitor_wait_for(monitor, &monitor->input, stdio->queued > 0 ? (uint32_t)EPOLLOUT : 0);
}

/* Nobody is there to start a further process: its agent was killed between making this monitor and telling it to. */
static void watch_unclaimed(struct monitor *monitor)
{
    bool unclaimed = monitor->options.exec_process != NULL && !monitor->started && !monitor->finishing;

    if (!unclaimed || monitor->clients != NULL)
        monitor->unclaimed_until = 0;
    else if (monitor->unclaimed_until == 0)
        monitor->unclaimed_until = clock_monotonic_ms() + UNCLAIMED_MS;
}

/* After a batch of events: who is gone is freed, and each source waits for what it needs now. Input comes first: it
 * decides which clients are listened to again. */
static void settle(struct monitor *monitor)
{
    settle_input(monitor);
    for (struct client **at = &monitor->clients; *at != NULL;) {
        struct client *client = *at;

        if (client->dead) {
            *at = client->next;
            client_free(client);
            continue;
        }
        monitor_wait_for(monitor, &client->source,
                         (client->blocked ? 0 : (uint32_t)EPOLLIN) |
                             (client_is_flushed(client) ? 0 : (uint32_t)EPOLLOUT));
        at = &client->next;
    }
    watch_unclaimed(monitor);
    relay_throttle(monitor);
    relay_account(monitor);
}

/* Whether those who wait for news of the container have all of it, and the log has its lines. */
static bool all_is_told(const struct monitor *monitor)
{
    for (const struct client *client = monitor->clients; client != NULL; client = client->next)
        if (client->attached == 0 && !client->is_cut && !client_is_flushed(client))
            return false;
    return monitor_log_is_idle(&monitor->log);
}

/* The container is over: those who control it see the end of the connection. Who attached, and reads slower than the
 * container wrote, still gets all of it; the next run of the container has a monitor of its own. */
static void linger(struct monitor *monitor)
{
    uint64_t now = clock_monotonic_ms();
    bool leaves = !monitor->lingering;

    if (leaves)
        leave(monitor);
    monitor->lingering = true;
    monitor->done = true;
    for (struct client *client = monitor->clients; client != NULL; client = client->next) {
        bool reads = (client->attached != 0 || client->is_cut) && now - client->progress_ms < LINGER_MS;

        if (!reads || client_is_flushed(client))
            client->dead = true;
        else
            monitor->done = false;
    }
    if (leaves)
        settle(monitor); /* the others are told at once */
}

/* The last thing before a sleep: what runs after it is in memory again. */
static void trim_when_due(struct monitor *monitor)
{
    if (monitor->trim_at == 0 || clock_monotonic_ms() < monitor->trim_at)
        return;
    monitor->trimmed_at = monitor->trim_at;
    monitor->trim_at = 0;
    trim_memory();
}

static void meet_deadlines(struct monitor *monitor)
{
    uint64_t now = clock_monotonic_ms();

    if (monitor->restart_at != 0 && now >= monitor->restart_at)
        container_restart(monitor);
    if (monitor->oom_looks > 0 && now >= monitor->oom_look_at)
        container_oom_look(monitor);
    if (monitor->unclaimed_until != 0 && now >= monitor->unclaimed_until)
        container_finish(monitor);
    if (monitor->finishing && (monitor->lingering || all_is_told(monitor) || now >= monitor->finish_until))
        linger(monitor);
}

/* A little after it was last busy, and not more often than every ten seconds: a monitor that sleeps is small. */
static void plan_trim(struct monitor *monitor)
{
    uint64_t now = clock_monotonic_ms();

    if (monitor->trim_at == 0 && monitor->started && now >= monitor->trimmed_at + TRIM_PAUSE_MS)
        monitor->trim_at = now + TRIM_MS;
}

/* Milliseconds to sleep; -1: until something happens. */
static int patience(const struct monitor *monitor)
{
    uint64_t now = clock_monotonic_ms(), until = 0;

    if (monitor->lingering)
        return LOOK_MS;
    if (monitor->finishing)
        until = monitor->finish_until;
    else if (monitor->restart_at != 0)
        until = monitor->restart_at;
    else if (monitor->unclaimed_until != 0)
        until = monitor->unclaimed_until;
    if (monitor->trim_at != 0 && (until == 0 || until > monitor->trim_at))
        until = monitor->trim_at;
    if (monitor->oom_looks > 0 && (until == 0 || until > monitor->oom_look_at))
        until = monitor->oom_look_at;
    if (monitor->record.log_lost_entries != atomic_load(&monitor->log.lost_entries) &&
        (until == 0 || until > monitor->account_at))
        until = monitor->account_at;
    if (until == 0)
        return -1;
    return until <= now ? 0 : (int)(until - now);
}

/*
 * A container that writes thousands of lines a second would wake us for each. Then, and only then, a round is followed
 * by a short sleep, in which the pipe gathers what comes; once little comes, or so much that the pipe could fill up,
 * every piece is taken at once again. So lines that come one by one keep their order across the two streams.
 */
static void gather(struct monitor *monitor)
{
    const struct timespec pause = {.tv_nsec = GATHER_MS * 1000000L};
    size_t bytes = monitor->round_bytes;
    uint64_t now;

    monitor->round_bytes = 0;
    if (bytes == 0)
        return;
    now = clock_monotonic_ms();
    if (monitor->hot) {
        monitor->hot = bytes >= GATHER_LEAST && bytes <= GATHER_MOST;
        monitor->rounds = 0;
        monitor->rounds_since = now;
    } else if (now > monitor->rounds_since + HOT_WINDOW_MS) {
        monitor->rounds = 0;
        monitor->rounds_since = now;
    } else if (++monitor->rounds > HOT_ROUNDS) {
        monitor->hot = bytes <= GATHER_MOST;
    }
    if (monitor->hot)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

int monitor_run(struct monitor *monitor, struct wherry_error *err)
{
    struct epoll_event events[EVENTS_MAX];

    for (;;) {
        int count;

        settle(monitor);
        meet_deadlines(monitor);
        if (monitor->done)
            return 0;
        trim_when_due(monitor);
        count = epoll_wait(monitor->epoll, events, EVENTS_MAX, patience(monitor));
        if (count < 0 && errno != EINTR)
            return wherry_error_set(err, errno, "epoll_wait");
        for (int i = 0; i < count; i++)
            handle(monitor, &events[i]);
        if (count > 0)
            plan_trim(monitor);
        gather(monitor);
    }
}
