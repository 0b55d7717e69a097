/* See restart.h. */
#include "monitor/restart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_FIRST_MS 100U
#define BACKOFF_LONGEST_MS 60000U
#define HEALTHY_MS 10000U

static const char ALLOWED[] = "allowed are no, always, unless-stopped, on-failure and on-failure:COUNT";

static int parse_max(const char *text, const char *count, struct restart_policy *policy, struct wherry_error *err)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(count, &end, 10);
    if (*count < '0' || *count > '9' || *end != '\0' || errno != 0 || value > UINT32_MAX)
        return wherry_error_set(err, 0, "restart policy \"%s\": COUNT must be an integer from 0; %s", text, ALLOWED);
    policy->max = (uint32_t)value;
    return 0;
}

int restart_policy_parse(const char *text, struct restart_policy *policy, struct wherry_error *err)
{
    static const char ON_FAILURE[] = "on-failure";

    *policy = (struct restart_policy){.kind = RESTART_NO};
    if (strcmp(text, "no") == 0 || *text == '\0')
        return 0;
    if (strcmp(text, "always") == 0) {
        policy->kind = RESTART_ALWAYS;
        return 0;
    }
    if (strcmp(text, "unless-stopped") == 0) {
        policy->kind = RESTART_UNLESS_STOPPED;
        return 0;
    }
    if (strncmp(text, ON_FAILURE, sizeof(ON_FAILURE) - 1) != 0)
        return wherry_error_set(err, 0, "restart policy \"%s\": unknown; %s", text, ALLOWED);
    policy->kind = RESTART_ON_FAILURE;
    text += sizeof(ON_FAILURE) - 1;
    if (*text == '\0')
        return 0;
    if (*text != ':')
        return wherry_error_set(err, 0, "restart policy \"on-failure%s\": unknown; %s", text, ALLOWED);
    return parse_max(text, text + 1, policy, err);
}

bool restart_policy_demands(const struct restart_policy *policy, int exit_code, uint32_t count)
{
    switch (policy->kind) {
    case RESTART_ALWAYS:
    case RESTART_UNLESS_STOPPED:
        return true;
    case RESTART_ON_FAILURE:
        return exit_code != 0 && (policy->max == 0 || count < policy->max);
    case RESTART_NO:
        break;
    }
    return false;
}

uint32_t restart_backoff_next(struct restart_backoff *backoff, uint64_t lasted_ms)
{
    uint32_t wait;

    if (lasted_ms >= HEALTHY_MS)
        backoff->next_ms = BACKOFF_FIRST_MS;
    wait = backoff->next_ms;
    backoff->next_ms = wait * 2 > BACKOFF_LONGEST_MS ? BACKOFF_LONGEST_MS : wait * 2;
    return wait;
}
