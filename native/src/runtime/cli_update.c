/* The verb update on the command line: limits from a document, or from options; see cli.h. */
#include "cli.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESOURCES_SIZE_MAX ((size_t)1 << 20)
#define FIRST_CODE 256

enum form {
    FORM_NUMBER,
    FORM_SIZE, /* bytes, or with a unit: "64m" */
    FORM_TEXT,
    FORM_REFUSED,
};

/* The options of runc's update and the fields of linux.resources that they stand for. */
static const struct limit {
    const char *option;
    const char *object;
    const char *key;
    enum form form;
} limits[] = {
    {"blkio-weight", "blockIO", "weight", FORM_NUMBER},
    {"cpu-period", "cpu", "period", FORM_NUMBER},
    {"cpu-quota", "cpu", "quota", FORM_NUMBER},
    {"cpu-burst", "cpu", "burst", FORM_NUMBER},
    {"cpu-share", "cpu", "shares", FORM_NUMBER},
    {"cpu-rt-period", "cpu", "realtimePeriod", FORM_NUMBER},
    {"cpu-rt-runtime", "cpu", "realtimeRuntime", FORM_NUMBER},
    {"cpu-idle", "cpu", "idle", FORM_NUMBER},
    {"cpuset-cpus", "cpu", "cpus", FORM_TEXT},
    {"cpuset-mems", "cpu", "mems", FORM_TEXT},
    {"kernel-memory", "memory", "kernel", FORM_SIZE},
    {"kernel-memory-tcp", "memory", "kernelTCP", FORM_SIZE},
    {"memory", "memory", "limit", FORM_SIZE},
    {"memory-reservation", "memory", "reservation", FORM_SIZE},
    {"memory-swap", "memory", "swap", FORM_SIZE},
    {"pids-limit", "pids", "limit", FORM_NUMBER},
    {"l3-cache-schema", NULL, NULL, FORM_REFUSED},
    {"mem-bw-schema", NULL, NULL, FORM_REFUSED},
};

#define LIMITS (sizeof(limits) / sizeof(limits[0]))

static bool parse_number(const char *text, int64_t *value, const char **rest)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 10);
    *rest = end;
    return errno == 0 && end != text && strchr(" \t+", text[0]) == NULL;
}

/* "67108864", "64m", "64MB", "64MiB": each unit is 1024 times the one before. */
static bool parse_size(const char *text, int64_t *value)
{
    static const char units[] = "kmgtp";
    const char *rest, *unit;
    unsigned shift = 0;

    if (!parse_number(text, value, &rest))
        return false;
    unit = *rest == '\0' ? NULL : strchr(units, *rest | 0x20);
    if (unit != NULL) {
        shift = 10 * (unsigned)(unit - units + 1);
        rest++;
        rest += *rest == 'i' && rest[1] != '\0';
    }
    if (*value < -1 || (*value == -1 && *rest != '\0') || *value > INT64_MAX >> shift)
        return false;
    *value = *value == -1 ? -1 : *value << shift;
    return strcmp(rest, "") == 0 || strcmp(rest, "b") == 0 || strcmp(rest, "B") == 0;
}

/* Puts one option's value into the document. */
static int take_limit(const struct limit *limit, const char *text, struct json_object *resources,
                      struct wherry_error *err)
{
    struct json_object *object = NULL, *value = NULL;
    const char *rest = "";
    int64_t number = 0;

    if (limit->form == FORM_REFUSED)
        return wherry_error_set(err, 0, "--%s: not supported by this runtime", limit->option);
    if (limit->form == FORM_SIZE && !parse_size(text, &number))
        return wherry_error_set(err, 0, "--%s: \"%s\": must be bytes, or a number with k, m, g or t, or -1",
                                limit->option, text);
    if (limit->form == FORM_NUMBER && (!parse_number(text, &number, &rest) || *rest != '\0'))
        return wherry_error_set(err, 0, "--%s: \"%s\": must be a number", limit->option, text);
    value = limit->form == FORM_TEXT ? json_object_new_string(text) : json_object_new_int64(number);
    if (!json_object_object_get_ex(resources, limit->object, &object)) {
        object = json_object_new_object();
        json_object_object_add(resources, limit->object, object);
    }
    if (value == NULL || object == NULL || json_object_object_add(object, limit->key, value) < 0)
        return wherry_error_set(err, ENOMEM, "--%s", limit->option);
    return 0;
}

static void fill_options(struct option options[LIMITS + 2])
{
    for (size_t i = 0; i < LIMITS; i++)
        options[i] = (struct option){limits[i].option, required_argument, NULL, FIRST_CODE + (int)i};
    options[LIMITS] = (struct option){"resources", required_argument, NULL, 'r'};
    options[LIMITS + 1] = (struct option){0};
}

/* The document that is to be applied; NULL with `err` set on failure. The caller puts the reference. */
static struct json_object *read_arguments(int argc, char **argv, struct wherry_error *err)
{
    cleanup_json struct json_object *resources = json_object_new_object();
    struct option options[LIMITS + 2];
    const char *path = NULL;
    int code;

    fill_options(options);
    while ((code = wherry_cli_next(argc, argv, ":r:", options, err)) >= 0) {
        if (code < FIRST_CODE)
            path = optarg;
        else if (take_limit(&limits[code - FIRST_CODE], optarg, resources, err) < 0)
            return NULL;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return NULL;
    if (path == NULL && json_object_object_length(resources) == 0) {
        wherry_error_set(err, 0, "update: --resources, or options like --memory, must be given");
        return NULL;
    }
    if (path != NULL && json_object_object_length(resources) > 0) {
        wherry_error_set(err, 0, "update: --resources and options like --memory exclude each other");
        return NULL;
    }
    return path != NULL ? wherry_cli_read(path, RESOURCES_SIZE_MAX, err) : wherry_steal_pointer(&resources);
}

int wherry_cli_update(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    cleanup_json struct json_object *resources = read_arguments(argc, argv, err);
    char warning[WHERRY_WARNING_MAX];

    if (resources == NULL || wherry_runtime_update(cli->root, argv[optind], resources, warning, err) < 0)
        return -1;
    if (warning[0] != '\0')
        wherry_cli_log(cli, "warning", warning);
    return 0;
}
