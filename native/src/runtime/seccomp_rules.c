/* Reading linux.seccomp; see seccomp_rules.h. Source: OCI runtime-spec config-linux.md "Seccomp". */
#include "runtime/seccomp_rules.h"

#include "wherry/json.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>

#define WHERE "linux.seccomp"
#define ARGS_MAX 6 /* of a system call */

static const struct {
    const char *name;
    uint32_t action;
    bool takes_errno; /* errnoRet is the lower half: the errno, or the number that a tracer gets */
} actions[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP, false},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG, false},
};

static const struct {
    const char *name;
    unsigned int flag;
} flag_names[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
};

static const struct {
    const char *name;
    enum scmp_compare compare;
} operators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Reads the action under `key` of `object`, with its errno under `errno_key` (EPERM where that is not given). */
static int read_action(struct json_object *object, const char *where, const char *key, const char *errno_key,
                       uint32_t *action, struct wherry_error *err)
{
    const char *name = NULL;
    int64_t number = EPERM;
    size_t i = 0;

    if (wherry_json_string(object, where, key, &name, err) < 0)
        return -EINVAL;
    if (name != NULL && strcmp(name, "SCMP_ACT_NOTIFY") == 0)
        return wherry_error_set(err, ENOTSUP, "%s.%s: SCMP_ACT_NOTIFY: not supported by this runtime", where, key);
    while (i < COUNT(actions) && (name == NULL || strcmp(actions[i].name, name) != 0))
        i++;
    if (i == COUNT(actions))
        return wherry_error_set(err, EINVAL, "%s.%s: \"%s\": no such action", where, key, name != NULL ? name : "");
    if (wherry_json_integer(object, where, errno_key, 0, UINT16_MAX, &number, err) < 0)
        return -EINVAL;
    *action = actions[i].action | (actions[i].takes_errno ? (uint32_t)number : 0);
    return 0;
}

int seccomp_rules_default(struct json_object *seccomp, uint32_t *action, struct wherry_error *err)
{
    static const char *const listener[] = {"listenerPath", "listenerMetadata"};

    if (!json_object_is_type(seccomp, json_type_object))
        return wherry_error_set(err, EINVAL, WHERE ": must be an object");
    for (size_t i = 0; i < COUNT(listener); i++) {
        const char *text = NULL;

        if (wherry_json_string(seccomp, WHERE, listener[i], &text, err) < 0)
            return -EINVAL;
        if (text != NULL && text[0] != '\0')
            return wherry_error_set(err, ENOTSUP, WHERE ".%s: not supported by this runtime", listener[i]);
    }
    return read_action(seccomp, WHERE, "defaultAction", "defaultErrnoRet", action, err);
}

/* "SCMP_ARCH_X86_64" is libseccomp's "x86_64". */
static uint32_t resolve_architecture(const char *name)
{
    static const char prefix[] = "SCMP_ARCH_";
    char lower[32];
    size_t length = 0;

    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        return 0;
    for (name += sizeof(prefix) - 1; length < sizeof(lower) - 1 && name[length] != '\0'; length++)
        lower[length] = (char)(name[length] >= 'A' && name[length] <= 'Z' ? name[length] + 32 : name[length]);
    lower[length] = '\0';
    return seccomp_arch_resolve_name(lower);
}

/* Architectures that the runtime-spec names and this libseccomp may be too old for. */
static bool is_known_to_spec(const char *name)
{
    static const char *const newer[] = {"SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB",
                                        "SCMP_ARCH_RISCV64"};

    for (size_t i = 0; i < COUNT(newer); i++) {
        if (strcmp(newer[i], name) == 0)
            return true;
    }
    return false;
}

int seccomp_rules_architectures(struct json_object *seccomp, scmp_filter_ctx context, struct wherry_error *err)
{
    struct json_object *list = NULL;
    int found = wherry_json_array(seccomp, WHERE, "architectures", &list, err);

    if (found <= 0)
        return found;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name = json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";
        uint32_t token = resolve_architecture(name);
        int result;

        /* No process of an architecture that the library does not know can run here: nothing to filter. */
        if (token == 0 && is_known_to_spec(name))
            continue;
        if (token == 0)
            return wherry_error_set(err, EINVAL, WHERE ".architectures[%zu]: \"%s\": no such architecture", i, name);
        result = seccomp_arch_add(context, token);
        if (result < 0 && result != -EEXIST)
            return wherry_error_set(err, -result, WHERE ".architectures[%zu]: \"%s\"", i, name);
    }
    return 0;
}

