/*
 * Device rules for the v1 devices controller; see cgroup_devices.h. Source: the kernel's
 * Documentation/admin-guide/cgroup-v1/devices.rst.
 */
#include "runtime/cgroup_devices.h"
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_setting.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANY CGROUP_DEVICE_ANY
#define LIST_MAX ((size_t)1 << 20)

static bool covers(int outer, int inner)
{
    return outer == ANY || outer == inner;
}

static bool overlaps(const struct cgroup_device_rule *one, const struct cgroup_device_rule *other)
{
    return one->type == other->type && (covers(one->major, other->major) || other->major == ANY) &&
           (covers(one->minor, other->minor) || other->minor == ANY) && (one->access & other->access) != 0;
}

/*
 * v1 keeps a default and a set of exceptions from it. Applies one rule to that set: a rule with the default's verdict
 * takes earlier exceptions back, which works only for those that it covers entirely.
 */
static int apply_v1(const struct cgroup_device_rule *rule, bool allow_rest, struct cgroup_device_rule *set,
                    size_t *count, struct wherry_error *err)
{
    if (rule->allow != allow_rest) {
        set[(*count)++] = *rule;
        return 0;
    }
    for (size_t i = 0; i < *count; i++) {
        if (!overlaps(rule, &set[i]))
            continue;
        if (!covers(rule->major, set[i].major) || !covers(rule->minor, set[i].minor))
            return wherry_error_set(err, ENOTSUP,
                                    "linux.resources.devices[%zu]: cgroup v1, which this host has, cannot take back a "
                                    "part of what an earlier rule gives",
                                    rule->index);
        set[i].access &= ~rule->access;
    }
    return 0;
}

static int add(char type, int major_number, int minor_number, unsigned access, bool allow,
               struct cgroup_settings *settings, struct wherry_error *err)
{
    char major[16] = "*", minor[16] = "*";

    if (access == 0)
        return 0;
    if (major_number != ANY)
        snprintf(major, sizeof(major), "%d", major_number);
    if (minor_number != ANY)
        snprintf(minor, sizeof(minor), "%d", minor_number);
    return cgroup_settings_add(settings, CGROUP_DEVICES, "devices", allow ? "devices.allow" : "devices.deny", err,
                               "%c %s:%s %s%s%s", type, major, minor, (access & CGROUP_DEVICE_READ) != 0 ? "r" : "",
                               (access & CGROUP_DEVICE_WRITE) != 0 ? "w" : "",
                               (access & CGROUP_DEVICE_MKNOD) != 0 ? "m" : "") == NULL
               ? -ENOMEM
               : 0;
}

/* The exceptions from the default that say what the rules say. The caller frees `*set`. */
static int make_set(const struct cgroup_device_rules *rules, struct cgroup_device_rule **set, size_t *count,
                    struct wherry_error *err)
{
    int result = 0;

    *count = 0;
    *set = calloc(rules->count + 1, sizeof(**set));
    if (*set == NULL)
        return wherry_error_set(err, ENOMEM, "linux.resources.devices");
    for (size_t i = 0; i < rules->count && result == 0; i++)
        result = apply_v1(&rules->list[i], rules->allow_rest, *set, count, err);
    return result;
}

int cgroup_devices_v1(const struct cgroup_device_rules *rules, struct cgroup_settings *settings,
                      struct wherry_error *err)
{
    cleanup_free struct cgroup_device_rule *set = NULL;
    size_t count = 0;
    int result = make_set(rules, &set, &count, err);

    if (result < 0)
        return result;
    if (cgroup_settings_add(settings, CGROUP_DEVICES, "devices", rules->allow_rest ? "devices.allow" : "devices.deny",
                            err, "a") == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count && result == 0; i++)
        result = add(set[i].type, set[i].major, set[i].minor, set[i].access, set[i].allow, settings, err);
    return result;
}

static int parse_number(const char *text)
{
    return strcmp(text, "*") == 0 ? ANY : (int)strtol(text, NULL, 10);
}

/* One line of devices.list, "c 1:3 rwm". */
static bool parse_line(const char *line, struct cgroup_device_rule *rule)
{
    char major[16], minor[16], access[8];

    *rule = (struct cgroup_device_rule){.allow = true};
    if (sscanf(line, "%c %15[0-9*]:%15[0-9*] %7[rwm]", &rule->type, major, minor, access) != 4)
        return false;
    rule->major = parse_number(major);
    rule->minor = parse_number(minor);
    rule->access = (strchr(access, 'r') != NULL ? CGROUP_DEVICE_READ : 0U) |
                   (strchr(access, 'w') != NULL ? CGROUP_DEVICE_WRITE : 0U) |
                   (strchr(access, 'm') != NULL ? CGROUP_DEVICE_MKNOD : 0U);
    return true;
}

/* What `set` gives to exactly this type and these numbers; the kernel keeps one exception for each, too. */
static unsigned access_in(const struct cgroup_device_rule *set, size_t count, const struct cgroup_device_rule *rule)
{
    unsigned access = 0;

    for (size_t i = 0; i < count; i++) {
        if (set[i].type == rule->type && set[i].major == rule->major && set[i].minor == rule->minor)
            access |= set[i].access;
    }
    return access;
}

/* Reads devices.list into `*now`, which the caller frees. */
static int read_list(int directory, struct cgroup_device_rule **now, size_t *count, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    size_t length = 0, room = 1;
    int result = wherry_file_read(directory, "devices.list", LIST_MAX, &text, &length, err);

    if (result < 0)
        return wherry_error_prefix(err, "linux.resources.devices");
    for (const char *at = text; *at != '\0'; at++)
        room += *at == '\n';
    *now = calloc(room, sizeof(**now));
    if (*now == NULL)
        return wherry_error_set(err, ENOMEM, "linux.resources.devices");
    *count = 0;
    for (const char *line = text; line != NULL && *count < room && parse_line(line, &(*now)[*count]);) {
        (*count)++;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
}

int cgroup_devices_v1_difference(const struct cgroup_device_rules *rules, int directory,
                                 struct cgroup_settings *settings, struct wherry_error *err)
{
    cleanup_free struct cgroup_device_rule *wanted = NULL, *now = NULL;
    size_t wanted_count = 0, count = 0;
    int result = read_list(directory, &now, &count, err);

    /* Exceptions from "everything is allowed" cannot be read back. */
    if (result >= 0 && (rules->allow_rest || (count > 0 && now[0].type == 'a'))) {
        result = cgroup_devices_v1(rules, settings, err);
        return result < 0 ? result : 1;
    }
    if (result >= 0)
        result = make_set(rules, &wanted, &wanted_count, err);
    /* First what is given, then what is taken: nothing that is allowed before and after is denied between. */
    for (size_t i = 0; i < wanted_count && result >= 0; i++) {
        unsigned missing = wanted[i].access & ~access_in(now, count, &wanted[i]);

        result = add(wanted[i].type, wanted[i].major, wanted[i].minor, missing, true, settings, err);
    }
    for (size_t i = 0; i < count && result >= 0; i++) {
        unsigned extra = now[i].access & ~access_in(wanted, wanted_count, &now[i]);

        result = add(now[i].type, now[i].major, now[i].minor, extra, false, settings, err);
    }
    return result < 0 ? result : 0;
}
