/* The mounts of config.json; see wherry/spec.h. */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a mount is, and from where: a bind's source is a path of the host, any other source is the file system's own
 * matter. */
static int settle_source(struct wherry_spec *spec, const char *bundle, const char *where, struct wherry_mount *mount,
                         struct wherry_error *err)
{
    if (mount->type != NULL && strcmp(mount->type, "bind") == 0 && !mount->bind) {
        mount->bind = true;
        mount->recursive = true;
    }
    if (!mount->bind) {
        if (mount->type == NULL || mount->type[0] == '\0')
            return wherry_error_set(err, 0, "%s.type: must be set for what is not a bind mount", where);
        if (mount->source == NULL || mount->source[0] == '\0')
            mount->source = mount->type;
        if (mount->copy_up && strcmp(mount->type, "tmpfs") != 0)
            return wherry_error_set(err, 0, "%s.options: tmpcopyup: only for type tmpfs", where);
        return 0;
    }
    if (mount->copy_up)
        return wherry_error_set(err, 0, "%s.options: tmpcopyup: only for type tmpfs", where);
    if (mount->source == NULL || mount->source[0] == '\0')
        return wherry_error_set(err, 0, "%s.source: must be set for a bind mount", where);
    if (mount->data_count > 0)
        return wherry_error_set(err, 0, "%s.options: %s: not supported for a bind mount", where, mount->data[0]);
    if (mount->source[0] != '/')
        mount->source = wherry_arena_format(&spec->arena, "%s/%s", bundle, mount->source);
    return mount->source != NULL ? 0 : wherry_error_set(err, ENOMEM, "%s", where);
}

static int parse_mount(struct wherry_spec *spec, const char *bundle, struct json_object *object, const char *where,
                       struct wherry_mount *mount, struct wherry_error *err)
{
    static const char *const refused[] = {"gidMappings", "uidMappings"};
    const char **options = NULL;
    size_t count = 0;

    if (wherry_json_refuse(object, where, refused, WHERRY_COUNT(refused), err) < 0 ||
        wherry_json_string(object, where, "destination", &mount->destination, err) < 0 ||
        wherry_json_string(object, where, "type", &mount->type, err) < 0 ||
        wherry_json_string(object, where, "source", &mount->source, err) < 0 ||
        wherry_json_strings(object, where, "options", &spec->arena, &options, &count, err) < 0)
        return -EINVAL;
    if (mount->destination == NULL || mount->destination[0] != '/')
        return wherry_error_set(err, 0, "%s.destination: %s: must be an absolute path", where,
                                mount->destination != NULL ? mount->destination : "absent");
    if (wherry_mount_options_parse((const char *const *)options, count, where, &spec->arena, mount, err) < 0)
        return -EINVAL;
    return settle_source(spec, bundle, where, mount, err);
}

int wherry_spec_parse_mounts(struct wherry_spec *spec, const char *bundle, struct wherry_error *err)
{
    struct json_object *array = NULL;
    size_t count;
    int found;

    found = wherry_json_array(spec->document, "", "mounts", &array, err);
    if (found <= 0)
        return found;
    count = json_object_array_length(array);
    spec->mounts = wherry_arena_array(&spec->arena, count, sizeof(*spec->mounts));
    if (spec->mounts == NULL)
        return wherry_error_set(err, ENOMEM, "mounts");
    spec->mount_count = count;
    for (size_t i = 0; i < count; i++) {
        char where[WHERRY_JSON_WHERE_MAX];

        snprintf(where, sizeof(where), "mounts[%zu]", i);
        if (parse_mount(spec, bundle, json_object_array_get_idx(array, i), where, &spec->mounts[i], err) < 0)
            return -EINVAL;
    }
    return 0;
}
