/*
 * Restart policies and their back-off: 100 ms before the first restart, doubled for each further one up to a minute,
 * and 100 ms again once a run has lasted ten seconds.
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stdint.h>

enum restart_kind { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };

struct restart_policy {
    enum restart_kind kind;
    uint32_t max; /* of on-failure; 0: no bound */
};

struct restart_backoff {
    uint32_t next_ms;
};

#define RESTART_BACKOFF_INIT                                                                                           \
    {                                                                                                                  \
        .next_ms = 100                                                                                                 \
    }

/* "no", "always", "unless-stopped", "on-failure", "on-failure:3". */
int restart_policy_parse(const char *text, struct restart_policy *policy, struct wherry_error *err);

/* Whether a container that ended with `exit_code` after `count` restarts is started again. */
bool restart_policy_demands(const struct restart_policy *policy, int exit_code, uint32_t count);

/* Milliseconds to wait before the next restart, after a run of `lasted_ms`. */
uint32_t restart_backoff_next(struct restart_backoff *backoff, uint64_t lasted_ms);
