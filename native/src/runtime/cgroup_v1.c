/* linux.resources in the files of cgroup v1. Source: Documentation/admin-guide/cgroup-v1. */
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_setting.h"
#include "wherry/json.h"

#include <errno.h>
#include <string.h>

/* A field whose number is written as it is. */
struct number {
    const char *object; /* below linux.resources */
    const char *key;
    const char *field;
    unsigned controller;
    const char *file;
    int64_t least;
    int64_t most;
    bool zero_unset; /* 0 means "not set", as in other runtimes */
};

static const struct number numbers[] = {
    {"memory", "limit", "memory.limit", CGROUP_MEMORY, "memory.limit_in_bytes", -1, INT64_MAX, true},
    {"memory", "reservation", "memory.reservation", CGROUP_MEMORY, "memory.soft_limit_in_bytes", -1, INT64_MAX, true},
    {"memory", "swap", "memory.swap", CGROUP_MEMORY, "memory.memsw.limit_in_bytes", -1, INT64_MAX, true},
    {"memory", "kernel", "memory.kernel", CGROUP_MEMORY, "memory.kmem.limit_in_bytes", -1, INT64_MAX, true},
    {"memory", "kernelTCP", "memory.kernelTCP", CGROUP_MEMORY, "memory.kmem.tcp.limit_in_bytes", -1, INT64_MAX, true},
    {"memory", "swappiness", "memory.swappiness", CGROUP_MEMORY, "memory.swappiness", 0, 200, false},
    {"cpu", "shares", "cpu.shares", CGROUP_CPU, "cpu.shares", 0, INT64_MAX, true},
    {"cpu", "period", "cpu.period", CGROUP_CPU, "cpu.cfs_period_us", 0, INT64_MAX, true},
    {"cpu", "quota", "cpu.quota", CGROUP_CPU, "cpu.cfs_quota_us", -1, INT64_MAX, true},
    {"cpu", "burst", "cpu.burst", CGROUP_CPU, "cpu.cfs_burst_us", 0, INT64_MAX, false},
    {"cpu", "realtimePeriod", "cpu.realtimePeriod", CGROUP_CPU, "cpu.rt_period_us", 0, INT64_MAX, true},
    {"cpu", "realtimeRuntime", "cpu.realtimeRuntime", CGROUP_CPU, "cpu.rt_runtime_us", -1, INT64_MAX, true},
    {"cpu", "idle", "cpu.idle", CGROUP_CPU, "cpu.idle", 0, 1, false},
    {"network", "classID", "network.classID", CGROUP_NET_CLS, "net_cls.classid", 0, UINT32_MAX, false},
};

#define WHERE "linux.resources"
#define SHARES_LEAST 2
#define SHARES_MOST 262144

static int translate_number(const struct number *number, struct json_object *resources,
                            struct cgroup_settings *settings, struct wherry_error *err)
{
    struct json_object *object = NULL;
    struct cgroup_setting *setting;
    char where[WHERRY_JSON_WHERE_MAX];
    int64_t value = 0;
    int found = wherry_json_object(resources, WHERE, number->object, &object, err);

    if (found <= 0)
        return found;
    wherry_json_name(where, WHERE, number->object);
    found = wherry_json_integer(object, where, number->key, number->least, number->most, &value, err);
    if (found <= 0 || (value == 0 && number->zero_unset))
        return found;
    /* The kernel would take another value without a word. */
    if (strcmp(number->key, "shares") == 0 && (value < SHARES_LEAST || value > SHARES_MOST))
        return wherry_error_set(err, ERANGE, WHERE ".cpu.shares: %lld: must be from %d to %d", (long long)value,
                                SHARES_LEAST, SHARES_MOST);
    setting =
        cgroup_settings_add(settings, number->controller, number->field, number->file, err, "%lld", (long long)value);
    if (setting == NULL)
        return -ENOMEM;
    /* No class is what a group without one has. */
    setting->unlimited = value == -1 || (value == 0 && strcmp(number->key, "classID") == 0);
    /* Kernel memory limits were deprecated in 5.4 and taken out in 5.16: the file is gone or answers EOPNOTSUPP. */
    if (strcmp(number->key, "kernel") == 0)
        setting->gone = "ignored: this kernel no longer limits kernel memory apart from memory";
    return 0;
}

