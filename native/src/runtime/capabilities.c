/* Capability sets; see wherry/capabilities.h. */
#include "wherry/capabilities.h"

#include "wherry/json.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WHERE "process.capabilities"
#define NUMBERS 64

/* By number, from linux/capability.h. */
static const char *const names[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

const char *wherry_capability_name(unsigned number)
{
    return number < NAMES ? names[number] : NULL;
}

void wherry_capabilities_describe(uint64_t set, char *text, size_t size)
{
    size_t used = 0;

    if (size == 0)
        return;
    text[0] = '\0';
    for (unsigned i = 0; i < NUMBERS && used < size; i++) {
        const char *name = wherry_capability_name(i);

        if ((set >> i & 1) != 0 && name != NULL)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", name);
    }
}

/* Each name once: it usually stands in several sets. */
static void note_unknown(struct wherry_capabilities *sets, const char *name)
{
    size_t used = strlen(sets->unknown);

    if (strstr(sets->unknown, name) == NULL)
        snprintf(sets->unknown + used, sizeof(sets->unknown) - used, "%s%s", used > 0 ? ", " : "", name);
}

static int parse_set(struct json_object *capabilities, const char *key, struct wherry_capabilities *sets, uint64_t *set,
                     struct wherry_error *err)
{
    struct json_object *list = NULL;
    int found = wherry_json_array(capabilities, WHERE, key, &list, err);

    if (found <= 0)
        return found;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name;
        unsigned number = 0;

        if (!json_object_is_type(item, json_type_string))
            return wherry_error_set(err, EINVAL, WHERE ".%s[%zu]: must be a string", key, i);
        name = json_object_get_string(item);
        while (number < NAMES && strcmp(names[number], name) != 0)
            number++;
        if (number == NAMES)
            note_unknown(sets, name);
        else
            *set |= UINT64_C(1) << number;
    }
    return 0;
}

/* All that this kernel knows. */
static uint64_t known_set(void)
{
    uint64_t set = 0;

    for (unsigned i = 0; i < NUMBERS; i++) {
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0)
            set |= UINT64_C(1) << i;
    }
    return set;
}

/* What the calling process can hand on: its permitted set within its bounding set. */
static int own_set(uint64_t *set, struct wherry_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return wherry_error_set(err, errno, "read the capabilities of this process");
    *set = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    for (unsigned i = 0; i < NUMBERS; i++) {
        if ((*set >> i & 1) != 0 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 1)
            *set &= ~(UINT64_C(1) << i);
    }
    return 0;
}

/* Takes out what the kernel would not grant; capset(2) and PR_CAP_AMBIENT_RAISE refuse such sets as a whole. */
static void keep_grantable(struct wherry_capabilities *sets, uint64_t own)
{
    uint64_t asked = sets->bounding | sets->effective | sets->permitted | sets->inheritable | sets->ambient;
    uint64_t effective = sets->permitted & own, ambient = effective & sets->inheritable;

    sets->lacking = (asked & ~own) | (sets->effective & ~effective) | (sets->ambient & ~ambient);
    sets->bounding &= own;
    sets->effective &= effective;
    sets->permitted &= own;
    sets->inheritable &= own;
    sets->ambient &= ambient;
}

int wherry_capabilities_parse(struct json_object *capabilities, bool all, struct wherry_capabilities *out,
                              struct wherry_error *err)
{
    struct wherry_capabilities sets = WHERRY_CAPABILITIES_INIT;
    uint64_t own = 0;

    if (parse_set(capabilities, "bounding", &sets, &sets.bounding, err) < 0 ||
        parse_set(capabilities, "effective", &sets, &sets.effective, err) < 0 ||
        parse_set(capabilities, "permitted", &sets, &sets.permitted, err) < 0 ||
        parse_set(capabilities, "inheritable", &sets, &sets.inheritable, err) < 0 ||
        parse_set(capabilities, "ambient", &sets, &sets.ambient, err) < 0)
        return -EINVAL;
    if (all)
        own = known_set();
    else if (own_set(&own, err) < 0)
        return -EPERM;
    keep_grantable(&sets, own);
    *out = sets;
    return 0;
}

int wherry_capabilities_limit_bounding(const struct wherry_capabilities *capabilities)
{
    for (unsigned i = 0; i < NUMBERS; i++) {
        if ((capabilities->bounding >> i & 1) != 0)
            continue;
        /* EINVAL: the kernel knows no capability of that number, nor of a higher one. */
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return errno == EINVAL && i > 0 ? 0 : -errno;
    }
    return 0;
}

int wherry_capabilities_keep(void)
{
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

int wherry_capabilities_apply(const struct wherry_capabilities *capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    /* The inheritable set is exactly what was asked for: a larger one let programs with file capabilities regain what
     * the container was not given (CVE-2022-24769). */
    for (unsigned i = 0; i < 2; i++) {
        data[i].effective = (uint32_t)(capabilities->effective >> 32 * i);
        data[i].permitted = (uint32_t)(capabilities->permitted >> 32 * i);
        data[i].inheritable = (uint32_t)(capabilities->inheritable >> 32 * i);
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return -errno;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return -errno;
    for (unsigned i = 0; i < NUMBERS; i++) {
        if ((capabilities->ambient >> i & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            return -errno;
    }
    return 0;
}
