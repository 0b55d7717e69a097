/* The list of a unit's properties, and limits and device rules as such; see systemd_property.h. */
#include "systemd_property.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD_DEFAULT 100000ULL
#define SECOND 1000000ULL /* in microseconds */
#define QUOTA_STEP 10000ULL
#define CPUS_MAX 8192
#define PROC_DEVICES_MAX ((size_t)1 << 20)

int systemd_properties_add(struct systemd_properties *properties, struct systemd_property property,
                           struct wherry_error *err)
{
    if (properties->count == properties->room) {
        size_t room = properties->room == 0 ? 32 : properties->room * 2;
        struct systemd_property *larger = reallocarray(properties->list, room, sizeof(*larger));

        if (larger == NULL)
            return wherry_error_set(err, ENOMEM, "property %s", property.name);
        properties->list = larger;
        properties->room = room;
    }
    properties->list[properties->count++] = property;
    return 0;
}

int systemd_properties_add_text(struct systemd_properties *properties, const char *name, const char *text,
                                struct wherry_error *err)
{
    const char **texts = wherry_arena_array(&properties->arena, 1, sizeof(*texts));

    if (texts != NULL)
        texts[0] = wherry_arena_format(&properties->arena, "%s", text);
    if (texts == NULL || texts[0] == NULL)
        return wherry_error_set(err, ENOMEM, "property %s", name);
    return systemd_properties_add(
        properties, (struct systemd_property){.name = name, .signature = "s", .texts = texts, .count = 1}, err);
}

int systemd_properties_add_number(struct systemd_properties *properties, const char *name, const char *signature,
                                  uint64_t number, struct wherry_error *err)
{
    return systemd_properties_add(
        properties, (struct systemd_property){.name = name, .signature = signature, .number = number}, err);
}

/* Files with one number, or "max". */
static const struct {
    const char *file;
    const char *property;
} numbers[] = {
    {"memory.max", "MemoryMax"},
    {"memory.high", "MemoryHigh"},
    {"memory.low", "MemoryLow"},
    {"memory.min", "MemoryMin"},
    {"memory.swap.max", "MemorySwapMax"},
    {"cpu.weight", "CPUWeight"},
    {"pids.max", "TasksMax"},
    {"memory.limit_in_bytes", "MemoryLimit"},
    {"cpu.shares", "CPUShares"},
    {"blkio.weight", "BlockIOWeight"},
};

/* "0-2,7" as a mask whose lowest bit is CPU 0. */
static int add_mask(struct systemd_properties *properties, const char *name, const char *text, struct wherry_error *err)
{
    unsigned char *mask = wherry_arena_array(&properties->arena, CPUS_MAX / 8, 1);
    size_t count = 0;

    if (mask == NULL)
        return wherry_error_set(err, ENOMEM, "property %s", name);
    while (*text >= '0' && *text <= '9') {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

        if (last >= CPUS_MAX)
            return wherry_error_set(err, ERANGE, "property %s: %lu", name, last);
        for (; first <= last; first++) {
            mask[first / 8] |= (unsigned char)(1U << first % 8);
            count = first / 8 + 1 > count ? first / 8 + 1 : count;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return systemd_properties_add(
        properties, (struct systemd_property){.name = name, .signature = "ay", .bytes = mask, .count = count}, err);
}

/* What a file of the group says now; "" where it is not there yet. */
static void read_now(struct wherry_cgroup *cg, const char *file, char *text, size_t size)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_CPU);

    if (directory == NULL || access(directory->path, F_OK) < 0 || cgroup_directory_open(directory, NULL) < 0 ||
        cgroup_file_read(directory->fd, file, text, size) < 0)
        text[0] = '\0';
}

/* systemd has the share of a CPU in whole hundredths; what is finer is rounded up, so that the group inside can have
 * it.
 */
static int add_bandwidth(struct systemd_properties *properties, long long quota, unsigned long long period,
                         struct wherry_error *err)
{
    uint64_t share = UINT64_MAX;
    int result;

    if (period == 0)
        period = PERIOD_DEFAULT;
    if (quota > 0)
        share = ((unsigned long long)quota * SECOND / period + QUOTA_STEP - 1) / QUOTA_STEP * QUOTA_STEP;
    result = systemd_properties_add_number(properties, "CPUQuotaPeriodUSec", "t", period, err);
    return result < 0 ? result : systemd_properties_add_number(properties, "CPUQuotaPerSecUSec", "t", share, err);
}