static int translate_flag(struct json_object *memory, const char *key, const char *field, const char *file,
                          struct cgroup_settings *settings, struct wherry_error *err)
{
    bool value = false;
    int found = wherry_json_bool(memory, WHERE ".memory", key, &value, err);

    if (found <= 0)
        return found;
    return cgroup_settings_add(settings, CGROUP_MEMORY, field, file, err, "%d", value) == NULL ? -ENOMEM : 0;
}

static int translate_priorities(struct json_object *resources, struct cgroup_settings *settings,
                                struct wherry_error *err)
{
    struct json_object *network = NULL, *list = NULL;
    int found = wherry_json_object(resources, WHERE, "network", &network, err);

    if (found > 0)
        found = wherry_json_array(network, WHERE ".network", "priorities", &list, err);
    if (found <= 0)
        return found;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name = NULL;
        int64_t priority = 0;

        if (wherry_json_string(item, WHERE ".network.priorities", "name", &name, err) <= 0 ||
            wherry_json_integer(item, WHERE ".network.priorities", "priority", 0, UINT32_MAX, &priority, err) <= 0)
            return wherry_error_set(err, EINVAL, WHERE ".network.priorities[%zu]: must have a name and a priority", i);
        if (cgroup_settings_add(settings, CGROUP_NET_PRIO, "network.priorities", "net_prio.ifpriomap", err, "%s %lld",
                                name, (long long)priority) == NULL)
            return -ENOMEM;
    }
    return 0;
}

/* A limit that is lifted lifts that of memory and swap together, which could not stay below it. */
static int lift_swap(struct json_object *memory, struct cgroup_settings *settings, struct wherry_error *err)
{
    int64_t limit = 0, swap = 0;
    struct cgroup_setting *setting;

    if (wherry_json_integer(memory, WHERE ".memory", "limit", -1, INT64_MAX, &limit, err) < 0 ||
        wherry_json_integer(memory, WHERE ".memory", "swap", -1, INT64_MAX, &swap, err) < 0)
        return -EINVAL;
    if (limit != -1 || swap != 0)
        return 0;
    setting = cgroup_settings_add(settings, CGROUP_MEMORY, "memory.limit", "memory.memsw.limit_in_bytes", err, "-1");
    if (setting == NULL)
        return -ENOMEM;
    setting->unlimited = true;
    return 0;
}

/* The v2-only map: an empty one asks for nothing. */
static int refuse_unified(struct json_object *resources, struct wherry_error *err)
{
    struct json_object *unified = NULL;
    int found = wherry_json_object(resources, WHERE, "unified", &unified, err);

    if (found > 0 && json_object_object_length(unified) > 0)
        return wherry_error_set(err, ENOTSUP,
                                WHERE ".unified: invalid configuration: this host's limits are carried by cgroup v1");
    return found;
}

int cgroup_v1_translate(struct json_object *resources, struct cgroup_settings *settings, struct wherry_error *err)
{
    struct json_object *memory = NULL;
    int result = refuse_unified(resources, err);

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && result >= 0; i++)
        result = translate_number(&numbers[i], resources, settings, err);
    if (result >= 0)
        result = wherry_json_object(resources, WHERE, "memory", &memory, err);
    if (result >= 0)
        result = lift_swap(memory, settings, err);
    if (result >= 0)
        result =
            translate_flag(memory, "disableOOMKiller", "memory.disableOOMKiller", "memory.oom_control", settings, err);
    if (result >= 0)
        result = translate_flag(memory, "useHierarchy", "memory.useHierarchy", "memory.use_hierarchy", settings, err);
    if (result >= 0)
        result = cgroup_common_translate(resources, false, settings, err);
    if (result >= 0)
        result = cgroup_blockio_translate(resources, false, settings, err);
    if (result >= 0)
        result = translate_priorities(resources, settings, err);
    return result < 0 ? result : 0;
}
