/* The parts of linux.resources whose files have the same names on cgroup v1 and v2, or nearly. */
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_setting.h"
#include "wherry/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WHERE "linux.resources"

static int translate_cpuset(struct json_object *cpu, const char *key, const char *field, const char *file,
                            struct cgroup_settings *settings, struct wherry_error *err)
{
    const char *value = NULL;
    int found = wherry_json_string(cpu, WHERE ".cpu", key, &value, err);

    if (found <= 0 || value[0] == '\0')
        return found;
    if (value[strspn(value, "0123456789,-")] != '\0')
        return wherry_error_set(err, EINVAL, "linux.resources.%s: \"%s\": must be a list like 0-2,7", field, value);
    return cgroup_settings_add(settings, CGROUP_CPUSET, field, file, err, "%s", value) == NULL ? -ENOMEM : 0;
}

static int translate_pids(struct json_object *resources, struct cgroup_settings *settings, struct wherry_error *err)
{
    struct json_object *pids = NULL;
    struct cgroup_setting *setting;
    int64_t limit = 0;
    int found = wherry_json_object(resources, WHERE, "pids", &pids, err);

    if (found > 0)
        found = wherry_json_integer(pids, WHERE ".pids", "limit", INT64_MIN, INT64_MAX, &limit, err);
    if (found <= 0)
        return found;
    if (limit > 0)
        setting = cgroup_settings_add(settings, CGROUP_PIDS, "pids.limit", "pids.max", err, "%lld", (long long)limit);
    else
        setting = cgroup_settings_add(settings, CGROUP_PIDS, "pids.limit", "pids.max", err, "max");
    if (setting == NULL)
        return -ENOMEM;
    setting->unlimited = limit <= 0;
    return 0;
}

/* "[1-9][0-9]*[KMG]B", which also keeps it a plain part of a file name. */
static bool is_page_size(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits < 8 && text[0] != '0' && text[digits] != '\0' && strchr("KMG", text[digits]) != NULL &&
           strcmp(text + digits + 1, "B") == 0;
}

/* The limit of what is used, and of what is reserved by mmap(2), which newer kernels count apart. */
static int add_hugepages(const char *size, int64_t limit, bool unified, struct cgroup_settings *settings,
                         struct wherry_error *err)
{
    static const char *const kinds[] = {"", "rsvd."};

    for (size_t i = 0; i < 2; i++) {
        const char *file = wherry_arena_format(&settings->arena, "hugetlb.%s.%s%s", size, kinds[i],
                                               unified ? "max" : "limit_in_bytes");
        struct cgroup_setting *setting = file == NULL ? NULL
                                                      : cgroup_settings_add(settings, CGROUP_HUGETLB, "hugepageLimits",
                                                                            file, err, "%lld", (long long)limit);

        if (setting == NULL)
            return wherry_error_set(err, ENOMEM, WHERE ".hugepageLimits");
        setting->optional = i > 0;
    }
    return 0;
}

static int translate_hugepages(struct json_object *resources, bool unified, struct cgroup_settings *settings,
                               struct wherry_error *err)
{
    struct json_object *list = NULL;
    int result = wherry_json_array(resources, WHERE, "hugepageLimits", &list, err);

    if (result <= 0)
        return result;
    for (size_t i = 0; i < json_object_array_length(list) && result >= 0; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        char where[WHERRY_JSON_WHERE_MAX];
        const char *size = NULL;
        int64_t limit = -1;

        snprintf(where, sizeof(where), WHERE ".hugepageLimits[%zu]", i);
        if (wherry_json_string(item, where, "pageSize", &size, err) < 0 ||
            wherry_json_integer(item, where, "limit", 0, INT64_MAX, &limit, err) < 0)
            return -EINVAL;
        if (size == NULL || !is_page_size(size))
            return wherry_error_set(err, EINVAL, "%s.pageSize: \"%s\": must be like 2MB", where,
                                    size != NULL ? size : "");
        if (limit < 0)
            return wherry_error_set(err, EINVAL, "%s.limit: must be given", where);
        result = add_hugepages(size, limit, unified, settings, err);
    }
    return result < 0 ? result : 0;
}

/* "DEVICE hca_handle=N hca_object=N", a part that is not named is left as it is. */
static int translate_rdma(struct json_object *resources, struct cgroup_settings *settings, struct wherry_error *err)
{
    struct json_object *devices = NULL;
    int found = wherry_json_object(resources, WHERE, "rdma", &devices, err);

    if (found <= 0)
        return found;
    json_object_object_foreach(devices, name, limits)
    {
        int64_t handles = 0, objects = 0;
        int has_handles = wherry_json_integer(limits, WHERE ".rdma", "hcaHandles", 0, UINT32_MAX, &handles, err);
        int has_objects = wherry_json_integer(limits, WHERE ".rdma", "hcaObjects", 0, UINT32_MAX, &objects, err);
        char first[32] = "", second[32] = "";

        if (has_handles < 0 || has_objects < 0)
            return -EINVAL;
        if (name[0] == '\0' || name[strcspn(name, " \n")] != '\0' || (has_handles == 0 && has_objects == 0))
            return wherry_error_set(err, EINVAL, WHERE ".rdma: \"%s\": must be a device with hcaHandles or hcaObjects",
                                    name);
        if (has_handles > 0)
            snprintf(first, sizeof(first), " hca_handle=%lld", (long long)handles);
        if (has_objects > 0)
            snprintf(second, sizeof(second), " hca_object=%lld", (long long)objects);
        if (cgroup_settings_add(settings, CGROUP_RDMA, "rdma", "rdma.max", err, "%s%s%s", name, first, second) == NULL)
            return -ENOMEM;
    }
    return 0;
}

int cgroup_common_translate(struct json_object *resources, bool unified, struct cgroup_settings *settings,
                            struct wherry_error *err)
{
    struct json_object *cpu = NULL;
    int result = wherry_json_object(resources, WHERE, "cpu", &cpu, err);

    if (result >= 0)
        result = translate_cpuset(cpu, "cpus", "cpu.cpus", "cpuset.cpus", settings, err);
    if (result >= 0)
        result = translate_cpuset(cpu, "mems", "cpu.mems", "cpuset.mems", settings, err);
    if (result >= 0)
        result = translate_pids(resources, settings, err);
    if (result >= 0)
        result = translate_hugepages(resources, unified, settings, err);
    if (result >= 0)
        result = translate_rdma(resources, settings, err);
    return result;
}