int seccomp_rules_flags(struct json_object *seccomp, unsigned int *flags, struct wherry_error *err)
{
    struct json_object *list = NULL;
    int found = wherry_json_array(seccomp, WHERE, "flags", &list, err);

    if (found <= 0)
        return found;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name = json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";
        size_t known = 0;

        if (strcmp(name, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV") == 0)
            return wherry_error_set(err, ENOTSUP, WHERE ".flags[%zu]: \"%s\": goes with a listener, not supported", i,
                                    name);
        while (known < COUNT(flag_names) && strcmp(flag_names[known].name, name) != 0)
            known++;
        if (known == COUNT(flag_names))
            return wherry_error_set(err, EINVAL, WHERE ".flags[%zu]: \"%s\": no such flag", i, name);
        *flags |= flag_names[known].flag;
    }
    return 0;
}

/* value and valueTwo use all 64 bits. */
static int read_value(struct json_object *object, const char *where, const char *key, bool needed, uint64_t *value,
                      struct wherry_error *err)
{
    struct json_object *number = NULL;

    *value = 0;
    if (!json_object_object_get_ex(object, key, &number) || number == NULL)
        return needed ? wherry_error_set(err, EINVAL, "%s.%s: must be given", where, key) : 0;
    if (!json_object_is_type(number, json_type_int))
        return wherry_error_set(err, EINVAL, "%s.%s: must be an integer", where, key);
    *value =
        json_object_get_int64(number) < 0 ? (uint64_t)json_object_get_int64(number) : json_object_get_uint64(number);
    return 0;
}

static int read_argument(struct json_object *item, const char *where, struct scmp_arg_cmp *out,
                         struct wherry_error *err)
{
    uint64_t value, second;
    int64_t index = -1;
    const char *name = NULL;
    size_t known = 0;

    if (!json_object_is_type(item, json_type_object))
        return wherry_error_set(err, EINVAL, "%s: must be an object", where);
    if (wherry_json_integer(item, where, "index", 0, ARGS_MAX - 1, &index, err) < 0 ||
        wherry_json_string(item, where, "op", &name, err) < 0 ||
        read_value(item, where, "value", true, &value, err) < 0 ||
        read_value(item, where, "valueTwo", false, &second, err) < 0)
        return -EINVAL;
    while (known < COUNT(operators) && (name == NULL || strcmp(operators[known].name, name) != 0))
        known++;
    if (index < 0 || known == COUNT(operators))
        return wherry_error_set(err, EINVAL, "%s.%s: must be given and known", where, index < 0 ? "index" : "op");
    *out = SCMP_CMP((unsigned)index, operators[known].compare, value, second);
    return 0;
}

/* One entry of "syscalls", ready for each of its names. */
struct entry {
    uint32_t action;
    size_t count;
    bool alternatives; /* two conditions on one argument: libseccomp takes only one, so each becomes a rule */
    struct scmp_arg_cmp args[ARGS_MAX];
};

static int read_arguments(struct json_object *item, const char *where, struct entry *entry, struct wherry_error *err)
{
    struct json_object *list = NULL;
    unsigned seen = 0;
    int found = wherry_json_array(item, where, "args", &list, err);

    if (found <= 0)
        return found;
    if (json_object_array_length(list) > ARGS_MAX)
        return wherry_error_set(err, E2BIG, "%s.args: more than %d conditions", where, ARGS_MAX);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct scmp_arg_cmp *argument = &entry->args[entry->count++];
        char name[WHERRY_JSON_WHERE_MAX];

        snprintf(name, sizeof(name), "%.100s.args[%zu]", where, i);
        if (read_argument(json_object_array_get_idx(list, i), name, argument, err) < 0)
            return -EINVAL;
        entry->alternatives |= (seen & 1U << argument->arg) != 0;
        seen |= 1U << argument->arg;
    }
    return 0;
}

static int add_rule(scmp_filter_ctx context, const struct entry *entry, const char *name, struct wherry_error *err)
{
    int number = seccomp_syscall_resolve_name(name), result = 0;

    /* Profiles name calls of newer kernels and other machines: what is not known here gets the default action. */
    if (number == __NR_SCMP_ERROR)
        return 0;
    if (entry->alternatives) {
        for (size_t i = 0; i < entry->count && result >= 0; i++)
            result = seccomp_rule_add_array(context, entry->action, number, 1, &entry->args[i]);
    } else {
        result = seccomp_rule_add_array(context, entry->action, number, (unsigned)entry->count, entry->args);
    }
    /* The rule is there already. */
    if (result == -EEXIST)
        return 0;
    return result < 0 ? wherry_error_set(err, -result, WHERE ".syscalls: add a rule for %s", name) : 0;
}

static int add_entry(struct json_object *item, size_t index, uint32_t default_action, scmp_filter_ctx context,
                     struct wherry_error *err)
{
    struct entry entry = {.count = 0};
    struct json_object *names = NULL;
    char where[WHERRY_JSON_WHERE_MAX];
    int result;

    snprintf(where, sizeof(where), WHERE ".syscalls[%zu]", index);
    result = wherry_json_array(item, where, "names", &names, err);
    if (result == 0)
        return wherry_error_set(err, EINVAL, "%s.names: must be given", where);
    if (result > 0)
        result = read_action(item, where, "action", "errnoRet", &entry.action, err);
    if (result >= 0)
        result = read_arguments(item, where, &entry, err);
    if (result < 0)
        return result;
    /* libseccomp refuses rules that say what is the default anyway. */
    if (entry.action == default_action)
        return 0;
    for (size_t i = 0; i < json_object_array_length(names) && result >= 0; i++) {
        struct json_object *name = json_object_array_get_idx(names, i);

        if (!json_object_is_type(name, json_type_string))
            return wherry_error_set(err, EINVAL, "%s.names[%zu]: must be a string", where, i);
        result = add_rule(context, &entry, json_object_get_string(name), err);
    }
    return result;
}

int seccomp_rules_syscalls(struct json_object *seccomp, uint32_t default_action, scmp_filter_ctx context,
                           struct wherry_error *err)
{
    struct json_object *list = NULL;
    int result = wherry_json_array(seccomp, WHERE, "syscalls", &list, err);

    if (result <= 0)
        return result;
    for (size_t i = 0; i < json_object_array_length(list) && result >= 0; i++)
        result = add_entry(json_object_array_get_idx(list, i), i, default_action, context, err);
    return result;
}
