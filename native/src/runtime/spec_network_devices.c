/* linux.netDevices of config.json; see wherry/spec.h. */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* What the kernel takes for a name (dev_valid_name). */
static bool is_name(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length < IFNAMSIZ && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strpbrk(name, "/: \t\n\v\f\r") == NULL;
}

/* A name, or one with %d at its end for a number. */
static bool is_template(const char *name)
{
    const char *percent = strchr(name, '%');

    return is_name(name) && (percent == NULL || strcmp(percent, "%d") == 0);
}

static int parse_device(struct json_object *table, const char *name, struct wherry_net_device *device,
                        struct wherry_error *err)
{
    struct json_object *object = NULL;
    char where[WHERRY_JSON_WHERE_MAX];
    const char *inside = NULL;

    if (!is_name(name))
        return wherry_error_set(err, 0, "linux.netDevices: \"%s\": must be 1 to 15 bytes without '/', ':' and blanks",
                                name);
    wherry_json_name(where, "linux.netDevices", name);
    if (wherry_json_object(table, "linux.netDevices", name, &object, err) < 0 ||
        wherry_json_string(object, where, "name", &inside, err) < 0)
        return -EINVAL;
    device->name = name;
    device->name_inside = inside != NULL && inside[0] != '\0' ? inside : name;
    if (!is_template(device->name_inside))
        return wherry_error_set(
            err, 0, "%s.name: \"%s\": must be 1 to 15 bytes without '/', ':' and blanks, with %%d at most at its end",
            where, device->name_inside);
    return 0;
}

int wherry_spec_parse_network_devices(struct json_object *system, struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *table = NULL;
    int found = wherry_json_object(system, "linux", "netDevices", &table, err);

    if (found <= 0)
        return found;
    spec->net_devices =
        wherry_arena_array(&spec->arena, (size_t)json_object_object_length(table), sizeof(*spec->net_devices));
    if (spec->net_devices == NULL)
        return wherry_error_set(err, ENOMEM, "linux.netDevices");
    json_object_object_foreach(table, name, ignored)
    {
        (void)ignored;
        if (parse_device(table, name, &spec->net_devices[spec->net_device_count++], err) < 0)
            return -EINVAL;
    }
    return 0;
}
