/* The life of a container's control groups; see wherry/cgroup.h. */
#include "wherry/cgroup.h"

#include "runtime/cgroup_devices.h"
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_make.h"
#include "runtime/cgroup_setting.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHERE "linux.resources"

static void cleanup_cgroup_layout_free(struct cgroup_layout *layout)
{
    cgroup_layout_free(layout);
}

#define cleanup_cgroup_layout __attribute__((cleanup(cleanup_cgroup_layout_free)))

/* Reads the device rules; on v1 they become settings like the others. Returns whether there are rules to apply. */
static int prepare_devices(struct json_object *resources, bool update, struct wherry_cgroup *cg,
                           struct cgroup_device_rules *rules, struct cgroup_settings *settings,
                           struct wherry_error *err)
{
    const struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_DEVICES);
    struct json_object *devices = NULL;
    int result = wherry_json_array(resources, WHERE, "devices", &devices, err);

    if (result < 0 || (result == 0 && update))
        return result;
    result = cgroup_devices_parse(devices, rules, err);
    if (result < 0)
        return result;
    if (directory == NULL)
        return wherry_error_set(err, ENOTSUP, WHERE ".devices: the devices controller is not mounted on this host");
    if (directory->unified)
        return 1;
    result = cgroup_devices_v1(rules, settings, err);
    return result < 0 ? result : 1;
}

static int translate(struct json_object *resources, bool update, struct wherry_cgroup *cg,
                     struct cgroup_settings *settings, struct wherry_error *err)
{
    if (resources == NULL)
        return 0;
    if (cg->layout == WHERRY_CGROUP_V2)
        return cgroup_v2_translate(resources, update ? cg : NULL, settings, err);
    return cgroup_v1_translate(resources, settings, err);
}

/* checkBeforeUpdate: a limit below what is used already would only have the OOM killer end the container. */
static int check_usage(struct json_object *resources, struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_MEMORY);
    struct json_object *memory = NULL;
    int64_t limit = -1;
    bool check = false;
    char text[32];
    int result = wherry_json_object(resources, WHERE, "memory", &memory, err);

    if (result > 0)
        result = wherry_json_bool(memory, WHERE ".memory", "checkBeforeUpdate", &check, err);
    if (result > 0)
        result = wherry_json_integer(memory, WHERE ".memory", "limit", -1, INT64_MAX, &limit, err);
    if (result < 0 || !check || limit <= 0 || directory == NULL)
        return result;
    result = cgroup_directory_open(directory, err);
    if (result < 0)
        return result;
    result = cgroup_file_read(directory->fd, directory->unified ? "memory.current" : "memory.usage_in_bytes", text,
                              sizeof(text));
    if (result < 0)
        return wherry_error_set(err, -result, WHERE ".memory.checkBeforeUpdate: read the usage in %s", directory->path);
    if (strtoll(text, NULL, 10) > limit)
        return wherry_error_set(err, EBUSY, WHERE ".memory.limit: %lld: %s bytes are in use already", (long long)limit,
                                text);
    return 0;
}

/* Device rules on v1 pass through "deny everything": the group is frozen so that nothing inside meets that instant. */
static int apply_frozen(struct cgroup_settings *settings, struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct wherry_cgroup_directory *freezer = cgroup_directory_of(cg, CGROUP_FREEZER);
    struct wherry_error thaw = WHERRY_ERROR_INIT;
    char text[16] = "";
    bool thawed;
    int result;

    if (freezer == NULL)
        return wherry_error_set(err, ENOTSUP, WHERE ".devices: no freezer to change the rules of what runs");
    result = cgroup_directory_open(freezer, err);
    if (result < 0)
        return result;
    thawed =
        cgroup_file_read(freezer->fd, freezer->unified ? "cgroup.freeze" : "freezer.state", text, sizeof(text)) > 0 &&
        (strcmp(text, "THAWED") == 0 || strcmp(text, "0") == 0);
    result = thawed ? wherry_cgroup_freeze(cg, true, err) : 0;
    if (result >= 0)
        result = cgroup_settings_apply(settings, cg, err);
    if (thawed && wherry_cgroup_freeze(cg, false, result < 0 ? &thaw : err) < 0 && result >= 0)
        result = -EIO;
    return result;
}

