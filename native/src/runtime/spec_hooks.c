/* The hooks of config.json; see wherry/spec.h and the specification's config.md, "POSIX-platform Hooks". */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

static const char *const kinds[WHERRY_HOOK_KINDS] = {
    [WHERRY_HOOK_PRESTART] = "prestart",
    [WHERRY_HOOK_CREATE_RUNTIME] = "createRuntime",
    [WHERRY_HOOK_CREATE_CONTAINER] = "createContainer",
    [WHERRY_HOOK_START_CONTAINER] = "startContainer",
    [WHERRY_HOOK_POSTSTART] = "poststart",
    [WHERRY_HOOK_POSTSTOP] = "poststop",
};

/* Those of the container's namespaces get nothing of the host's environment, which the container could read. */
static bool inherits_environment(enum wherry_hook_kind kind)
{
    return kind != WHERRY_HOOK_CREATE_CONTAINER && kind != WHERRY_HOOK_START_CONTAINER;
}

static int parse_hook(struct json_object *object, enum wherry_hook_kind kind, const char *where,
                      struct wherry_arena *arena, struct wherry_hook *hook, struct wherry_error *err)
{
    struct json_object *env = NULL;
    int64_t timeout = 0;
    size_t count = 0;

    if (wherry_json_refuse(object, where, NULL, 0, err) < 0 ||
        wherry_json_string(object, where, "path", &hook->path, err) < 0 ||
        wherry_json_strings(object, where, "args", arena, &hook->args, &count, err) < 0 ||
        wherry_json_integer(object, where, "timeout", 1, INT_MAX / 1000, &timeout, err) < 0)
        return -EINVAL;
    if (hook->path == NULL || hook->path[0] != '/')
        return wherry_error_set(err, 0, "%s.path: must be an absolute path", where);
    if (count == 0) {
        hook->args = wherry_arena_array(arena, 2, sizeof(*hook->args));
        if (hook->args == NULL)
            return wherry_error_set(err, ENOMEM, "%s", where);
        hook->args[0] = hook->path;
    }
    hook->timeout = (int)timeout;
    if (inherits_environment(kind) && (!json_object_object_get_ex(object, "env", &env) || env == NULL))
        return 0;
    hook->env = wherry_arena_array(arena, 1, sizeof(*hook->env));
    if (hook->env == NULL)
        return wherry_error_set(err, ENOMEM, "%s", where);
    return wherry_json_strings(object, where, "env", arena, &hook->env, &count, err) < 0 ? -EINVAL : 0;
}

static int parse_kind(struct json_object *hooks, enum wherry_hook_kind kind, struct wherry_spec *spec,
                      struct wherry_error *err)
{
    struct wherry_hooks *list = &spec->hooks[kind];
    struct json_object *array = NULL;
    size_t count;
    int found;

    found = wherry_json_array(hooks, "hooks", kinds[kind], &array, err);
    if (found <= 0)
        return found;
    count = json_object_array_length(array);
    list->items = wherry_arena_array(&spec->arena, count, sizeof(*list->items));
    if (list->items == NULL)
        return wherry_error_set(err, ENOMEM, "hooks.%s", kinds[kind]);
    list->count = count;
    for (size_t i = 0; i < count; i++) {
        char where[WHERRY_JSON_WHERE_MAX];

        snprintf(where, sizeof(where), "hooks.%s[%zu]", kinds[kind], i);
        if (parse_hook(json_object_array_get_idx(array, i), kind, where, &spec->arena, &list->items[i], err) < 0)
            return -EINVAL;
    }
    return 0;
}

int wherry_spec_parse_hooks(struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *hooks = NULL;
    int found;

    found = wherry_json_object(spec->document, "", "hooks", &hooks, err);
    if (found <= 0)
        return found;
    for (int kind = 0; kind < WHERRY_HOOK_KINDS; kind++) {
        if (parse_kind(hooks, (enum wherry_hook_kind)kind, spec, err) < 0)
            return -EINVAL;
    }
    return 0;
}
