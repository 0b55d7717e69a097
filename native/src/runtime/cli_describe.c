/* The verb features on the command line; see cli.h. */
#include "cli.h"
#include "seccomp_rules.h"
#include "wherry/capabilities.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/spec.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct json_object *strings(const char *const *items, size_t count)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < count; i++)
        json_object_array_add(array, json_object_new_string(items[i]));
    return array;
}

static struct json_object *capability_names(void)
{
    struct json_object *array = json_object_new_array();
    const char *name;

    for (unsigned i = 0; (name = wherry_capability_name(i)) != NULL; i++)
        json_object_array_add(array, json_object_new_string(name));
    return array;
}

static struct json_object *mount_options(void)
{
    struct json_object *array = json_object_new_array();
    const char *name;

    for (size_t i = 0; (name = wherry_mount_option_name(i)) != NULL; i++)
        json_object_array_add(array, json_object_new_string(name));
    return array;
}

/* {"enabled": VALUE} */
static struct json_object *enabled(bool value)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "enabled", json_object_new_boolean(value));
    return object;
}

static struct json_object *linux_features(void)
{
    static const char *const namespaces[] = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"};
    static const struct {
        const char *name;
        bool value;
    } groups[] = {{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", false}, {"rdma", true}};
    struct json_object *object = json_object_new_object();
    struct json_object *cgroup = json_object_new_object();
    struct json_object *mount_extensions = json_object_new_object();

    for (size_t i = 0; i < COUNT(groups); i++)
        json_object_object_add(cgroup, groups[i].name, json_object_new_boolean(groups[i].value));
    json_object_object_add(object, "namespaces", strings(namespaces, COUNT(namespaces)));
    json_object_object_add(object, "capabilities", capability_names());
    json_object_object_add(object, "cgroup", cgroup);
    json_object_object_add(object, "seccomp", seccomp_rules_describe());
    /* Of this program, not of the kernel that it runs on (features.md). */
    json_object_object_add(object, "apparmor", enabled(true));
    json_object_object_add(object, "selinux", enabled(true));
    json_object_object_add(object, "intelRdt", enabled(false));
    json_object_object_add(object, "netDevices", enabled(true));
    json_object_object_add(object, "memoryPolicy", wherry_memory_policy_describe());
    json_object_object_add(mount_extensions, "idmap", enabled(true));
    json_object_object_add(object, "mountExtensions", mount_extensions);
    return object;
}

int wherry_cli_features(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{0}};
    static const char *const hooks[] = {"prestart",       "createRuntime", "createContainer",
                                        "startContainer", "poststart",     "poststop"};
    struct json_object *features;

    (void)cli;
    if (wherry_cli_next(argc, argv, ":", options, err) == -2 || wherry_cli_operands(argc, argv, 0, 0, err) < 0)
        return -1;
    features = json_object_new_object();
    json_object_object_add(features, "ociVersionMin", json_object_new_string("1.0.0"));
    json_object_object_add(features, "ociVersionMax", json_object_new_string(WHERRY_SPEC_VERSION));
    json_object_object_add(features, "hooks", strings(hooks, COUNT(hooks)));
    json_object_object_add(features, "mountOptions", mount_options());
    json_object_object_add(features, "linux", linux_features());
    json_object_object_add(features, "annotations", json_object_new_object());
    json_object_object_add(json_object_object_get(features, "annotations"), "io.github.seccomp.libseccomp.version",
                           seccomp_rules_library());
    return wherry_cli_print(features, err);
}
