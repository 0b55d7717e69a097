/* linux.resources in the files of cgroup v2. Source: Documentation/admin-guide/cgroup-v2.rst. */
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_setting.h"
#include "wherry/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "linux.resources"
#define SHARES_LEAST 2
#define SHARES_MOST 262144

static int refuse(const char *field, struct wherry_error *err)
{
    return wherry_error_set(err, ENOTSUP, WHERE ".%s: cgroup v2, which this host has, has no such limit", field);
}

static int add(struct cgroup_settings *settings, unsigned controller, const char *field, const char *file,
               int64_t value, struct wherry_error *err)
{
    struct cgroup_setting *setting;

    if (value >= 0)
        setting = cgroup_settings_add(settings, controller, field, file, err, "%lld", (long long)value);
    else
        setting = cgroup_settings_add(settings, controller, field, file, err, "max");
    if (setting == NULL)
        return -ENOMEM;
    setting->unlimited = value < 0;
    return 0;
}

/* The limit of memory that is in force; 0 when there is none. */
static int read_limit(struct wherry_cgroup *current, int64_t *limit, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = current == NULL ? NULL : cgroup_directory_of(current, CGROUP_MEMORY);
    char text[32] = "";
    int result = directory == NULL ? 0 : cgroup_directory_open(directory, err);

    if (directory == NULL || result < 0)
        return result;
    result = cgroup_file_read(directory->fd, "memory.max", text, sizeof(text));
    if (result < 0)
        return wherry_error_set(err, -result, WHERE ".memory.swap: read %s/memory.max", directory->path);
    *limit = strcmp(text, "max") == 0 ? 0 : strtoll(text, NULL, 10);
    return 0;
}

/* OCI's swap counts memory and swap together, v2's swap alone. A limit that is lifted lifts that of swap, as on v1. */
static int translate_swap(int64_t limit, int64_t swap, struct wherry_cgroup *current, struct cgroup_settings *settings,
                          struct wherry_error *err)
{
    int result = swap > 0 && limit == 0 ? read_limit(current, &limit, err) : 0;

    if (result < 0)
        return result;
    if (swap == 0)
        return limit != -1 ? 0 : add(settings, CGROUP_MEMORY, "memory.limit", "memory.swap.max", -1, err);
    if (swap > 0 && limit <= 0)
        return wherry_error_set(err, EINVAL, WHERE ".memory.swap: %lld: needs memory.limit beside it", (long long)swap);
    if (swap > 0 && swap < limit)
        return wherry_error_set(err, EINVAL, WHERE ".memory.swap: %lld: must be at least memory.limit, %lld",
                                (long long)swap, (long long)limit);
    return add(settings, CGROUP_MEMORY, "memory.swap", "memory.swap.max", swap < 0 ? -1 : swap - limit, err);
}

static int refuse_memory(struct json_object *memory, struct wherry_error *err)
{
    int64_t number = 0;
    bool flag = false;
    int found = wherry_json_integer(memory, WHERE ".memory", "kernelTCP", -1, INT64_MAX, &number, err);

    if (found < 0)
        return found;
    if (found > 0 && number > 0)
        return refuse("memory.kernelTCP", err);
    found = wherry_json_integer(memory, WHERE ".memory", "swappiness", 0, 200, &number, err);
    if (found != 0)
        return found < 0 ? found : refuse("memory.swappiness", err);
    found = wherry_json_bool(memory, WHERE ".memory", "disableOOMKiller", &flag, err);
    if (found < 0)
        return found;
    if (flag)
        return refuse("memory.disableOOMKiller", err);
    flag = true;
    found = wherry_json_bool(memory, WHERE ".memory", "useHierarchy", &flag, err);
    if (found < 0)
        return found;
    return flag ? 0 : refuse("memory.useHierarchy false", err);
}

static int translate_memory(struct json_object *resources, struct wherry_cgroup *current,
                            struct cgroup_settings *settings, struct wherry_error *err)
{
    struct json_object *memory = NULL;
    int64_t limit = 0, swap = 0, reservation = 0, kernel = 0;
    int result = wherry_json_object(resources, WHERE, "memory", &memory, err);

