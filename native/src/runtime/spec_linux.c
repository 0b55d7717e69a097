/* The linux object of config.json; see wherry/spec.h and the specification's config-linux.md. */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Device numbers of the kernel: 12 bits of major, 20 bits of minor. */
#define MAJOR_MAX 4095
#define MINOR_MAX 1048575

static int parse_namespace(struct json_object *object, const char *where, struct wherry_spec *spec,
                           struct wherry_error *err)
{
    static const struct {
        const char *name;
        int flag;
    } types[] = {{"pid", CLONE_NEWPID},       {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},
                 {"ipc", CLONE_NEWIPC},       {"uts", CLONE_NEWUTS},     {"user", CLONE_NEWUSER},
                 {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
    struct wherry_namespace *namespace;
    const char *type = NULL, *path = NULL;

    if (wherry_json_refuse(object, where, NULL, 0, err) < 0 ||
        wherry_json_string(object, where, "type", &type, err) < 0 ||
        wherry_json_string(object, where, "path", &path, err) < 0)
        return -EINVAL;
    for (size_t i = 0; type != NULL && i < WHERRY_COUNT(types); i++) {
        if (strcmp(type, types[i].name) != 0)
            continue;
        if (wherry_spec_namespace(spec, types[i].flag) != NULL)
            return wherry_error_set(err, 0, "%s.type: %s: named twice", where, type);
        if (path != NULL && path[0] != '\0' && path[0] != '/')
            return wherry_error_set(err, 0, "%s.path: %s: must be an absolute path", where, path);
        namespace = &spec->namespaces[spec->namespace_count++];
        namespace->flag = types[i].flag;
        namespace->name = types[i].name;
        namespace->path = path != NULL && path[0] != '\0' ? path : NULL;
        return 0;
    }
    return wherry_error_set(err, 0, "%s.type: %s: must be pid, network, mount, ipc, uts, user, cgroup or time", where,
                            type != NULL ? type : "absent");
}

static int parse_mapping(struct json_object *object, const char *where, struct wherry_id_mapping *mapping,
                         struct wherry_error *err)
{
    int64_t inside = -1, outside = -1, count = -1;

    if (wherry_json_refuse(object, where, NULL, 0, err) < 0 ||
        wherry_json_integer(object, where, "containerID", 0, WHERRY_ID_MAX, &inside, err) < 0 ||
        wherry_json_integer(object, where, "hostID", 0, WHERRY_ID_MAX, &outside, err) < 0 ||
        wherry_json_integer(object, where, "size", 1, WHERRY_ID_MAX + 1, &count, err) < 0)
        return -EINVAL;
    if (inside < 0 || outside < 0 || count < 0)
        return wherry_error_set(err, 0, "%s: must have containerID, hostID and size", where);
    if (inside + count > WHERRY_ID_MAX + 1 || outside + count > WHERRY_ID_MAX + 1)
        return wherry_error_set(err, 0, "%s: reaches beyond ID %lld", where, WHERRY_ID_MAX);
    *mapping = (struct wherry_id_mapping){(uint32_t)inside, (uint32_t)outside, (uint32_t)count};
    return 0;
}

int wherry_spec_parse_mappings(struct json_object *object, const char *where, const char *key,
                               struct wherry_arena *arena, struct wherry_id_mappings *mappings,
                               struct wherry_error *err)
{
    struct json_object *array = NULL;
    size_t count;
    int found;

    found = wherry_json_array(object, where, key, &array, err);
    if (found <= 0)
        return found;
    count = json_object_array_length(array);
    /* The kernel takes at most 340 lines, user_namespaces(7). */
    if (count > 340)
        return wherry_error_set(err, 0, "%s.%s: must be at most 340 mappings", where, key);
    mappings->items = wherry_arena_array(arena, count, sizeof(*mappings->items));
    if (mappings->items == NULL)
        return wherry_error_set(err, ENOMEM, "%s.%s", where, key);
    mappings->count = count;
    for (size_t i = 0; i < count; i++) {
        char name[WHERRY_JSON_WHERE_MAX];

        snprintf(name, sizeof(name), "%s.%s[%zu]", where, key, i);
        if (parse_mapping(json_object_array_get_idx(array, i), name, &mappings->items[i], err) < 0)
            return -EINVAL;
    }
    return 0;
}

static int parse_device(struct json_object *object, const char *where, struct wherry_device *device,
                        struct wherry_error *err)
{
    int64_t major_number = -1, minor_number = -1, mode = 0666, uid = 0, gid = 0;
    const char *type = NULL;

    if (wherry_json_refuse(object, where, NULL, 0, err) < 0 ||
        wherry_json_string(object, where, "type", &type, err) < 0 ||
        wherry_json_string(object, where, "path", &device->path, err) < 0 ||
        wherry_json_integer(object, where, "major", 0, MAJOR_MAX, &major_number, err) < 0 ||
        wherry_json_integer(object, where, "minor", 0, MINOR_MAX, &minor_number, err) < 0 ||
        wherry_json_integer(object, where, "fileMode", 0, UINT32_MAX, &mode, err) < 0 ||
        wherry_json_integer(object, where, "uid", 0, WHERRY_ID_MAX, &uid, err) < 0 ||
        wherry_json_integer(object, where, "gid", 0, WHERRY_ID_MAX, &gid, err) < 0)
        return -EINVAL;
    if (device->path == NULL || device->path[0] != '/')
        return wherry_error_set(err, 0, "%s.path: must be an absolute path", where);
    if (type == NULL || strlen(type) != 1 || strchr("cubp", type[0]) == NULL)
        return wherry_error_set(err, 0, "%s.type: %s: must be c, u, b or p", where, type != NULL ? type : "absent");
    if (type[0] != 'p' && (major_number < 0 || minor_number < 0))
        return wherry_error_set(err, 0, "%s: must have major and minor", where);
    device->mode = (mode_t)(mode & 07777) | (type[0] == 'b' ? S_IFBLK : type[0] == 'p' ? S_IFIFO : S_IFCHR);
    device->number = type[0] == 'p' ? 0 : makedev((unsigned)major_number, (unsigned)minor_number);
    device->uid = (uid_t)uid;
    device->gid = (gid_t)gid;
    return 0;
}

static int parse_devices(struct json_object *object, struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *array = NULL;
    size_t count;
    int found;

    found = wherry_json_array(object, "linux", "devices", &array, err);
    if (found <= 0)
        return found;
    count = json_object_array_length(array);
    spec->devices = wherry_arena_array(&spec->arena, count, sizeof(*spec->devices));
    if (spec->devices == NULL)
        return wherry_error_set(err, ENOMEM, "linux.devices");
    spec->device_count = count;
    for (size_t i = 0; i < count; i++) {
        char where[WHERRY_JSON_WHERE_MAX];

        snprintf(where, sizeof(where), "linux.devices[%zu]", i);
        if (parse_device(json_object_array_get_idx(array, i), where, &spec->devices[i], err) < 0)
            return -EINVAL;
    }
    return 0;
}

/* "net.ipv4.ip_forward" and "net/ipv4/conf/eth0.1/forwarding" are both in use: the first separator tells which one
 * separates (sysctl(8)), the other is then part of a name. */
static int sysctl_path(struct wherry_arena *arena, struct wherry_sysctl *sysctl, struct wherry_error *err)
{
    const char *first = strpbrk(sysctl->name, "./");

    if (first == NULL || first == sysctl->name || strstr(sysctl->name, "..") != NULL)
        return wherry_error_set(err, 0, "linux.sysctl.%s: not a sysctl name", sysctl->name);
    sysctl->path = wherry_arena_format(arena, "sys/%s", sysctl->name);
    if (sysctl->path == NULL)
        return wherry_error_set(err, ENOMEM, "linux.sysctl");
    if (*first == '/')
        return 0;
    for (char *at = sysctl->path + strlen("sys/"); *at != '\0'; at++)
        *at = *at == '.' ? '/' : *at == '/' ? '.' : *at;
    return 0;
}

/* A sysctl that no namespace of the container holds would change the host: only the namespaced ones are taken. */
static int check_sysctl(const struct wherry_spec *spec, const struct wherry_sysctl *sysctl, struct wherry_error *err)
{
    static const struct {
        const char *prefix;
        int flag;
        const char *namespace;
    } owners[] = {{"sys/net/", CLONE_NEWNET, "network"},       {"sys/fs/mqueue/", CLONE_NEWIPC, "ipc"},
                  {"sys/kernel/msg", CLONE_NEWIPC, "ipc"},     {"sys/kernel/sem", CLONE_NEWIPC, "ipc"},
                  {"sys/kernel/shm", CLONE_NEWIPC, "ipc"},     {"sys/kernel/domainname", CLONE_NEWUTS, "uts"},
                  {"sys/kernel/hostname", CLONE_NEWUTS, "uts"}};

    /* hostname says it; what is left of a container's name when both do is nobody's guess. */
    if (strcmp(sysctl->path, "sys/kernel/hostname") == 0)
        return wherry_error_set(err, 0, "linux.sysctl.%s: is set by hostname", sysctl->name);
    for (size_t i = 0; i < WHERRY_COUNT(owners); i++) {
        if (strncmp(sysctl->path, owners[i].prefix, strlen(owners[i].prefix)) != 0)
            continue;
        if (wherry_spec_namespace(spec, owners[i].flag) != NULL)
            return 0;
        return wherry_error_set(err, 0, "linux.sysctl.%s: needs a %s namespace of the container's own", sysctl->name,
                                owners[i].namespace);
    }
    return wherry_error_set(err, 0, "linux.sysctl.%s: belongs to no namespace, it would change the host", sysctl->name);
}

static int parse_sysctls(struct json_object *object, struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *table = NULL;
    int found;

    found = wherry_json_object(object, "linux", "sysctl", &table, err);
    if (found <= 0)
        return found;
    spec->sysctls = wherry_arena_array(&spec->arena, (size_t)json_object_object_length(table), sizeof(*spec->sysctls));
    if (spec->sysctls == NULL)
        return wherry_error_set(err, ENOMEM, "linux.sysctl");
    json_object_object_foreach(table, name, ignored)
    {
        struct wherry_sysctl *sysctl = &spec->sysctls[spec->sysctl_count];

        (void)ignored;
        sysctl->name = name;
        if (wherry_json_string(table, "linux.sysctl", name, &sysctl->value, err) < 0)
            return -EINVAL;
        if (sysctl->value == NULL)
            continue;
        if (sysctl_path(&spec->arena, sysctl, err) < 0 || check_sysctl(spec, sysctl, err) < 0)
            return -EINVAL;
        spec->sysctl_count++;
    }
    return 0;
}

static int parse_root_propagation(struct json_object *object, struct wherry_spec *spec, struct wherry_error *err)
{
    static const struct {
        const char *name;
        uint64_t value;
        bool recursive;
    } modes[] = {{"private", MS_PRIVATE, false},       {"rprivate", MS_PRIVATE, true},
                 {"shared", MS_SHARED, false},         {"rshared", MS_SHARED, true},
                 {"slave", MS_SLAVE, false},           {"rslave", MS_SLAVE, true},
                 {"unbindable", MS_UNBINDABLE, false}, {"runbindable", MS_UNBINDABLE, true}};
    const char *mode = NULL;

    if (wherry_json_string(object, "linux", "rootfsPropagation", &mode, err) < 0)
        return -EINVAL;
    if (mode == NULL || mode[0] == '\0')
        return 0;
    for (size_t i = 0; i < WHERRY_COUNT(modes); i++) {
        if (strcmp(mode, modes[i].name) == 0) {
            spec->root_propagation = modes[i].value;
            spec->root_propagation_recursive = modes[i].recursive;
            return 0;
        }
    }
    return wherry_error_set(err, 0,
                            "linux.rootfsPropagation: %s: must be private, shared, slave or unbindable, or one of "
                            "them with an r before it",
                            mode);
}

static int parse_namespaces(struct json_object *object, struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *array = NULL;
    int found;

    found = wherry_json_array(object, "linux", "namespaces", &array, err);
    if (found <= 0)
        return found;
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        char where[WHERRY_JSON_WHERE_MAX];

        snprintf(where, sizeof(where), "linux.namespaces[%zu]", i);
        if (parse_namespace(json_object_array_get_idx(array, i), where, spec, err) < 0)
            return -EINVAL;
    }
    return 0;
}

int wherry_spec_parse_linux(struct wherry_spec *spec, struct wherry_error *err)
{
    static const char *const refused[] = {"intelRdt"};
    struct json_object *object = NULL;
    struct wherry_arena *arena = &spec->arena;
    int found;

    found = wherry_json_object(spec->document, "", "linux", &object, err);
    if (found <= 0)
        return found;
    if (wherry_json_refuse(object, "linux", refused, WHERRY_COUNT(refused), err) < 0 ||
        parse_namespaces(object, spec, err) < 0 ||
        wherry_execution_domain_parse(object, arena, &spec->domain, err) < 0 ||
        wherry_spec_parse_time(object, spec, err) < 0 || wherry_spec_parse_network_devices(object, spec, err) < 0 ||
        wherry_spec_parse_mappings(object, "linux", "uidMappings", arena, &spec->uid_mappings, err) < 0 ||
        wherry_spec_parse_mappings(object, "linux", "gidMappings", arena, &spec->gid_mappings, err) < 0 ||
        parse_devices(object, spec, err) < 0 || parse_sysctls(object, spec, err) < 0 ||
        parse_root_propagation(object, spec, err) < 0 ||
        wherry_json_string(object, "linux", "cgroupsPath", &spec->cgroups_path, err) < 0 ||
        wherry_json_object(object, "linux", "resources", &spec->resources, err) < 0 ||
        wherry_json_object(object, "linux", "seccomp", &spec->seccomp, err) < 0 ||
        wherry_json_strings(object, "linux", "maskedPaths", arena, &spec->masked_paths, &spec->masked_count, err) < 0 ||
        wherry_json_strings(object, "linux", "readonlyPaths", arena, &spec->readonly_paths, &spec->readonly_count,
                            err) < 0 ||
        wherry_spec_parse_mount_label(object, spec, err) < 0)
        return -EINVAL;
    return 0;
}