/* Quota and period are one limit for systemd: the one that is not among the settings is as it is now. */
static int add_bandwidth_settings(struct systemd_properties *properties, const struct cgroup_settings *settings,
                                  struct wherry_cgroup *cg, struct wherry_error *err)
{
    char quota[64] = "", period[64] = "";
    bool found = false;

    for (size_t i = 0; i < settings->count; i++) {
        const struct cgroup_setting *setting = &settings->list[i];

        if (strcmp(setting->file, "cpu.max") == 0)
            sscanf(setting->value, "%63s %63s", quota, period);
        else if (strcmp(setting->file, "cpu.cfs_quota_us") == 0)
            snprintf(quota, sizeof(quota), "%s", setting->value);
        else if (strcmp(setting->file, "cpu.cfs_period_us") == 0)
            snprintf(period, sizeof(period), "%s", setting->value);
        else
            continue;
        found = true;
    }
    if (!found)
        return 0;
    if (quota[0] == '\0')
        read_now(cg, "cpu.cfs_quota_us", quota, sizeof(quota));
    if (period[0] == '\0') {
        char now[64];

        read_now(cg, cg->layout == WHERRY_CGROUP_V2 ? "cpu.max" : "cpu.cfs_period_us", now, sizeof(now));
        snprintf(period, sizeof(period), "%s", cg->layout == WHERRY_CGROUP_V2 ? now + strcspn(now, " ") : now);
    }
    return add_bandwidth(properties, strtoll(quota, NULL, 10), strtoull(period, NULL, 10), err);
}

static int add_setting(struct systemd_properties *properties, const char *file, const char *value,
                       struct wherry_error *err)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(file, numbers[i].file) != 0)
            continue;
        return systemd_properties_add_number(
            properties, numbers[i].property, "t",
            strcmp(value, "max") == 0 || strcmp(value, "-1") == 0 ? UINT64_MAX : strtoull(value, NULL, 10), err);
    }
    return 0;
}

int systemd_properties_add_settings(struct systemd_properties *properties, const struct cgroup_settings *settings,
                                    struct wherry_cgroup *cg, struct wherry_error *err)
{
    bool unified = cg->layout == WHERRY_CGROUP_V2;
    int result = 0;

    for (size_t i = 0; i < settings->count && result >= 0; i++) {
        const struct cgroup_setting *setting = &settings->list[i];

        result = add_setting(properties, setting->file, setting->value, err);
        if (result >= 0 && unified && strcmp(setting->file, "cpuset.cpus") == 0)
            result = add_mask(properties, "AllowedCPUs", setting->value, err);
        if (result >= 0 && unified && strcmp(setting->file, "cpuset.mems") == 0)
            result = add_mask(properties, "AllowedMemoryNodes", setting->value, err);
        /* A weight for all devices, not "8:0 500"; the value for io.weight has the scale of systemd's. */
        if (result >= 0 && setting->other_file != NULL && strcmp(setting->other_file, "io.weight") == 0 &&
            strchr(setting->value, ' ') == NULL)
            result = systemd_properties_add_number(properties, "IOWeight", "t",
                                                   strtoull(setting->other_value, NULL, 10), err);
    }
    return result < 0 ? result : add_bandwidth_settings(properties, settings, cg, err);
}

/* The name of a major number in /proc/devices, below "Character devices:" or "Block devices:". */
static bool find_driver(const char *devices, char type, int major, char name[64])
{
    const char *at = strstr(devices, type == 'b' ? "Block devices:" : "Character devices:");

    for (at = at != NULL ? strchr(at, '\n') : NULL; at != NULL && at[1] != '\n' && at[1] != '\0';
         at = strchr(at + 1, '\n')) {
        int number;

        if (sscanf(at, "%d %63s", &number, name) == 2 && number == major)
            return true;
    }
    return false;
}

/* "/dev/char/1:3", "char-pts" for all of a driver, or "char-*". NULL: systemd has no word for it. */
static const char *device_name(struct wherry_arena *arena, const struct cgroup_device_rule *rule, const char *devices)
{
    const char *class = rule->type == 'b' ? "block" : "char";
    char driver[64];

    if (rule->major == CGROUP_DEVICE_ANY)
        return rule->minor == CGROUP_DEVICE_ANY ? wherry_arena_format(arena, "%s-*", class) : NULL;
    if (rule->minor != CGROUP_DEVICE_ANY)
        return wherry_arena_format(arena, "/dev/%s/%d:%d", class, rule->major, rule->minor);
    return find_driver(devices, rule->type, rule->major, driver) ? wherry_arena_format(arena, "%s-%s", class, driver)
                                                                 : NULL;
}