    if (result <= 0)
        return result;
    if (wherry_json_integer(memory, WHERE ".memory", "limit", -1, INT64_MAX, &limit, err) < 0 ||
        wherry_json_integer(memory, WHERE ".memory", "swap", -1, INT64_MAX, &swap, err) < 0 ||
        wherry_json_integer(memory, WHERE ".memory", "reservation", -1, INT64_MAX, &reservation, err) < 0 ||
        wherry_json_integer(memory, WHERE ".memory", "kernel", -1, INT64_MAX, &kernel, err) < 0)
        return -EINVAL;
    result = refuse_memory(memory, err);
    if (result >= 0 && limit != 0)
        result = add(settings, CGROUP_MEMORY, "memory.limit", "memory.max", limit, err);
    if (result >= 0)
        result = translate_swap(limit, swap, current, settings, err);
    if (result >= 0 && reservation != 0)
        result = add(settings, CGROUP_MEMORY, "memory.reservation", "memory.low", reservation, err);
    if (result >= 0 && kernel > 0) {
        /* No v2 kernel ever had the file: asking for it yields the warning, as on a v1 kernel that lost it. */
        result = add(settings, CGROUP_MEMORY, "memory.kernel", "memory.kmem.max", kernel, err);
        if (result >= 0)
            settings->list[settings->count - 1].gone = "ignored: cgroup v2 counts kernel memory within memory";
    }
    return result;
}

/*
 * Shares (2 to 262144, default 1024) to weight (1 to 10000, default 100), so that both ends and the default meet:
 * a parabola in the logarithms, 10^((l² + 125 l) / 612 - 7/34) with l = log2(shares). A straight line would turn the
 * default shares into a weight of 39, and a container beside a process of weight 100 would get less than half.
 */
static int64_t weight_of_shares(int64_t shares)
{
    double l;

    if (shares <= SHARES_LEAST)
        return 1;
    if (shares >= SHARES_MOST)
        return 10000;
    l = log2((double)shares);
    return (int64_t)ceil(pow(10, (l * l + 125 * l) / 612.0 - 7.0 / 34.0));
}

/* cpu.max takes "QUOTA PERIOD". A quota alone keeps the period; to keep the quota it has to be read first. */
static int translate_quota(int64_t quota, int64_t period, struct wherry_cgroup *current,
                           struct cgroup_settings *settings, struct wherry_error *err)
{
    char quota_text[64] = "max", period_text[32] = "";
    struct wherry_cgroup_directory *directory = current == NULL ? NULL : cgroup_directory_of(current, CGROUP_CPU);

    if (quota == 0 && period == 0)
        return 0;
    if (quota > 0) {
        snprintf(quota_text, sizeof(quota_text), "%lld", (long long)quota);
    } else if (quota == 0 && directory != NULL) {
        int result = cgroup_directory_open(directory, err);

        if (result < 0)
            return result;
        result = cgroup_file_read(directory->fd, "cpu.max", quota_text, sizeof(quota_text));
        if (result < 0)
            return wherry_error_set(err, -result, WHERE ".cpu.period: read %s/cpu.max", directory->path);
        quota_text[strcspn(quota_text, " ")] = '\0';
    }
    if (period > 0)
        snprintf(period_text, sizeof(period_text), " %lld", (long long)period);
    return cgroup_settings_add(settings, CGROUP_CPU, quota != 0 ? "cpu.quota" : "cpu.period", "cpu.max", err, "%s%s",
                               quota_text, period_text) == NULL
               ? -ENOMEM
               : 0;
}

static int translate_cpu(struct json_object *resources, struct wherry_cgroup *current, struct cgroup_settings *settings,
                         struct wherry_error *err)
{
    struct json_object *cpu = NULL;
    int64_t shares = 0, quota = 0, period = 0, burst = 0, idle = 0, rt_period = 0, rt_runtime = 0;
    int has_burst, has_idle, result = wherry_json_object(resources, WHERE, "cpu", &cpu, err);

