/* Capability sets and resource limits, as the kernel reports them afterwards. */
#include "check.h"

#include "wherry/capabilities.h"
#include "wherry/json.h"
#include "wherry/rlimits.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>

static struct json_object *parse(const char *json)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct json_object *object = wherry_json_parse(json, strlen(json), "test", &err);

    CHECK(object != NULL);
    return object;
}

static int parse_capabilities(const char *json, struct wherry_capabilities *out, struct wherry_error *err)
{
    cleanup_json struct json_object *object = parse(json);

    return wherry_capabilities_parse(object, false, out, err);
}

/* "CapBnd" and the like of this process. */
static uint64_t status_of(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    uint64_t value = UINT64_MAX;

    CHECK(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name) + 1, NULL, 16);
    }
    fclose(file);
    return value;
}

#define BIT(number) (UINT64_C(1) << (number))

static void a_changed_user_has_exactly_what_was_asked_for(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_capabilities sets;

    if (geteuid() != 0)
        SKIP("needs root");
    CHECK_OK(parse_capabilities("{\"bounding\":[\"CAP_CHOWN\",\"CAP_KILL\",\"CAP_NET_RAW\"],"
                                "\"permitted\":[\"CAP_CHOWN\",\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"],"
                                "\"inheritable\":[\"CAP_KILL\"],\"ambient\":[\"CAP_KILL\"]}",
                                &sets, &err),
             err);
    CHECK(sets.lacking == 0);
    CHECK(wherry_capabilities_limit_bounding(&sets) == 0);
    CHECK(wherry_capabilities_keep() == 0);
    CHECK(setresuid(4321, 4321, 4321) == 0);
    CHECK(wherry_capabilities_apply(&sets) == 0);
    CHECK(status_of("CapBnd:") == (BIT(CAP_CHOWN) | BIT(CAP_KILL) | BIT(CAP_NET_RAW)));
    CHECK(status_of("CapPrm:") == (BIT(CAP_CHOWN) | BIT(CAP_KILL)));
    CHECK(status_of("CapEff:") == BIT(CAP_KILL));
    CHECK(status_of("CapInh:") == BIT(CAP_KILL));
    CHECK(status_of("CapAmb:") == BIT(CAP_KILL));
}

static void no_sets_leave_nothing_to_regain(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_capabilities sets;

    if (geteuid() != 0)
        SKIP("needs root");
    CHECK_OK(wherry_capabilities_parse(NULL, false, &sets, &err), err);
    CHECK(wherry_capabilities_limit_bounding(&sets) == 0);
    CHECK(wherry_capabilities_apply(&sets) == 0);
    CHECK(status_of("CapBnd:") == 0 && status_of("CapPrm:") == 0 && status_of("CapInh:") == 0);
}

static void what_the_caller_lacks_is_dropped_and_listed(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_capabilities sets;
    char text[64];

    if (geteuid() != 0)
        SKIP("needs root");
    CHECK(prctl(PR_CAPBSET_DROP, CAP_SYSLOG, 0, 0, 0) == 0);
    CHECK_OK(
        parse_capabilities("{\"bounding\":[\"CAP_SYSLOG\",\"CAP_KILL\"],\"permitted\":[\"CAP_SYSLOG\"]}", &sets, &err),
        err);
    CHECK(sets.bounding == BIT(CAP_KILL) && sets.permitted == 0);
    wherry_capabilities_describe(sets.lacking, text, sizeof(text));
    CHECK_TEXT(text, "CAP_SYSLOG");
    wherry_capabilities_describe(UINT64_MAX, text, 12);
    CHECK_TEXT(text, "CAP_CHOWN, ");
}

static void unknown_names_and_impossible_sets_are_left_out(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_capabilities sets;

    CHECK_OK(parse_capabilities("{\"bounding\":[\"CAP_KILL\",\"CAP_FLY\",\"KILL\"],\"permitted\":[\"CAP_FLY\"]}", &sets,
                                &err),
             err);
    CHECK(sets.bounding == BIT(CAP_KILL) && sets.permitted == 0);
    CHECK_TEXT(sets.unknown, "CAP_FLY, KILL");
    CHECK_FAILS(parse_capabilities("{\"bounding\":[7]}", &sets, &err), err, "process.capabilities.bounding[0]");
    CHECK_OK(parse_capabilities("{\"effective\":[\"CAP_KILL\"]}", &sets, &err), err);
    CHECK(sets.effective == 0 && sets.lacking == BIT(CAP_KILL));
    CHECK_OK(parse_capabilities("{\"permitted\":[\"CAP_KILL\"],\"ambient\":[\"CAP_KILL\"]}", &sets, &err), err);
    CHECK(sets.permitted == BIT(CAP_KILL) && sets.ambient == 0 && sets.lacking == BIT(CAP_KILL));
    CHECK_FAILS(parse_capabilities("{\"bounding\":7}", &sets, &err), err, "process.capabilities.bounding");
}

static int parse_rlimits(const char *json, struct wherry_rlimits *out, struct wherry_error *err)
{
    cleanup_json struct json_object *object = parse(json);

    return wherry_rlimits_parse(json_object_object_get(object, "rlimits"), out, err);
}

static void limits_reach_a_process_and_its_error_names_them(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_rlimits limits;
    struct rlimit now;
    size_t failed = 99;

    CHECK_OK(parse_rlimits("{\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":100,\"hard\":200},"
                           "{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":0}]}",
                           &limits, &err),
             err);
    CHECK_OK(wherry_rlimits_apply(getpid(), &limits, &err), err);
    CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 100 && now.rlim_max == 200);
    CHECK(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_max == 0);
    CHECK(setresuid(4321, 4321, 4321) == 0 || geteuid() != 0);
    CHECK_OK(parse_rlimits("{\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":100,\"hard\":18446744073709551615}]}",
                           &limits, &err),
             err);
    CHECK(limits.at[0].value.rlim_max == RLIM_INFINITY);
    CHECK_FAILS(wherry_rlimits_apply(0, &limits, &err), err, "set RLIMIT_NOFILE to 100 soft");
    CHECK(wherry_rlimits_apply_self(&limits, &failed) == -EPERM && failed == 0);
}

static void wrong_limits_are_refused_with_their_place(void)
{
    static const struct {
        const char *json;
        const char *part;
    } bad[] = {
        {"{\"rlimits\":[{\"type\":\"RLIMIT_LUCK\",\"soft\":1,\"hard\":1}]}", "rlimits[0].type: \"RLIMIT_LUCK\""},
        {"{\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]}", "rlimits[0].soft: 2"},
        {"{\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":-1,\"hard\":1}]}", "rlimits[0].soft: -1"},
        {"{\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1}]}", "rlimits[0].hard: must be an integer"},
        {"{\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},{\"type\":\"RLIMIT_CPU\",\"soft\":1,"
         "\"hard\":1}]}",
         "rlimits[1].type: \"RLIMIT_CPU\": named twice"},
        {"{\"rlimits\":[null]}", "rlimits[0].type"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct wherry_error err = WHERRY_ERROR_INIT;
        struct wherry_rlimits limits;

        CHECK_FAILS(parse_rlimits(bad[i].json, &limits, &err), err, bad[i].part);
    }
}

int main(void)
{
    RUN(a_changed_user_has_exactly_what_was_asked_for);
    RUN(no_sets_leave_nothing_to_regain);
    RUN(what_the_caller_lacks_is_dropped_and_listed);
    RUN(unknown_names_and_impossible_sets_are_left_out);
    RUN(limits_reach_a_process_and_its_error_names_them);
    RUN(wrong_limits_are_refused_with_their_place);
    return check_result();
}