int systemd_properties_add_devices(struct systemd_properties *properties, const struct cgroup_device_rules *rules,
                                   struct wherry_error *err)
{
    const char **texts = wherry_arena_array(&properties->arena, 2 * rules->count + 1, sizeof(*texts));
    cleanup_free char *devices = NULL;
    size_t count = 0, length;
    int result = wherry_file_read(AT_FDCWD, "/proc/devices", PROC_DEVICES_MAX, &devices, &length, err);

    if (texts == NULL)
        return wherry_error_set(err, ENOMEM, "linux.resources.devices");
    for (size_t i = 0; i < rules->count && result >= 0 && !rules->allow_rest; i++) {
        const struct cgroup_device_rule *rule = &rules->list[i];
        const char *name = rule->allow ? device_name(&properties->arena, rule, devices) : NULL;

        if (name == NULL)
            continue;
        texts[2 * count] = name;
        texts[2 * count + 1] = wherry_arena_format(
            &properties->arena, "%s%s%s", (rule->access & CGROUP_DEVICE_READ) != 0 ? "r" : "",
            (rule->access & CGROUP_DEVICE_WRITE) != 0 ? "w" : "", (rule->access & CGROUP_DEVICE_MKNOD) != 0 ? "m" : "");
        if (texts[2 * count + 1] == NULL)
            return wherry_error_set(err, ENOMEM, "linux.resources.devices");
        count++;
    }
    if (result >= 0)
        result = systemd_properties_add_text(properties, "DevicePolicy", rules->allow_rest ? "auto" : "strict", err);
    /* An empty list throws away what an earlier call gave: each later one adds. */
    if (result >= 0)
        result = systemd_properties_add(properties,
                                        (struct systemd_property){.name = "DeviceAllow", .signature = "a(ss)"}, err);
    if (result >= 0 && count > 0)
        result = systemd_properties_add(
            properties,
            (struct systemd_property){.name = "DeviceAllow", .signature = "a(ss)", .texts = texts, .count = 2 * count},
            err);
    return result;
}

static void write_array(const struct systemd_property *property, struct dbus_writer *body)
{
    char element = property->signature[1];
    size_t alignment = element == '(' ? 8 : element == 'y' ? 1 : 4;
    size_t mark = dbus_write_array_begin(body, alignment);

    for (size_t i = 0; i < property->count; i++) {
        if (element == '(' && i % 2 == 0)
            dbus_write_align(body, 8);
        if (element == 'y')
            dbus_write_byte(body, property->bytes[i]);
        else if (element == 'u')
            dbus_write_u32(body, property->numbers[i]);
        else
            dbus_write_string(body, property->texts[i]);
    }
    dbus_write_array_end(body, mark, alignment);
}

static void write_value(const struct systemd_property *property, struct dbus_writer *body)
{
    switch (property->signature[0]) {
    case 'a':
        write_array(property, body);
        break;
    case 's':
        dbus_write_string(body, property->texts[0]);
        break;
    case 'n':
    case 'q':
        dbus_write_u16(body, (uint16_t)property->number);
        break;
    case 'b':
    case 'i':
    case 'u':
        dbus_write_u32(body, (uint32_t)property->number);
        break;
    default:
        dbus_write_u64(body, property->number);
        break;
    }
}

void systemd_properties_write(const struct systemd_properties *properties, struct dbus_writer *body)
{
    size_t mark = dbus_write_array_begin(body, 8);

    for (size_t i = 0; i < properties->count; i++) {
        dbus_write_align(body, 8);
        dbus_write_string(body, properties->list[i].name);
        dbus_write_signature(body, properties->list[i].signature);
        write_value(&properties->list[i], body);
    }
    dbus_write_array_end(body, mark, 8);
}

void systemd_properties_free(struct systemd_properties *properties)
{
    free(properties->list);
    wherry_arena_free(&properties->arena);
    *properties = (struct systemd_properties)SYSTEMD_PROPERTIES_INIT;
}
