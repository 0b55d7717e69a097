/* Resource limits; see wherry/rlimits.h. */
#include "wherry/rlimits.h"

#include "wherry/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int resource;
} types[] = {
    {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},       {"RLIMIT_FSIZE", RLIMIT_FSIZE},       {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},   {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

#define TYPES (sizeof(types) / sizeof(types[0]))

static const char *name_of(int resource)
{
    for (size_t i = 0; i < TYPES; i++) {
        if (types[i].resource == resource)
            return types[i].name;
    }
    return "?";
}

/* An unsigned 64-bit number: its largest value is RLIM_INFINITY. */
static int read_limit(struct json_object *item, const char *where, const char *key, rlim_t *limit,
                      struct wherry_error *err)
{
    struct json_object *value = NULL;

    if (!json_object_is_type(item, json_type_object) || !json_object_object_get_ex(item, key, &value) ||
        !json_object_is_type(value, json_type_int))
        return wherry_error_set(err, EINVAL, "%s.%s: must be an integer", where, key);
    if (json_object_get_int64(value) < 0)
        return wherry_error_set(err, ERANGE, "%s.%s: %s: must be from 0 to 18446744073709551615 (no limit)", where, key,
                                json_object_get_string(value));
    *limit = json_object_get_uint64(value);
    return 0;
}

static int parse_one(struct json_object *item, size_t index, struct wherry_rlimits *out, struct wherry_error *err)
{
    char where[WHERRY_JSON_WHERE_MAX];
    struct rlimit value = {0};
    const char *type = NULL;
    size_t known = 0;

    snprintf(where, sizeof(where), "process.rlimits[%zu]", index);
    if (wherry_json_string(item, where, "type", &type, err) < 0)
        return -EINVAL;
    while (known < TYPES && (type == NULL || strcmp(types[known].name, type) != 0))
        known++;
    if (known == TYPES)
        return wherry_error_set(err, EINVAL, "%s.type: \"%s\": no such limit", where, type != NULL ? type : "");
    if (read_limit(item, where, "soft", &value.rlim_cur, err) < 0 ||
        read_limit(item, where, "hard", &value.rlim_max, err) < 0)
        return -EINVAL;
    if (value.rlim_cur > value.rlim_max)
        return wherry_error_set(err, EINVAL, "%s.soft: %" PRIu64 ": must not be above hard, %" PRIu64, where,
                                (uint64_t)value.rlim_cur, (uint64_t)value.rlim_max);
    for (size_t i = 0; i < out->count; i++) {
        if (out->at[i].resource == types[known].resource)
            return wherry_error_set(err, EINVAL, "%s.type: \"%s\": named twice", where, type);
    }
    /* No overflow: each type is there at most once, and there are no more types than places. */
    _Static_assert(TYPES <= WHERRY_RLIMITS_MAX, "a place for every type");
    out->at[out->count].resource = types[known].resource;
    out->at[out->count].value = value;
    out->count++;
    return 0;
}

int wherry_rlimits_parse(struct json_object *rlimits, struct wherry_rlimits *out, struct wherry_error *err)
{
    int result = 0;

    *out = (struct wherry_rlimits)WHERRY_RLIMITS_INIT;
    if (rlimits == NULL)
        return 0;
    if (!json_object_is_type(rlimits, json_type_array))
        return wherry_error_set(err, EINVAL, "process.rlimits: must be an array");
    for (size_t i = 0; i < json_object_array_length(rlimits) && result >= 0; i++)
        result = parse_one(json_object_array_get_idx(rlimits, i), i, out, err);
    return result;
}

int wherry_rlimits_apply(pid_t pid, const struct wherry_rlimits *rlimits, struct wherry_error *err)
{
    for (size_t i = 0; i < rlimits->count; i++) {
        const struct rlimit *value = &rlimits->at[i].value;

        if (prlimit(pid, rlimits->at[i].resource, value, NULL) < 0)
            return wherry_error_set(err, errno, "process.rlimits: set %s to %" PRIu64 " soft, %" PRIu64 " hard",
                                    name_of(rlimits->at[i].resource), (uint64_t)value->rlim_cur,
                                    (uint64_t)value->rlim_max);
    }
    return 0;
}

int wherry_rlimits_apply_self(const struct wherry_rlimits *rlimits, size_t *failed)
{
    for (size_t i = 0; i < rlimits->count; i++) {
        if (prlimit(0, rlimits->at[i].resource, &rlimits->at[i].value, NULL) < 0) {
            *failed = i;
            return -errno;
        }
    }
    return 0;
}
