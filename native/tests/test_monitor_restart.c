/* Restart policies, their back-off, and the command line that carries them. */
#include "check.h"
#include "monitor/options.h"
#include "monitor/restart.h"

#include <getopt.h>

static void policies_are_read(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct restart_policy policy;

    CHECK_OK(restart_policy_parse("no", &policy, &err), err);
    CHECK(policy.kind == RESTART_NO);
    CHECK_OK(restart_policy_parse("on-failure:3", &policy, &err), err);
    CHECK(policy.kind == RESTART_ON_FAILURE && policy.max == 3);
    CHECK_OK(restart_policy_parse("unless-stopped", &policy, &err), err);
    CHECK(policy.kind == RESTART_UNLESS_STOPPED);
    CHECK_FAILS(restart_policy_parse("often", &policy, &err), err, "\"often\": unknown; allowed are");
    CHECK_FAILS(restart_policy_parse("on-failure:-1", &policy, &err), err, "COUNT must be an integer");
    CHECK_FAILS(restart_policy_parse("on-failure:4294967296", &policy, &err), err, "COUNT must be an integer");
    CHECK_FAILS(restart_policy_parse("on-failures", &policy, &err), err, "unknown");
}

static void policies_decide(void)
{
    struct restart_policy bounded = {.kind = RESTART_ON_FAILURE, .max = 2}, always = {.kind = RESTART_ALWAYS};

    CHECK(restart_policy_demands(&bounded, 1, 1) && !restart_policy_demands(&bounded, 1, 2));
    CHECK(!restart_policy_demands(&bounded, 0, 0));
    CHECK(restart_policy_demands(&always, 0, 1000000));
}

static void the_wait_doubles_to_a_minute_and_begins_anew_after_health(void)
{
    struct restart_backoff backoff = RESTART_BACKOFF_INIT;
    uint32_t last = 0;

    CHECK(restart_backoff_next(&backoff, 0) == 100 && restart_backoff_next(&backoff, 0) == 200);
    for (int i = 0; i < 20; i++)
        last = restart_backoff_next(&backoff, 9999);
    CHECK(last == 60000);
    CHECK(restart_backoff_next(&backoff, 10000) == 100);
}

static int parse(const char *extra, const char *value, struct monitor_options *options, struct wherry_error *err)
{
    char *argv[] = {(char *)"monitor", (char *)"--id",
                    (char *)"x",       (char *)"--bundle",
                    (char *)"/b",      (char *)"--runtime",
                    (char *)"/r",      (char *)"--runtime-root",
                    (char *)"/rr",     (char *)"--state-dir",
                    (char *)"/s",      (char *)extra,
                    (char *)value,     NULL};

    optind = 1;
    return monitor_options_parse(extra == NULL ? 11 : value == NULL ? 12 : 13, argv, options, err);
}

static void the_command_line_is_held_to_what_it_may_say(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct monitor_options options;

    CHECK_OK(parse(NULL, NULL, &options, &err), err);
    CHECK(options.ready_fd == -1 && options.log.path == NULL && options.restart.kind == RESTART_NO);
    CHECK_FAILS(parse("--log-driver", "gelf", &options, &err), err, "--log-driver: \"gelf\": unknown");
    CHECK_FAILS(parse("--log-path", "/x", &options, &err), err, "goes with --log-driver json-file");
    CHECK_FAILS(parse("--log-max-size", "0", &options, &err), err, "must be an integer from 1");
    CHECK_FAILS(parse("--ready-fd", "three", &options, &err), err, "--ready-fd: \"three\"");
    CHECK_FAILS(parse("--exec", "/p", &options, &err), err, "--exec and --exec-id go together");
    CHECK_FAILS(parse("--surprise", NULL, &options, &err), err, "unknown option");
    CHECK_FAILS(parse("stray", NULL, &options, &err), err, "\"stray\": unexpected argument");
}

int main(void)
{
    RUN(policies_are_read);
    RUN(policies_decide);
    RUN(the_wait_doubles_to_a_minute_and_begins_anew_after_health);
    RUN(the_command_line_is_held_to_what_it_may_say);
    return check_result();
}
