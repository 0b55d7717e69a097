/* The life of a container's control groups; see wherry/cgroup.h. */
#include "wherry/cgroup.h"

#include "runtime/cgroup_devices.h"
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "runtime/cgroup_make.h"
#include "runtime/cgroup_setting.h"
#include "runtime/cgroup_undo.h"
#include "runtime/cgroup_unit.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHERE "linux.resources"

static void cleanup_cgroup_layout_free(struct cgroup_layout *layout)
{
    cgroup_layout_free(layout);
}

#define cleanup_cgroup_layout __attribute__((cleanup(cleanup_cgroup_layout_free)))

/* What there is to do about devices. */
enum device_change {
    DEVICES_NONE,
    DEVICES_WRITE,  /* settings like the others */
    DEVICES_FREEZE, /* settings that deny everything for an instant */
    DEVICES_PROGRAM,
};

/* Reads the device rules; on v1 they become settings. Returns an enum device_change. */
static int prepare_devices(struct json_object *resources, bool update, struct wherry_cgroup *cg,
                           struct cgroup_device_rules *rules, struct cgroup_settings *settings,
                           struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_DEVICES);
    struct json_object *devices = NULL;
    int result = wherry_json_array(resources, WHERE, "devices", &devices, err);

    if (result < 0 || (result == 0 && update))
        return result < 0 ? result : DEVICES_NONE;
    result = cgroup_devices_parse(devices, rules, err);
    if (result < 0)
        return result;
    /* In a user namespace no node can be made, and what is bound opens for whom it does on the host. */
    if (cg->rootless)
        return DEVICES_NONE;
    if (directory == NULL)
        return wherry_error_set(err, ENOTSUP, WHERE ".devices: the devices controller is not mounted on this host");
    if (directory->unified)
        return DEVICES_PROGRAM;
    /* systemd throws all rules away and begins anew, whatever has changed. */
    if (!update || cg->unit != NULL) {
        result = cgroup_devices_v1(rules, settings, err);
        return result < 0 ? result : update ? DEVICES_FREEZE : DEVICES_WRITE;
    }
    result = cgroup_directory_open(directory, err);
    if (result >= 0)
        result = cgroup_devices_v1_difference(rules, directory->fd, settings, err);
    return result < 0 ? result : result > 0 ? DEVICES_FREEZE : DEVICES_WRITE;
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

static int attach_program(const struct cgroup_device_rules *rules, struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_DEVICES);
    int result = cgroup_directory_open(directory, err);

    return result < 0 ? result : cgroup_devices_v2(rules, directory->fd, err);
}

/* What is asked for, as it is to be written; made before anything is changed. */
struct change {
    struct cgroup_device_rules rules;
    struct cgroup_settings settings;
    int devices; /* enum device_change */
};

static void cleanup_change_free(struct change *change)
{
    cgroup_devices_free(&change->rules);
    cgroup_settings_free(&change->settings);
}

#define cleanup_change __attribute__((cleanup(cleanup_change_free)))
#define CHANGE_INIT                                                                                                    \
    {                                                                                                                  \
        .rules = CGROUP_DEVICE_RULES_INIT, .settings = CGROUP_SETTINGS_INIT                                            \
    }

static int prepare(struct json_object *resources, bool update, struct wherry_cgroup *cg, struct change *change,
                   struct wherry_error *err)
{
    int result = translate(resources, update, cg, &change->settings, err);

    if (result >= 0)
        result = change->devices = prepare_devices(resources, update, cg, &change->rules, &change->settings, err);
    return result;
}

static int make(struct json_object *resources, struct wherry_cgroup *cg, struct wherry_error *err)
{
    cleanup_change struct change change = CHANGE_INIT;
    int result = prepare(resources, false, cg, &change, err);

    if (result >= 0 && cg->unit != NULL)
        result = cgroup_unit_start(cg, &change.settings, change.devices != DEVICES_NONE ? &change.rules : NULL, err);
    if (result >= 0)
        result = cgroup_make_directories(cg, err);
    if (result >= 0)
        result = cgroup_make_controllers(cg, &change.settings, err);
    if (result >= 0)
        result = cgroup_settings_apply(&change.settings, cg, NULL, err);
    if (result >= 0 && change.devices == DEVICES_PROGRAM)
        result = attach_program(&change.rules, cg, err);
    return result;
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
    struct wherry_error ignored;
    int result = make(resources, cg, err);

    if (result >= 0)
        return 0;
    if (cg->unit != NULL)
        cgroup_unit_stop(cg, &ignored);
    for (size_t i = 0; i < cg->count; i++) {
        if (cg->at[i].made)
            rmdir(cg->at[i].path);
    }
    wherry_cgroup_free(cg);
    return result;
}

