/* The process object of config.json, and of `exec --process`; see wherry/spec.h. */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int parse_groups(struct json_object *user, const char *where, struct wherry_arena *arena,
                        struct wherry_process *process, struct wherry_error *err)
{
    struct json_object *groups = NULL;
    size_t count;
    int found;

    found = wherry_json_array(user, where, "additionalGids", &groups, err);
    if (found <= 0)
        return found;
    count = json_object_array_length(groups);
    if (count > NGROUPS_MAX)
        return wherry_error_set(err, 0, "%s.additionalGids: must be at most %d groups", where, NGROUPS_MAX);
    process->groups = wherry_arena_array(arena, count, sizeof(gid_t));
    if (process->groups == NULL)
        return wherry_error_set(err, ENOMEM, "%s.additionalGids", where);
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(groups, i);

        if (!json_object_is_type(item, json_type_int) || json_object_get_int64(item) < 0 ||
            json_object_get_int64(item) > WHERRY_ID_MAX)
            return wherry_error_set(err, 0, "%s.additionalGids[%zu]: must be an integer from 0 to %lld", where, i,
                                    WHERRY_ID_MAX);
        process->groups[i] = (gid_t)json_object_get_int64(item);
    }
    process->group_count = count;
    return 0;
}

static int parse_user(struct json_object *object, const char *where, struct wherry_arena *arena,
                      struct wherry_process *process, struct wherry_error *err)
{
    static const char *const refused[] = {"username"};
    struct json_object *user = NULL;
    char name[WHERRY_JSON_WHERE_MAX];
    int64_t uid = 0, gid = 0, mask = 0;
    int has_mask;
    int found;

    found = wherry_json_object(object, where, "user", &user, err);
    if (found <= 0)
        return found;
    wherry_json_name(name, where, "user");
    if (wherry_json_refuse(user, name, refused, WHERRY_COUNT(refused), err) < 0)
        return -EINVAL;
    /* A wider number must not wrap round to root (CVE-2024-40635). */
    if (wherry_json_integer(user, name, "uid", 0, WHERRY_ID_MAX, &uid, err) < 0 ||
        wherry_json_integer(user, name, "gid", 0, WHERRY_ID_MAX, &gid, err) < 0)
        return -EINVAL;
    has_mask = wherry_json_integer(user, name, "umask", 0, 0777, &mask, err);
    if (has_mask < 0)
        return -EINVAL;
    process->uid = (uid_t)uid;
    process->gid = (gid_t)gid;
    process->has_umask = has_mask > 0;
    process->umask = (mode_t)mask;
    return parse_groups(user, name, arena, process, err);
}

static int parse_console(struct json_object *object, const char *where, struct wherry_process *process,
                         struct wherry_error *err)
{
    struct json_object *size = NULL;
    char name[WHERRY_JSON_WHERE_MAX];
    int64_t rows = 0, columns = 0;
    int found;

    if (wherry_json_bool(object, where, "terminal", &process->terminal, err) < 0)
        return -EINVAL;
    found = wherry_json_object(object, where, "consoleSize", &size, err);
    if (found <= 0)
        return found;
    wherry_json_name(name, where, "consoleSize");
    if (wherry_json_integer(size, name, "height", 0, USHRT_MAX, &rows, err) < 0 ||
        wherry_json_integer(size, name, "width", 0, USHRT_MAX, &columns, err) < 0)
        return -EINVAL;
    process->has_console_size = true;
    process->rows = (unsigned short)rows;
    process->columns = (unsigned short)columns;
    return 0;
}

static int parse_limits(struct json_object *object, const char *where, struct wherry_process *process,
                        struct wherry_error *err)
{
    int64_t adjustment = 0;
    int found = wherry_json_integer(object, where, "oomScoreAdj", -1000, 1000, &adjustment, err);

    if (found < 0 || wherry_json_object(object, where, "capabilities", &process->capabilities, err) < 0 ||
        wherry_json_array(object, where, "rlimits", &process->rlimits, err) < 0 ||
        wherry_json_bool(object, where, "noNewPrivileges", &process->no_new_privileges, err) < 0)
        return -EINVAL;
    process->has_oom_score_adj = found > 0;
    process->oom_score_adj = (int)adjustment;
    return 0;
}

int wherry_process_add_variable(struct wherry_process *process, struct wherry_arena *arena, const char *variable,
                                struct wherry_error *err)
{
    const char **env = wherry_arena_array(arena, process->env_count + 2, sizeof(*env));

    if (env == NULL || variable == NULL)
        return wherry_error_set(err, ENOMEM, "process.env");
    if (process->env_count > 0)
        memcpy(env, process->env, process->env_count * sizeof(*env));
    process->env = env;
    env[process->env_count++] = variable;
    return 0;
}

int wherry_process_parse(struct json_object *object, const char *where, struct wherry_arena *arena,
                         struct wherry_process *process, struct wherry_error *err)
{
    static const char *const refused[] = {"commandLine"};

    memset(process, 0, sizeof(*process));
    if (wherry_json_refuse(object, where, refused, WHERRY_COUNT(refused), err) < 0 ||
        wherry_json_strings(object, where, "args", arena, &process->args, &process->arg_count, err) < 0 ||
        wherry_json_strings(object, where, "env", arena, &process->env, &process->env_count, err) < 0 ||
        wherry_json_string(object, where, "cwd", &process->cwd, err) < 0 ||
        parse_console(object, where, process, err) < 0 || parse_user(object, where, arena, process, err) < 0 ||
        parse_limits(object, where, process, err) < 0 || wherry_process_parse_labels(object, where, process, err) < 0 ||
        wherry_process_parse_scheduling(object, where, arena, process, err) < 0)
        return -EINVAL;
    if (process->arg_count == 0 || process->args[0][0] == '\0')
        return wherry_error_set(err, 0, "%s.args: must name a program", where);
    if (process->cwd == NULL || process->cwd[0] != '/')
        return wherry_error_set(err, 0, "%s.cwd: %s: must be an absolute path", where,
                                process->cwd != NULL ? process->cwd : "absent");
    for (size_t i = 0; i < process->env_count; i++) {
        if (process->env[i][0] == '=' || strchr(process->env[i], '=') == NULL)
            return wherry_error_set(err, 0, "%s.env[%zu]: %s: must be NAME=VALUE", where, i, process->env[i]);
    }
    return 0;
}