    if (result <= 0)
        return result;
    if (wherry_json_integer(cpu, WHERE ".cpu", "shares", 0, INT64_MAX, &shares, err) < 0 ||
        wherry_json_integer(cpu, WHERE ".cpu", "quota", -1, INT64_MAX, &quota, err) < 0 ||
        wherry_json_integer(cpu, WHERE ".cpu", "period", 0, INT64_MAX, &period, err) < 0 ||
        wherry_json_integer(cpu, WHERE ".cpu", "realtimePeriod", 0, INT64_MAX, &rt_period, err) < 0 ||
        wherry_json_integer(cpu, WHERE ".cpu", "realtimeRuntime", -1, INT64_MAX, &rt_runtime, err) < 0)
        return -EINVAL;
    has_burst = wherry_json_integer(cpu, WHERE ".cpu", "burst", 0, INT64_MAX, &burst, err);
    has_idle = has_burst < 0 ? -1 : wherry_json_integer(cpu, WHERE ".cpu", "idle", 0, 1, &idle, err);
    if (has_burst < 0 || has_idle < 0)
        return -EINVAL;
    if (rt_period != 0 || rt_runtime > 0)
        return refuse(rt_period != 0 ? "cpu.realtimePeriod" : "cpu.realtimeRuntime", err);
    if (shares != 0)
        result = add(settings, CGROUP_CPU, "cpu.shares", "cpu.weight", weight_of_shares(shares), err);
    if (result >= 0)
        result = translate_quota(quota, period, current, settings, err);
    if (result >= 0 && has_burst > 0)
        result = add(settings, CGROUP_CPU, "cpu.burst", "cpu.max.burst", burst, err);
    if (result >= 0 && has_idle > 0)
        result = add(settings, CGROUP_CPU, "cpu.idle", "cpu.idle", idle, err);
    return result;
}

static int refuse_network(struct json_object *resources, struct wherry_error *err)
{
    struct json_object *network = NULL, *priorities = NULL;
    int64_t class = 0;
    int result = wherry_json_object(resources, WHERE, "network", &network, err);

    if (result <= 0)
        return result;
    result = wherry_json_integer(network, WHERE ".network", "classID", 0, UINT32_MAX, &class, err);
    if (result > 0 && class != 0)
        return refuse("network.classID", err);
    if (result >= 0)
        result = wherry_json_array(network, WHERE ".network", "priorities", &priorities, err);
    if (result > 0 && json_object_array_length(priorities) > 0)
        return refuse("network.priorities", err);
    return result;
}

/* Of the files that manage the group itself only its bounds may be set: the others would work against the runtime. */
static bool may_be_set(const char *file)
{
    return strncmp(file, "cgroup.", 7) != 0 || strcmp(file, "cgroup.max.depth") == 0 ||
           strcmp(file, "cgroup.max.descendants") == 0;
}

/* "unified": {"memory.high": "…"}: each line of a value is one write. */
static int translate_unified(struct json_object *resources, struct cgroup_settings *settings, struct wherry_error *err)
{
    struct json_object *unified = NULL;
    int found = wherry_json_object(resources, WHERE, "unified", &unified, err);

    if (found <= 0)
        return found;
    json_object_object_foreach(unified, file, unused)
    {
        const char *value = NULL, *dot = strchr(file, '.');
        int controller = dot == NULL ? -1 : cgroup_controller_find(file, (size_t)(dot - file));
        const char *field = wherry_arena_format(&settings->arena, "unified.%s", file);
        const char *name = wherry_arena_format(&settings->arena, "%s", file);

        (void)unused;
        if (field == NULL || name == NULL)
            return wherry_error_set(err, ENOMEM, WHERE ".unified");
        if (controller < 0 || strchr(file, '/') != NULL || !may_be_set(file))
            return wherry_error_set(err, EINVAL, WHERE ".%s: must be a file of a controller, like memory.high", field);
        if (wherry_json_string(unified, WHERE ".unified", file, &value, err) <= 0)
            return wherry_error_set(err, EINVAL, WHERE ".%s: must be a string", field);
        do {
            size_t length = strcspn(value, "\n");

            if (length > 0 && cgroup_settings_add(settings, (unsigned)controller, field, name, err, "%.*s", (int)length,
                                                  value) == NULL)
                return -ENOMEM;
            value += length + (value[length] == '\n');
        } while (*value != '\0');
    }
    return 0;
}

int cgroup_v2_translate(struct json_object *resources, struct wherry_cgroup *current, struct cgroup_settings *settings,
                        struct wherry_error *err)
{
    int result = translate_memory(resources, current, settings, err);

    if (result >= 0)
        result = translate_cpu(resources, current, settings, err);
    if (result >= 0)
        result = cgroup_common_translate(resources, true, settings, err);
    if (result >= 0)
        result = cgroup_blockio_translate(resources, true, settings, err);
    if (result >= 0)
        result = refuse_network(resources, err);
    if (result >= 0)
        result = translate_unified(resources, settings, err);
    return result < 0 ? result : 0;
}
