/* Control groups in the runtime's state file:
 *   {"layout": "v1|hybrid|v2", "unit": "NAME.scope", "directories": [
 *       {"path": …, "unified": bool, "controllers": ["cpu", …]}, …]}, where "unit" is a scope of systemd's. */
#include "runtime/cgroup_layout.h"
#include "wherry/cgroup.h"
#include "wherry/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const layout_names[] = {
    [WHERRY_CGROUP_NONE] = "none",
    [WHERRY_CGROUP_V1] = "v1",
    [WHERRY_CGROUP_HYBRID] = "hybrid",
    [WHERRY_CGROUP_V2] = "v2",
};

/* json-c takes over `value` on success only. */
static bool put(struct json_object *object, const char *key, struct json_object *value)
{
    if (value != NULL && json_object_object_add(object, key, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static bool append(struct json_object *array, struct json_object *value)
{
    if (value != NULL && json_object_array_add(array, value) == 0)
        return true;
    json_object_put(value);
    return false;
}

static struct json_object *save_directory(const struct wherry_cgroup_directory *directory)
{
    struct json_object *object = json_object_new_object();
    struct json_object *controllers = json_object_new_array();
    bool good = object != NULL && controllers != NULL;

    for (unsigned i = 0; i < CGROUP_CONTROLLERS && good; i++) {
        if ((directory->controllers & CGROUP_BIT(i)) != 0)
            good = append(controllers, json_object_new_string(cgroup_controller_name(i, directory->unified)));
    }
    good = good && put(object, "path", json_object_new_string(directory->path)) &&
           put(object, "unified", json_object_new_boolean(directory->unified));
    if (good && put(object, "controllers", controllers))
        return object;
    if (!good)
        json_object_put(controllers);
    json_object_put(object);
    return NULL;
}

struct json_object *wherry_cgroup_save(const struct wherry_cgroup *cg)
{
    struct json_object *object = json_object_new_object();
    struct json_object *directories = json_object_new_array();
    bool good = object != NULL && directories != NULL;

    for (size_t i = 0; i < cg->count && good; i++)
        good = append(directories, save_directory(&cg->at[i]));
    good = good && put(object, "layout", json_object_new_string(layout_names[cg->layout]));
    good = good && (cg->unit == NULL || put(object, "unit", json_object_new_string(cg->unit)));
    if (good && put(object, "directories", directories))
        return object;
    if (!good)
        json_object_put(directories);
    json_object_put(object);
    return NULL;
}

static int load_controllers(struct json_object *object, const char *where, unsigned *bits, struct wherry_error *err)
{
    struct json_object *list = NULL;

    if (wherry_json_array(object, where, "controllers", &list, err) <= 0)
        return wherry_error_set(err, EINVAL, "%s.controllers: must be an array", where);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(list, i));
        int controller = name == NULL ? -1 : cgroup_controller_find(name, strlen(name));

        if (controller < 0)
            return wherry_error_set(err, EINVAL, "%s.controllers[%zu]: not a controller", where, i);
        *bits |= CGROUP_BIT(controller);
    }
    return 0;
}

static int load_directory(struct json_object *object, size_t index, struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = &cg->at[cg->count];
    char where[WHERRY_JSON_WHERE_MAX];
    const char *path = NULL;
    int result;

    *directory = (struct wherry_cgroup_directory){.fd = -1};
    snprintf(where, sizeof(where), "directories[%zu]", index);
    if (wherry_json_string(object, where, "path", &path, err) < 0 ||
        wherry_json_bool(object, where, "unified", &directory->unified, err) < 0)
        return -EINVAL;
    if (path == NULL || path[0] != '/' || strstr(path, "/../") != NULL)
        return wherry_error_set(err, EINVAL, "%s.path: must be an absolute path", where);
    result = load_controllers(object, where, &directory->controllers, err);
    if (result < 0)
        return result;
    directory->path = strdup(path);
    if (directory->path == NULL)
        return wherry_error_set(err, ENOMEM, "%s", where);
    cg->count++;
    return 0;
}

int wherry_cgroup_load(struct json_object *saved, struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct json_object *directories = NULL;
    const char *layout = NULL, *unit = NULL;
    int result = 0;

    *cg = (struct wherry_cgroup)WHERRY_CGROUP_INIT;
    if (wherry_json_string(saved, "", "layout", &layout, err) < 0 ||
        wherry_json_string(saved, "", "unit", &unit, err) < 0 ||
        wherry_json_array(saved, "", "directories", &directories, err) < 0)
        return -EINVAL;
    for (size_t i = 0; i < sizeof(layout_names) / sizeof(layout_names[0]) && layout != NULL; i++) {
        if (strcmp(layout, layout_names[i]) == 0)
            cg->layout = (enum wherry_cgroup_layout)i;
    }
    if (cg->layout == WHERRY_CGROUP_NONE || directories == NULL ||
        json_object_array_length(directories) > WHERRY_CGROUP_HIERARCHIES_MAX)
        return wherry_error_set(err, EINVAL, "the record of the control groups is damaged");
    for (size_t i = 0; i < json_object_array_length(directories) && result >= 0; i++)
        result = load_directory(json_object_array_get_idx(directories, i), i, cg, err);
    cg->unit = unit != NULL ? strdup(unit) : NULL;
    if (result >= 0 && unit != NULL && cg->unit == NULL)
        result = wherry_error_set(err, ENOMEM, "the record of the control groups");
    if (result < 0)
        wherry_cgroup_free(cg);
    return result;
}
