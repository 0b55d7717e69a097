/* The mounts of config.json; see wherry/spec.h. */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static int refuse_option(const char *where, const char *option, const char *why, struct wherry_error *err)
{
    return wherry_error_set(err, 0, "%s.options: %s: %s", where, option, why);
}

/* Options that only say something about binds, or about a file system that is being mounted. */
static int check_bind_only(const struct wherry_mount *mount, const char *where, struct wherry_error *err)
{
    const char *option = mount->copy_symlink      ? "copy-symlink"
                         : mount->source_nofollow ? "src-nofollow"
                         : mount->target_nofollow ? "dest-nofollow"
                         : mount->idmapped        ? "idmap, ridmap, uidMappings, gidMappings"
                                                  : NULL;

    return option != NULL ? refuse_option(where, option, "only for a bind mount", err) : 0;
}

/* A bind shares the file system with whoever else has it mounted: what belongs to the file system cannot be had for one
 * of its mounts alone. */
static int check_no_system(const struct wherry_mount *mount, const char *where, struct wherry_error *err)
{
    static const struct {
        unsigned long flag;
        const char *names;
    } flags[] = {{MS_SYNCHRONOUS, "sync, async"},
                 {MS_DIRSYNC, "dirsync"},
                 {MS_LAZYTIME, "lazytime, nolazytime"},
                 {MS_I_VERSION, "iversion, noiversion"}};

    for (size_t i = 0; i < WHERRY_COUNT(flags); i++) {
        if (((mount->system_set | mount->system_clear) & flags[i].flag) != 0)
            return refuse_option(where, flags[i].names,
                                 "not supported for a bind mount: belongs to the file system, not to one mount of it",
                                 err);
    }
    if (mount->copy_up)
        return refuse_option(where, "tmpcopyup", "only for type tmpfs", err);
    if (mount->data_count > 0)
        return refuse_option(where, mount->data[0], "not supported for a bind mount", err);
    return 0;
}

static int settle_bind(struct wherry_spec *spec, const char *bundle, const char *where, struct wherry_mount *mount,
                       struct wherry_error *err)
{
    if (check_no_system(mount, where, err) < 0)
        return -EINVAL;
    if (mount->copy_symlink && (mount->source_nofollow || mount->target_nofollow))
        return refuse_option(where, "copy-symlink", "not together with src-nofollow or dest-nofollow", err);
    if (mount->idmap_recursive && !mount->recursive)
        return refuse_option(where, "ridmap", "only for a recursive bind mount (rbind)", err);
    if (mount->source == NULL || mount->source[0] == '\0')
        return wherry_error_set(err, 0, "%s.source: must be set for a bind mount", where);
    if (mount->source[0] != '/')
        mount->source = wherry_arena_format(&spec->arena, "%s/%s", bundle, mount->source);
    return mount->source != NULL ? 0 : wherry_error_set(err, ENOMEM, "%s", where);
}

/* A remount has no source: it changes what is there. With "bind" the mount, without it the file system too. */
static int settle_remount(const char *where, const struct wherry_mount *mount, struct wherry_error *err)
{
    if (check_bind_only(mount, where, err) < 0)
        return -EINVAL;
    if (mount->bind && check_no_system(mount, where, err) < 0)
        return -EINVAL;
    if (mount->copy_up)
        return refuse_option(where, "tmpcopyup", "not together with remount", err);
    if (((mount->system_set | mount->system_clear) & MS_I_VERSION) != 0)
        return refuse_option(where, "iversion, noiversion", "not supported together with remount", err);
    return 0;
}

static int settle_filesystem(const char *where, struct wherry_mount *mount, struct wherry_error *err)
{
    if (check_bind_only(mount, where, err) < 0)
        return -EINVAL;
    if (mount->type == NULL || mount->type[0] == '\0')
        return wherry_error_set(err, 0, "%s.type: must be set for what is not a bind mount", where);
    if (mount->copy_up && strcmp(mount->type, "tmpfs") != 0)
        return refuse_option(where, "tmpcopyup", "only for type tmpfs", err);
    /* Which hierarchies there are is the host's matter, and their options are those that it has given them. */
    if (strcmp(mount->type, "cgroup") == 0 || strcmp(mount->type, "cgroup2") == 0) {
        if (mount->data_count > 0)
            return refuse_option(where, mount->data[0], "not supported for control groups", err);
        if ((mount->system_set | mount->system_clear) != 0)
            return refuse_option(where, "sync, dirsync, lazytime, iversion", "not supported for control groups", err);
    }
    if (mount->source == NULL || mount->source[0] == '\0')
        mount->source = mount->type;
    return 0;
}

