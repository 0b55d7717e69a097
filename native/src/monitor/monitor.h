/*
 * One monitor: a container (or one further process in it), its streams, its log, its record and its clients, served by
 * one thread around epoll that sleeps until something happens.
 */
#pragma once

#include "monitor/client.h"
#include "monitor/log.h"
#include "monitor/oom.h"
#include "monitor/options.h"
#include "monitor/record.h"
#include "monitor/streams.h"
#include "wherry/error.h"

#define MONITOR_SOCKET "monitor.sock"
#define PID_FILE "pid"

struct monitor {
    struct monitor_options options;
    int state_dir;
    int backlog_dir;
    int epoll;
    struct source listener, signals, output, error, input, log_room, oom;
    struct client *clients;
    struct container_stdio stdio;
    struct monitor_log log;
    struct record record;
    struct restart_backoff backoff;
    struct oom_watch oom_watch;
    uint16_t rows, columns; /* the last size that a client asked for; 0: none yet */
    bool started;           /* the process was let go */
    bool stopping;          /* a person stops it: no restart follows */
    bool throttled;         /* the container's output waits for a slow client */
    bool finishing;         /* nothing follows but to flush and to end */
    bool lingering;         /* all is told; who attached still reads what the container wrote */
    bool done;
    uint64_t started_ms;
    uint64_t restart_at; /* deadlines in ms of clock_monotonic_ms; 0: none */
    uint64_t unclaimed_until;
    uint64_t oom_look_at;
    unsigned oom_looks;  /* how often it is still looked whether a process was killed */
    uint64_t account_at; /* losses of the log are recorded, at most once a second */
    uint64_t finish_until;
    size_t round_bytes; /* of output, since the loop slept */
    unsigned rounds;    /* that had output, since `rounds_since` */
    uint64_t rounds_since;
    bool hot; /* output comes in many small pieces: they are gathered */
    uint64_t trim_at;
    uint64_t trimmed_at;
};

/* The loop: returns when the container has ended for good, or was given up. */
int monitor_run(struct monitor *monitor, struct wherry_error *err);
int monitor_open(struct monitor *monitor, struct wherry_error *err);
void monitor_close(struct monitor *monitor);

/* loop.c, for the other files */
int monitor_wait_for(struct monitor *monitor, struct source *source, uint32_t events);

/* container.c: what happens to the container. */
int container_create(struct monitor *monitor, struct wherry_error *err);
int container_start(struct monitor *monitor, struct wherry_error *err);
void container_ended(struct monitor *monitor, int status);
void container_restart(struct monitor *monitor);
void container_cancel_restart(struct monitor *monitor);
int container_signal(struct monitor *monitor, uint32_t number, bool everyone, struct wherry_error *err);
void container_finish(struct monitor *monitor);
void container_delete(struct monitor *monitor);
void container_resize(struct monitor *monitor);

/* container.c, for the loop: memory may have run out. */
void container_oom_notice(struct monitor *monitor);
void container_oom_look(struct monitor *monitor);

/* relay.c: bytes between the container and its clients. */
void relay_output(struct monitor *monitor, struct source *source);
void relay_drain(struct monitor *monitor);
void relay_publish(struct monitor *monitor);
void relay_send_state(struct monitor *monitor, struct client *client);
void relay_watch(struct monitor *monitor);
void relay_unwatch(struct monitor *monitor); /* and closes the streams */
void relay_throttle(struct monitor *monitor);
void relay_account(struct monitor *monitor); /* what the log has lost */

/* requests.c: what clients ask for. */
void requests_serve(struct monitor *monitor, struct client *client);
void requests_resume_input(struct monitor *monitor);
