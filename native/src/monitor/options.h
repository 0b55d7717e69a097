/* The monitor's command line; docs/internals.md, "The monitor". */
#pragma once

#include "monitor/log.h"
#include "monitor/restart.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <stdint.h>

#define RUNTIME_ARGUMENTS_MAX 32

struct monitor_options {
    const char *id;
    const char *bundle;
    const char *runtime;
    const char *runtime_arguments[RUNTIME_ARGUMENTS_MAX]; /* before all others, in the configuration's own words */
    size_t runtime_argument_count;
    const char *runtime_root;
    const char *state_dir;
    struct log_options log;
    struct restart_policy restart;
    bool tty;
    bool wants_stdin;
    bool stdin_once;
    bool systemd_cgroup;
    const char *exec_process; /* process.json of a further process; NULL: the monitor of a container */
    const char *exec_id;
    const char *backlog_dir; /* NULL: the state directory */
    int64_t backlog_max;     /* bytes on disk for one slow client; client.h says who has more */
    int ready_fd;            /* -1: nobody waits for an answer */
};

/* Reads the command line. The strings stay the caller's; the list of the log's attributes is never freed. */
int monitor_options_parse(int argc, char **argv, struct monitor_options *options, struct wherry_error *err);