static int apply(struct json_object *resources, bool update, struct wherry_cgroup *cg, struct wherry_error *err)
{
    cleanup_cgroup_devices struct cgroup_device_rules rules = CGROUP_DEVICE_RULES_INIT;
    cleanup_cgroup_settings struct cgroup_settings settings = CGROUP_SETTINGS_INIT;
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_DEVICES);
    bool bpf = directory != NULL && directory->unified;
    int devices, result = translate(resources, update, cg, &settings, err);

    if (result < 0)
        return result;
    devices = prepare_devices(resources, update, cg, &rules, &settings, err);
    if (devices < 0)
        return devices;
    result = update ? check_usage(resources, cg, err) : cgroup_make_directories(cg, err);
    if (result >= 0)
        result = cgroup_make_controllers(cg, &settings, err);
    if (result >= 0)
        result = update && devices > 0 && !bpf ? apply_frozen(&settings, cg, err)
                                               : cgroup_settings_apply(&settings, cg, err);
    if (result >= 0 && devices > 0 && bpf) {
        result = cgroup_directory_open(directory, err);
        if (result >= 0)
            result = cgroup_devices_v2(&rules, directory->fd, err);
    }
    return result < 0 ? result : 0;
}

int wherry_cgroup_place(const char *cgroups_path, struct wherry_cgroup *cg, struct wherry_error *err)
{
    cleanup_cgroup_layout struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    int result = cgroup_layout_read(&layout, err);

    *cg = (struct wherry_cgroup)WHERRY_CGROUP_INIT;
    if (result >= 0 && layout.kind == WHERRY_CGROUP_NONE)
        result = wherry_error_set(err, ENOENT, "no cgroup file system is mounted");
    if (result >= 0)
        result = cgroup_layout_place(&layout, cgroups_path, NULL, cg, err);
    if (result < 0)
        wherry_cgroup_free(cg);
    return result < 0 ? result : 0;
}

int wherry_cgroup_make(struct wherry_cgroup *cg, struct json_object *resources, struct wherry_error *err)
{
    int result = apply(resources, false, cg, err);

    if (result >= 0)
        return 0;
    for (size_t i = 0; i < cg->count; i++) {
        if (cg->at[i].made)
            rmdir(cg->at[i].path);
    }
    wherry_cgroup_free(cg);
    return result;
}

int wherry_cgroup_update(struct wherry_cgroup *cg, struct json_object *resources, struct wherry_error *err)
{
    return apply(resources, true, cg, err);
}

int wherry_cgroup_v2_fd(struct wherry_cgroup *cg)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_CORE);

    if (cg->layout != WHERRY_CGROUP_V2 || directory == NULL)
        return -1;
    return cgroup_directory_open(directory, NULL) < 0 ? -1 : directory->fd;
}

const char *wherry_cgroup_path(const struct wherry_cgroup *cg, const char *controller)
{
    int number = cgroup_controller_find(controller, strlen(controller));

    for (size_t i = 0; i < cg->count && number >= 0; i++) {
        if ((cg->at[i].controllers & CGROUP_BIT(number)) != 0)
            return cg->at[i].path;
    }
    return NULL;
}

void wherry_cgroup_free(struct wherry_cgroup *cg)
{
    for (size_t i = 0; i < cg->count; i++) {
        free(cg->at[i].path);
        wherry_cleanup_close(&cg->at[i].fd);
    }
    free(cg->warning);
    *cg = (struct wherry_cgroup)WHERRY_CGROUP_INIT;
}