/* Writes first, because the kernel is the judge of what is asked for; then tells systemd. */
static int change_limits(struct wherry_cgroup *cg, struct change *change, struct cgroup_settings *undo,
                         struct wherry_error *err)
{
    const struct cgroup_device_rules *rules = change->devices != DEVICES_NONE ? &change->rules : NULL;
    int result = cgroup_settings_apply(&change->settings, cg, undo, err);

    if (result >= 0 && cg->unit != NULL)
        result = cgroup_unit_update(cg, &change->settings, rules, err);
    /* systemd has thrown the rules of v1 away and begun anew. */
    if (result >= 0 && cg->unit != NULL && change->devices == DEVICES_FREEZE) {
        cgroup_settings_reset(&change->settings);
        result = cgroup_settings_apply(&change->settings, cg, NULL, err);
    }
    /* In one step, and last: what comes before it can be taken back, this needs not. */
    if (result >= 0 && change->devices == DEVICES_PROGRAM)
        result = attach_program(&change->rules, cg, err);
    if (result < 0)
        cgroup_undo_apply(undo, cg, err);
    return result < 0 ? result : 0;
}

/* Settings that deny everything for an instant, or systemd doing so: the group is frozen so that nothing inside meets
 * it. */
static int change_frozen(struct wherry_cgroup *cg, struct change *change, struct cgroup_settings *undo,
                         struct wherry_error *err)
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
        result = change_limits(cg, change, undo, err);
    if (thawed && wherry_cgroup_freeze(cg, false, result < 0 ? &thaw : err) < 0 && result >= 0)
        result = -EIO;
    return result;
}

int wherry_cgroup_update(struct wherry_cgroup *cg, struct json_object *resources, struct wherry_error *err)
{
    cleanup_change struct change change = CHANGE_INIT;
    cleanup_cgroup_settings struct cgroup_settings undo = CGROUP_SETTINGS_INIT;
    int result = prepare(resources, true, cg, &change, err);

    if (result >= 0)
        result = check_usage(resources, cg, err);
    if (result >= 0)
        result = cgroup_make_controllers(cg, &change.settings, err);
    if (result < 0)
        return result;
    return change.devices == DEVICES_FREEZE ? change_frozen(cg, &change, &undo, err)
                                            : change_limits(cg, &change, &undo, err);
}

void wherry_cgroup_settle(struct wherry_cgroup *cg)
{
    cgroup_unit_release(cg);
}

int wherry_cgroup_v2_fd(struct wherry_cgroup *cg)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_CORE);

    if (cg->layout != WHERRY_CGROUP_V2 || directory == NULL)
        return -1;
    return cgroup_directory_open(directory, NULL) < 0 ? -1 : directory->fd;
}

int wherry_cgroup_v2_open_group_of(struct wherry_cgroup *cg, pid_t pid, struct wherry_error *err)
{
    cleanup_cgroup_layout struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_CORE);
    size_t length = directory != NULL ? strlen(directory->path) : 0;
    char path[PATH_MAX];
    int fd, result = cgroup_layout_read(&layout, err);

    if (result >= 0)
        result = cgroup_layout_group_of(&layout, pid, path, err);
    if (result < 0)
        return result;
    /* Anywhere else its limits would not hold for who joins it. */
    if (length == 0 || strncmp(path, directory->path, length) != 0 || path[length] != '/')
        return wherry_error_set(err, EBUSY, "cgroup %s: process %d is not below the container's", path, (int)pid);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 ? fd : wherry_error_set(err, errno, "open %s", path);
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
    cgroup_unit_release(cg);
    free(cg->warning);
    free(cg->unit);
    free(cg->slice);
    if (cg->annotations != NULL)
        json_object_put(cg->annotations);
    *cg = (struct wherry_cgroup)WHERRY_CGROUP_INIT;
}
