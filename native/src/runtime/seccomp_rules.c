/* Reading linux.seccomp; see seccomp_rules.h. Source: OCI runtime-spec config-linux.md "Seccomp". */
#include "runtime/seccomp_rules.h"

#include "wherry/json.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WHERE "linux.seccomp"
#define ARGS_MAX 6 /* of a system call */

/* Since Linux 5.19; newer than the headers that this may be built with. */
#define FLAG_WAIT_KILLABLE_RECV (1U << 5)

static const struct wherry_json_choice actions[] = {
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
    {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},
    {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
};

static const struct wherry_json_choice flag_names[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", FLAG_WAIT_KILLABLE_RECV},
};

static const struct wherry_json_choice operators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE},
    {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE},
    {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

/* All that the specification names; libseccomp may be too old for some. */
static const char *const architectures[] = {
    "SCMP_ARCH_X86",         "SCMP_ARCH_X86_64",   "SCMP_ARCH_X32",         "SCMP_ARCH_ARM",    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",     "SCMP_ARCH_MIPS",        "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",      "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC",    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",     "SCMP_ARCH_S390",     "SCMP_ARCH_S390X",       "SCMP_ARCH_SH",     "SCMP_ARCH_SHEB",
    "SCMP_ARCH_PARISC",      "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* errnoRet is the lower half of these: the errno, or the number that a tracer gets. */
static bool takes_errno(uint64_t action)
{
    return action == SCMP_ACT_ERRNO(0) || action == SCMP_ACT_TRACE(0);
}

/* Reads the action under `key` of `object`, with its errno under `errno_key` (EPERM where that is not given). */
static int read_action(struct json_object *object, const char *where, const char *key, const char *errno_key,
                       uint32_t *action, struct wherry_error *err)
{
    uint64_t value = 0;
    int64_t number = EPERM;
    int found = wherry_json_choose(object, where, key, actions, COUNT(actions), &value, err);

    if (found == 0)
        return wherry_error_set(err, EINVAL, "%s.%s: must be given", where, key);
    if (found < 0)
        return found;
    found = wherry_json_integer(object, where, errno_key, 0, UINT16_MAX, &number, err);
    if (found < 0)
        return found;
    if (found > 0 && !takes_errno(value))
        return wherry_error_set(err, EINVAL, "%s.%s: only for SCMP_ACT_ERRNO and SCMP_ACT_TRACE", where, errno_key);
    *action = (uint32_t)value | (takes_errno(value) ? (uint32_t)number : 0);
    return 0;
}

int seccomp_rules_default(struct json_object *seccomp, uint32_t *action, struct wherry_error *err)
{
    if (!json_object_is_type(seccomp, json_type_object))
        return wherry_error_set(err, EINVAL, WHERE ": must be an object");
    return read_action(seccomp, WHERE, "defaultAction", "defaultErrnoRet", action, err);
}

int seccomp_rules_listener(struct json_object *seccomp, const char **path, const char **metadata,
                           struct wherry_error *err)
{
    if (wherry_json_string(seccomp, WHERE, "listenerPath", path, err) < 0 ||
        wherry_json_string(seccomp, WHERE, "listenerMetadata", metadata, err) < 0)
        return -EINVAL;
    if (*path != NULL && (*path)[0] == '\0')
        *path = NULL;
    if (*metadata != NULL && (*metadata)[0] == '\0')
        *metadata = NULL;
    if (*path != NULL && (*path)[0] != '/')
        return wherry_error_set(err, EINVAL, WHERE ".listenerPath: %s: must be an absolute path", *path);
    if (*metadata != NULL && *path == NULL)
        return wherry_error_set(err, EINVAL, WHERE ".listenerMetadata: only with listenerPath, which is not set");
    return 0;
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

static bool is_known_to_spec(const char *name)
{
    for (size_t i = 0; i < COUNT(architectures); i++) {
        if (strcmp(architectures[i], name) == 0)
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

        if (!is_known_to_spec(name))
            return wherry_error_set(err, EINVAL, WHERE ".architectures[%zu]: \"%s\": no such architecture", i, name);
        /* No process of an architecture that the library does not know can run here: nothing to filter. */
        if (token == 0)
            continue;
        result = seccomp_arch_add(context, token);
        /* EDOM: of the other byte order, which no process here has. */
        if (result < 0 && result != -EEXIST && result != -EDOM)
            return wherry_error_set(err, -result, WHERE ".architectures[%zu]: \"%s\"", i, name);
    }
    return 0;
}

int seccomp_rules_flags(struct json_object *seccomp, unsigned int *flags, struct wherry_error *err)
{
    uint64_t set = 0;
    int found = wherry_json_flags(seccomp, WHERE, "flags", flag_names, COUNT(flag_names), &set, err);

    *flags |= (unsigned int)set;
    return found;
}

int seccomp_rules_check_flags(unsigned int *flags, struct wherry_error *err)
{
    bool listens = (*flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;

    if ((*flags & FLAG_WAIT_KILLABLE_RECV) != 0 && !listens)
        return wherry_error_set(err, EINVAL,
                                WHERE ".flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: only with SCMP_ACT_NOTIFY");
    /* The two have one return value between them, and the descriptor needs it, seccomp(2). */
    if ((*flags & SECCOMP_FILTER_FLAG_TSYNC) != 0 && listens)
        *flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
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
    if (!json_object_is_type(number, json_type_int) || json_object_get_int64(number) < 0)
        return wherry_error_set(err, EINVAL, "%s.%s: %s: must be an integer from 0 to 18446744073709551615", where, key,
                                json_object_get_string(number));
    *value = json_object_get_uint64(number);
    return 0;
}

static int read_argument(struct json_object *item, const char *where, struct scmp_arg_cmp *out,
                         struct wherry_error *err)
{
    uint64_t value, second, compare = 0;
    int64_t index = -1;
    int found;

    if (!json_object_is_type(item, json_type_object))
        return wherry_error_set(err, EINVAL, "%s: must be an object", where);
    if (wherry_json_integer(item, where, "index", 0, ARGS_MAX - 1, &index, err) < 0 ||
        read_value(item, where, "value", true, &value, err) < 0 ||
        read_value(item, where, "valueTwo", false, &second, err) < 0)
        return -EINVAL;
    found = wherry_json_choose(item, where, "op", operators, COUNT(operators), &compare, err);
    if (found < 0)
        return found;
    if (index < 0 || found == 0)
        return wherry_error_set(err, EINVAL, "%s.%s: must be given", where, index < 0 ? "index" : "op");
    *out = SCMP_CMP((unsigned)index, (enum scmp_compare)compare, value, second);
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
                     bool *notifies, struct wherry_error *err)
{
    struct entry entry = {.count = 0};
    struct json_object *names = NULL;
    char where[WHERRY_JSON_WHERE_MAX];
    int result;

    snprintf(where, sizeof(where), WHERE ".syscalls[%zu]", index);
    result = wherry_json_array(item, where, "names", &names, err);
    if (result == 0 || (result > 0 && json_object_array_length(names) == 0))
        return wherry_error_set(err, EINVAL, "%s.names: must name a system call", where);
    if (result > 0)
        result = read_action(item, where, "action", "errnoRet", &entry.action, err);
    if (result >= 0)
        result = read_arguments(item, where, &entry, err);
    if (result < 0)
        return result;
    *notifies |= entry.action == SCMP_ACT_NOTIFY;
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
                           bool *notifies, struct wherry_error *err)
{
    struct json_object *list = NULL;
    int result = wherry_json_array(seccomp, WHERE, "syscalls", &list, err);

    if (result <= 0)
        return result;
    for (size_t i = 0; i < json_object_array_length(list) && result >= 0; i++)
        result = add_entry(json_object_array_get_idx(list, i), i, default_action, context, notifies, err);
    return result;
}

static struct json_object *choice_names(const struct wherry_json_choice *choices, size_t count)
{
    struct json_object *names = json_object_new_array();

    for (size_t i = 0; names != NULL && i < count; i++)
        json_object_array_add(names, json_object_new_string(choices[i].name));
    return names;
}

/* Asks the kernel with a filter that is not there: EFAULT when it knows the flag, EINVAL when not. */
static bool is_supported(unsigned int flag)
{
    if (flag == FLAG_WAIT_KILLABLE_RECV)
        flag |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flag, NULL) < 0 && errno == EFAULT;
}

struct json_object *seccomp_rules_describe(void)
{
    struct json_object *object = json_object_new_object(), *names = json_object_new_array();
    struct json_object *supported = json_object_new_array();

    for (size_t i = 0; i < COUNT(architectures); i++)
        json_object_array_add(names, json_object_new_string(architectures[i]));
    for (size_t i = 0; i < COUNT(flag_names); i++) {
        if (is_supported((unsigned int)flag_names[i].value))
            json_object_array_add(supported, json_object_new_string(flag_names[i].name));
    }
    json_object_object_add(object, "enabled", json_object_new_boolean(true));
    json_object_object_add(object, "actions", choice_names(actions, COUNT(actions)));
    json_object_object_add(object, "operators", choice_names(operators, COUNT(operators)));
    json_object_object_add(object, "archs", names);
    json_object_object_add(object, "knownFlags", choice_names(flag_names, COUNT(flag_names)));
    json_object_object_add(object, "supportedFlags", supported);
    return object;
}

struct json_object *seccomp_rules_library(void)
{
    const struct scmp_version *version = seccomp_version();
    char text[64];

    snprintf(text, sizeof(text), "%u.%u.%u", version->major, version->minor, version->micro);
    return json_object_new_string(text);
}
