/* linux.resources.blockIO on cgroup v1 and v2: proportional weights and throttles. */
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_setting.h"
#include "wherry/json.h"

#include <errno.h>
#include <stdio.h>

#define WHERE "linux.resources.blockIO"

static const struct throttle {
    const char *key;
    const char *field;
    const char *v1_file;
    const char *v2_word; /* in io.max */
} throttles[] = {
    {"throttleReadBpsDevice", "blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
    {"throttleWriteBpsDevice", "blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
    {"throttleReadIOPSDevice", "blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
    {"throttleWriteIOPSDevice", "blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"},
};

/* The OCI weight runs from 10 to 1000, io.weight (io.cost) from 1 to 10000; BFQ takes the OCI one as it is. */
static long long io_cost_weight(int64_t weight)
{
    return 1 + (weight - 10) * 9999 / 990;
}

/* Which file carries weights depends on the schedulers that the kernel was built with, and which of them a device uses
 * can change: each that exists gets it. */
static int add_weight(const char *field, const char *device, int64_t weight, bool unified,
                      struct cgroup_settings *settings, struct wherry_error *err)
{
    bool whole = device[0] == '\0';
    const char *v1_file = whole ? "blkio.weight" : "blkio.weight_device";
    const char *v1_bfq = whole ? "blkio.bfq.weight" : "blkio.bfq.weight_device";
    struct cgroup_setting *setting = cgroup_settings_add(
        settings, CGROUP_BLKIO, field, unified ? "io.bfq.weight" : v1_file, err, "%s%lld", device, (long long)weight);

    if (setting == NULL)
        return -ENOMEM;
    setting->other_file = unified ? "io.weight" : v1_bfq;
    setting->other_value =
        unified ? wherry_arena_format(&settings->arena, "%s%lld", device, io_cost_weight(weight)) : setting->value;
    return setting->other_value == NULL ? wherry_error_set(err, ENOMEM, "linux.resources.%s", field) : 0;
}

/* Reads major and minor of one entry as "MAJOR:MINOR " into `device`. */
static int read_device(struct json_object *item, const char *where, char device[48], struct wherry_error *err)
{
    int64_t major = -1, minor = -1;

    if (wherry_json_integer(item, where, "major", 0, 0xfff, &major, err) < 0 ||
        wherry_json_integer(item, where, "minor", 0, 0xfffff, &minor, err) < 0)
        return -EINVAL;
    if (major < 0 || minor < 0)
        return wherry_error_set(err, EINVAL, "%s: must have major and minor", where);
    snprintf(device, 48, "%lld:%lld ", (long long)major, (long long)minor);
    return 0;
}

static int refuse_leaf_weight(struct json_object *object, const char *where, struct wherry_error *err)
{
    int64_t weight = 0;
    int found = wherry_json_integer(object, where, "leafWeight", 0, 1000, &weight, err);

    if (found > 0 && weight != 0)
        return wherry_error_set(err, ENOTSUP, "%s.leafWeight: went with the CFQ scheduler in Linux 5.0", where);
    return found;
}

static int translate_weight(struct json_object *blockio, bool unified, struct cgroup_settings *settings,
                            struct wherry_error *err)
{
    int64_t weight = 0;
    int found = wherry_json_integer(blockio, WHERE, "weight", 0, 1000, &weight, err);

    if (found <= 0 || weight == 0)
        return found;
    if (weight < 10)
        return wherry_error_set(err, ERANGE, WHERE ".weight: %lld: must be 0 (not set) or from 10 to 1000",
                                (long long)weight);
    return add_weight("blockIO.weight", "", weight, unified, settings, err);
}

static int translate_weight_devices(struct json_object *blockio, bool unified, struct cgroup_settings *settings,
                                    struct wherry_error *err)
{
    struct json_object *list = NULL;
    int result = wherry_json_array(blockio, WHERE, "weightDevice", &list, err);

    if (result <= 0)
        return result;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        char where[WHERRY_JSON_WHERE_MAX], device[48];
        int64_t weight = 0;

        snprintf(where, sizeof(where), WHERE ".weightDevice[%zu]", i);
        result = read_device(item, where, device, err);
        if (result >= 0)
            result = refuse_leaf_weight(item, where, err);
        if (result >= 0)
            result = wherry_json_integer(item, where, "weight", 10, 1000, &weight, err);
        if (result > 0)
            result = add_weight("blockIO.weightDevice", device, weight, unified, settings, err);
        if (result < 0)
            return result;
    }
    return 0;
}

static int translate_throttle(struct json_object *blockio, const struct throttle *throttle, bool unified,
                              struct cgroup_settings *settings, struct wherry_error *err)
{
    struct json_object *list = NULL;
    int result = wherry_json_array(blockio, WHERE, throttle->key, &list, err);

    if (result <= 0)
        return result;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *file = unified ? "io.max" : throttle->v1_file;
        char where[WHERRY_JSON_WHERE_MAX], device[48], rate_text[32];
        int64_t rate = 0;

        snprintf(where, sizeof(where), WHERE ".%s[%zu]", throttle->key, i);
        result = read_device(item, where, device, err);
        if (result >= 0)
            result = wherry_json_integer(item, where, "rate", 0, INT64_MAX, &rate, err);
        if (result < 0)
            return result;
        /* 0 takes a throttle away on v1; v2 has a word for that. */
        snprintf(rate_text, sizeof(rate_text), "%lld", (long long)rate);
        if (cgroup_settings_add(settings, CGROUP_BLKIO, throttle->field, file, err, "%s%s%s%s", device,
                                unified ? throttle->v2_word : "", unified ? "=" : "",
                                unified && rate == 0 ? "max" : rate_text) == NULL)
            return -ENOMEM;
    }
    return 0;
}

int cgroup_blockio_translate(struct json_object *resources, bool unified, struct cgroup_settings *settings,
                             struct wherry_error *err)
{
    struct json_object *blockio = NULL;
    int result = wherry_json_object(resources, "linux.resources", "blockIO", &blockio, err);

    if (result <= 0)
        return result;
    result = refuse_leaf_weight(blockio, WHERE, err);
    if (result >= 0)
        result = translate_weight(blockio, unified, settings, err);
    if (result >= 0)
        result = translate_weight_devices(blockio, unified, settings, err);
    for (size_t i = 0; i < sizeof(throttles) / sizeof(throttles[0]) && result >= 0; i++)
        result = translate_throttle(blockio, &throttles[i], unified, settings, err);
    return result;
}
