/* The labels of security modules in config.json: process.apparmorProfile, process.selinuxLabel, linux.mountLabel; see
 * wherry/spec.h. */
#include "spec_parts.h"
#include "wherry/cleanup.h"
#include "wherry/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int parse_label(struct json_object *object, const char *where, const char *key, const char **label,
                       struct wherry_error *err)
{
    char name[WHERRY_JSON_WHERE_MAX];
    int found = wherry_json_string(object, where, key, label, err);

    if (found <= 0)
        return found;
    wherry_json_name(name, where, key);
    /* An empty one asks for nothing. */
    if ((*label)[0] == '\0')
        *label = NULL;
    else if (strchr(*label, '\n') != NULL)
        return wherry_error_set(err, 0, "%s: must be one line", name);
    return 0;
}

int wherry_process_parse_labels(struct json_object *object, const char *where, struct wherry_process *process,
                                struct wherry_error *err)
{
    if (parse_label(object, where, "apparmorProfile", &process->labels[WHERRY_LSM_APPARMOR], err) < 0 ||
        parse_label(object, where, "selinuxLabel", &process->labels[WHERRY_LSM_SELINUX], err) < 0)
        return -EINVAL;
    return 0;
}

int wherry_spec_parse_mount_label(struct json_object *system, struct wherry_spec *spec, struct wherry_error *err)
{
    return parse_label(system, "linux", "mountLabel", &spec->mount_label, err);
}

/* Kernel file systems whose files SELinux labels one by one, and takes no context for. */
static bool takes_context(const struct wherry_mount *mount)
{
    static const char *const others[] = {"proc", "sysfs", "mqueue", "cgroup", "cgroup2"};

    if (mount->bind)
        return false;
    for (size_t i = 0; i < WHERRY_COUNT(others); i++) {
        if (strcmp(mount->type, others[i]) == 0)
            return false;
    }
    return true;
}

int wherry_spec_apply_mount_label(struct wherry_spec *spec, struct wherry_error *err)
{
    cleanup_close int root = -1;
    const char *option;

    if (spec->mount_label == NULL)
        return 0;
    root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!wherry_lsm_is_enabled(WHERRY_LSM_SELINUX, root))
        return wherry_error_set(err, 0, "linux.mountLabel: %s: this kernel runs without SELinux", spec->mount_label);
    option = wherry_arena_format(&spec->arena, "context=%s", spec->mount_label);
    for (size_t i = 0; option != NULL && i < spec->mount_count; i++) {
        struct wherry_mount *mount = &spec->mounts[i];
        const char **data;

        if (!takes_context(mount))
            continue;
        data = wherry_arena_array(&spec->arena, mount->data_count + 1, sizeof(*data));
        if (data == NULL)
            return wherry_error_set(err, ENOMEM, "linux.mountLabel");
        if (mount->data_count > 0)
            memcpy(data, mount->data, mount->data_count * sizeof(*data));
        data[mount->data_count++] = option;
        mount->data = data;
    }
    return option != NULL ? 0 : wherry_error_set(err, ENOMEM, "linux.mountLabel");
}
