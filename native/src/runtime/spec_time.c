/* linux.timeOffsets of config.json; see wherry/spec.h and time_namespaces(7). */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <string.h>

/* In no order that matters to the kernel. */
static const char *const clocks[WHERRY_CLOCKS] = {"monotonic", "boottime"};

static int check_names(struct json_object *offsets, struct wherry_error *err)
{
    json_object_object_foreach(offsets, name, ignored)
    {
        (void)ignored;
        if (strcmp(name, clocks[0]) != 0 && strcmp(name, clocks[1]) != 0)
            return wherry_error_set(err, 0, "linux.timeOffsets.%s: no such clock, must be monotonic or boottime", name);
    }
    return 0;
}

int wherry_spec_parse_time(struct json_object *system, struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *offsets = NULL;
    int found = wherry_json_object(system, "linux", "timeOffsets", &offsets, err);

    if (found <= 0)
        return found;
    if (check_names(offsets, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < WHERRY_CLOCKS; i++) {
        struct wherry_clock_offset *offset = &spec->clock_offsets[spec->clock_offset_count];
        struct json_object *object = NULL;
        char name[WHERRY_JSON_WHERE_MAX];
        int64_t nanoseconds = 0;

        found = wherry_json_object(offsets, "linux.timeOffsets", clocks[i], &object, err);
        if (found < 0)
            return found;
        if (found == 0)
            continue;
        wherry_json_name(name, "linux.timeOffsets", clocks[i]);
        if (wherry_json_integer(object, name, "secs", INT64_MIN, INT64_MAX, &offset->seconds, err) < 0 ||
            wherry_json_integer(object, name, "nanosecs", 0, 999999999, &nanoseconds, err) < 0)
            return -EINVAL;
        offset->clock = clocks[i];
        offset->nanoseconds = (uint32_t)nanoseconds;
        spec->clock_offset_count++;
    }
    return 0;
}
