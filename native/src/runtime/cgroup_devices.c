/* Reading device rules; see cgroup_devices.h. */
#include "runtime/cgroup_devices.h"

#include "wherry/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 1024
#define MAJOR_MOST 0xfff
#define MINOR_MOST 0xfffff

#define ANY CGROUP_DEVICE_ANY
#define ALL CGROUP_DEVICE_ALL

/* What a container without any rule may use: the devices that OCI config-linux.md "Default Devices" puts into it, its
 * terminals, and making (not opening) any node. */
static const struct cgroup_device_rule standard[] = {
    {true, 'c', ANY, ANY, CGROUP_DEVICE_MKNOD, SIZE_MAX},
    {true, 'b', ANY, ANY, CGROUP_DEVICE_MKNOD, SIZE_MAX},
    {true, 'c', 1, 3, ALL, SIZE_MAX},     /* null */
    {true, 'c', 1, 5, ALL, SIZE_MAX},     /* zero */
    {true, 'c', 1, 7, ALL, SIZE_MAX},     /* full */
    {true, 'c', 1, 8, ALL, SIZE_MAX},     /* random */
    {true, 'c', 1, 9, ALL, SIZE_MAX},     /* urandom */
    {true, 'c', 5, 0, ALL, SIZE_MAX},     /* tty */
    {true, 'c', 5, 2, ALL, SIZE_MAX},     /* ptmx */
    {true, 'c', 136, ANY, ALL, SIZE_MAX}, /* pts/N */
};

#define STANDARD_COUNT (sizeof(standard) / sizeof(standard[0]))

static int parse_access(const char *text, const char *where, unsigned *access, struct wherry_error *err)
{
    unsigned bits = 0;

    for (const char *at = text; *at != '\0'; at++) {
        if (*at == 'r')
            bits |= CGROUP_DEVICE_READ;
        else if (*at == 'w')
            bits |= CGROUP_DEVICE_WRITE;
        else if (*at == 'm')
            bits |= CGROUP_DEVICE_MKNOD;
        else
            return wherry_error_set(err, EINVAL, "%s.access: \"%s\": must be made of r, w and m", where, text);
    }
    *access = bits == 0 ? ALL : bits;
    return 0;
}

static int parse_rule(struct json_object *item, size_t index, struct cgroup_device_rule *rule, struct wherry_error *err)
{
    const char *type = "a", *access = "";
    char where[WHERRY_JSON_WHERE_MAX];
    int64_t major = ANY, minor = ANY;
    int found;

    snprintf(where, sizeof(where), "linux.resources.devices[%zu]", index);
    *rule = (struct cgroup_device_rule){.index = index};
    found = wherry_json_bool(item, where, "allow", &rule->allow, err);
    if (found == 0)
        return wherry_error_set(err, EINVAL, "%s.allow: must be given", where);
    if (found < 0 || wherry_json_string(item, where, "type", &type, err) < 0 ||
        wherry_json_string(item, where, "access", &access, err) < 0 ||
        wherry_json_integer(item, where, "major", ANY, MAJOR_MOST, &major, err) < 0 ||
        wherry_json_integer(item, where, "minor", ANY, MINOR_MOST, &minor, err) < 0)
        return -EINVAL;
    if (type[0] == '\0')
        type = "a";
    /* "u" is an unbuffered character device; POSIX has no other name for it. */
    if (strlen(type) != 1 || strchr("abcu", type[0]) == NULL)
        return wherry_error_set(err, EINVAL, "%s.type: \"%s\": must be a, b, c or u", where, type);
    rule->type = type[0] == 'u' ? 'c' : type[0];
    rule->major = (int)major;
    rule->minor = (int)minor;
    return parse_access(access, where, &rule->access, err);
}

static bool is_catch_all(const struct cgroup_device_rule *rule)
{
    return rule->type == 'a' && rule->major == ANY && rule->minor == ANY && rule->access == ALL;
}

int cgroup_devices_parse(struct json_object *devices, struct cgroup_device_rules *rules, struct wherry_error *err)
{
    size_t given = devices == NULL ? 0 : json_object_array_length(devices);

    if (given > RULES_MAX)
        return wherry_error_set(err, E2BIG, "linux.resources.devices: more than %d rules", RULES_MAX);
    /* A rule for both types can become two. */
    rules->list = calloc(STANDARD_COUNT + 2 * given, sizeof(*rules->list));
    if (rules->list == NULL)
        return wherry_error_set(err, ENOMEM, "linux.resources.devices");
    rules->allow_rest = false;
    for (size_t i = 0; i < given; i++) {
        struct cgroup_device_rule rule;
        int result = parse_rule(json_object_array_get_idx(devices, i), i, &rule, err);

        if (result < 0)
            return result;
        if (is_catch_all(&rule)) {
            rules->allow_rest = rule.allow;
            rules->count = 0;
            continue;
        }
        /* v1 takes "a" for everything, whatever stands behind it: only b and c go further than this. */
        if (rule.type == 'a') {
            rule.type = 'b';
            rules->list[rules->count++] = rule;
            rule.type = 'c';
        }
        rules->list[rules->count++] = rule;
    }
    /* Behind what is given: every container has these devices, whatever its rules say of them (Docker's deny /dev/tty
     * and the making of some nodes by name, and its containers are used with both). */
    if (!rules->allow_rest) {
        memcpy(&rules->list[rules->count], standard, sizeof(standard));
        rules->count += STANDARD_COUNT;
    }
    return 0;
}

void cgroup_devices_free(struct cgroup_device_rules *rules)
{
    free(rules->list);
    *rules = (struct cgroup_device_rules)CGROUP_DEVICE_RULES_INIT;
}
