/* The monitor's record of its container: state.json on disk, and the payload of a STATE frame. */
#pragma once

#include "monitor/clock.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORD_ERROR_MAX 512
#define RECORD_TEXT_MAX (2048 + RECORD_ERROR_MAX * 6)

enum record_status { RECORD_CREATED, RECORD_RUNNING, RECORD_RESTARTING, RECORD_EXITED };

struct record {
    enum record_status status;
    pid_t pid;                       /* 0: none runs */
    char started_at[CLOCK_TEXT_MAX]; /* "": never */
    char finished_at[CLOCK_TEXT_MAX];
    int exit_code;      /* -1: not ended yet */
    int signal;         /* 0: none */
    uint64_t oom_kills; /* of this run: processes that the kernel killed for memory */
    uint32_t restart_count;
    uint64_t log_lost_entries; /* of all runs */
    uint64_t log_lost_bytes;
    uint32_t clients_cut; /* slow clients that were cut off */
    char error[RECORD_ERROR_MAX];
};

/* Field 22 of /proc/PID/stat (proc_pid_stat(5)), the start in clock ticks since boot; 0 when there is no such process.
 */
uint64_t process_start_ticks(pid_t pid);

/* The record as JSON into `text`; returns its length. */
size_t record_render(const struct record *record, const char *id, char text[RECORD_TEXT_MAX]);

/* Writes state.json in the directory, by rename. */
int record_save(int state_dir, const char *text, size_t length, struct wherry_error *err);