static int settle(struct wherry_spec *spec, const char *bundle, const char *where, struct wherry_mount *mount,
                  struct wherry_error *err)
{
    if (mount->type != NULL && strcmp(mount->type, "bind") == 0 && !mount->bind) {
        mount->bind = true;
        mount->recursive = true;
    }
    if (mount->remount)
        return settle_remount(where, mount, err);
    return mount->bind ? settle_bind(spec, bundle, where, mount, err) : settle_filesystem(where, mount, err);
}

static int parse_destination(struct wherry_spec *spec, const char *where, struct wherry_mount *mount,
                             struct wherry_error *err)
{
    if (mount->destination == NULL || mount->destination[0] == '\0')
        return wherry_error_set(err, 0, "%s.destination: must be set", where);
    /* Old tools write relative ones, which mean the container's root: config.md, "Mounts". */
    if (mount->destination[0] != '/')
        mount->destination = wherry_arena_format(&spec->arena, "/%s", mount->destination);
    return mount->destination != NULL ? 0 : wherry_error_set(err, ENOMEM, "%s", where);
}

static int parse_idmap(struct wherry_spec *spec, struct json_object *object, const char *where,
                       struct wherry_mount *mount, struct wherry_error *err)
{
    /* The option has them already. */
    static const char *const refused[] = {"gidMappings", "uidMappings"};

    if (mount->uid_mappings.count > 0)
        return wherry_json_refuse(object, where, refused, WHERRY_COUNT(refused), err);
    if (wherry_spec_parse_mappings(object, where, "uidMappings", &spec->arena, &mount->uid_mappings, err) < 0 ||
        wherry_spec_parse_mappings(object, where, "gidMappings", &spec->arena, &mount->gid_mappings, err) < 0)
        return -EINVAL;
    if ((mount->uid_mappings.count > 0) != (mount->gid_mappings.count > 0))
        return wherry_error_set(err, 0, "%s.uidMappings, %s.gidMappings: must be set both or not at all", where, where);
    if (mount->uid_mappings.count > 0)
        mount->idmapped = true;
    return 0;
}

static int parse_mount(struct wherry_spec *spec, const char *bundle, struct json_object *object, const char *where,
                       struct wherry_mount *mount, struct wherry_error *err)
{
    const char **options = NULL;
    size_t count = 0;

    if (wherry_json_refuse(object, where, NULL, 0, err) < 0 ||
        wherry_json_string(object, where, "destination", &mount->destination, err) < 0 ||
        wherry_json_string(object, where, "type", &mount->type, err) < 0 ||
        wherry_json_string(object, where, "source", &mount->source, err) < 0 ||
        wherry_json_strings(object, where, "options", &spec->arena, &options, &count, err) < 0 ||
        parse_destination(spec, where, mount, err) < 0 ||
        wherry_mount_options_parse((const char *const *)options, count, where, &spec->arena, mount, err) < 0 ||
        parse_idmap(spec, object, where, mount, err) < 0)
        return -EINVAL;
    return settle(spec, bundle, where, mount, err);
}

int wherry_spec_add_bind(struct wherry_spec *spec, const char *source, const char *destination,
                         struct wherry_error *err)
{
    static const char *const options[] = {"bind", "ro", "nosuid", "nodev", "noexec"};
    struct wherry_mount *mounts = wherry_arena_array(&spec->arena, spec->mount_count + 1, sizeof(*mounts));
    struct wherry_mount *mount;

    if (mounts == NULL)
        return wherry_error_set(err, ENOMEM, "mounts");
    if (spec->mount_count > 0)
        memcpy(mounts, spec->mounts, spec->mount_count * sizeof(*mounts));
    mount = &mounts[spec->mount_count];
    mount->source = source;
    mount->destination = destination;
    if (wherry_mount_options_parse(options, WHERRY_COUNT(options), destination, &spec->arena, mount, err) < 0 ||
        settle(spec, "/", destination, mount, err) < 0)
        return -1;
    spec->mounts = mounts;
    spec->mount_count++;
    return 0;
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
