/* The words of a mount's options, as mount(8) and the OCI specification spell them; see wherry/spec.h. */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

enum option_kind {
    OPTION_SET,         /* sets the attribute */
    OPTION_CLEAR,       /* clears it */
    OPTION_ACCESS_TIME, /* one of the access time modes, which exclude each other */
    OPTION_PROPAGATION,
    OPTION_SYSTEM_SET,   /* sets a flag of the file system */
    OPTION_SYSTEM_CLEAR, /* clears it */
    OPTION_BIND,
    OPTION_IDMAP,
    OPTION_SWITCH,  /* turns on the member of struct wherry_mount whose offset is the value */
    OPTION_NOTHING, /* says what is so anyway */
    OPTION_REFUSED,
};

#define MEMBER(name) offsetof(struct wherry_mount, name)

struct option {
    const char *name;
    enum option_kind kind;
    bool recursive;
    uint64_t value;
};

static const struct option options[] = {
    {"defaults", OPTION_NOTHING, false, 0},
    {"", OPTION_NOTHING, false, 0},
    {"bind", OPTION_BIND, false, 0},
    {"rbind", OPTION_BIND, true, 0},
    {"remount", OPTION_SWITCH, false, MEMBER(remount)},
    {"idmap", OPTION_IDMAP, false, 0},
    {"ridmap", OPTION_IDMAP, true, 0},
    {"tmpcopyup", OPTION_SWITCH, false, MEMBER(copy_up)},
    {"copy-symlink", OPTION_SWITCH, false, MEMBER(copy_symlink)},
    {"src-nofollow", OPTION_SWITCH, false, MEMBER(source_nofollow)},
    {"dest-nofollow", OPTION_SWITCH, false, MEMBER(target_nofollow)},
    {"ro", OPTION_SET, false, MOUNT_ATTR_RDONLY},
    {"rw", OPTION_CLEAR, false, MOUNT_ATTR_RDONLY},
    {"nosuid", OPTION_SET, false, MOUNT_ATTR_NOSUID},
    {"suid", OPTION_CLEAR, false, MOUNT_ATTR_NOSUID},
    {"nodev", OPTION_SET, false, MOUNT_ATTR_NODEV},
    {"dev", OPTION_CLEAR, false, MOUNT_ATTR_NODEV},
    {"noexec", OPTION_SET, false, MOUNT_ATTR_NOEXEC},
    {"exec", OPTION_CLEAR, false, MOUNT_ATTR_NOEXEC},
    {"nodiratime", OPTION_SET, false, MOUNT_ATTR_NODIRATIME},
    {"diratime", OPTION_CLEAR, false, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", OPTION_SET, false, MOUNT_ATTR_NOSYMFOLLOW},
    {"symfollow", OPTION_CLEAR, false, MOUNT_ATTR_NOSYMFOLLOW},
    {"noatime", OPTION_ACCESS_TIME, false, MOUNT_ATTR_NOATIME},
    {"atime", OPTION_ACCESS_TIME, false, MOUNT_ATTR_RELATIME},
    {"relatime", OPTION_ACCESS_TIME, false, MOUNT_ATTR_RELATIME},
    /* As mount(2) has it: without a word for another mode it is relatime. */
    {"norelatime", OPTION_ACCESS_TIME, false, MOUNT_ATTR_RELATIME},
    {"strictatime", OPTION_ACCESS_TIME, false, MOUNT_ATTR_STRICTATIME},
    {"nostrictatime", OPTION_ACCESS_TIME, false, MOUNT_ATTR_RELATIME},
    {"rro", OPTION_SET, true, MOUNT_ATTR_RDONLY},
    {"rrw", OPTION_CLEAR, true, MOUNT_ATTR_RDONLY},
    {"rnosuid", OPTION_SET, true, MOUNT_ATTR_NOSUID},
    {"rsuid", OPTION_CLEAR, true, MOUNT_ATTR_NOSUID},
    {"rnodev", OPTION_SET, true, MOUNT_ATTR_NODEV},
    {"rdev", OPTION_CLEAR, true, MOUNT_ATTR_NODEV},
    {"rnoexec", OPTION_SET, true, MOUNT_ATTR_NOEXEC},
    {"rexec", OPTION_CLEAR, true, MOUNT_ATTR_NOEXEC},
    {"rnodiratime", OPTION_SET, true, MOUNT_ATTR_NODIRATIME},
    {"rdiratime", OPTION_CLEAR, true, MOUNT_ATTR_NODIRATIME},
    {"rnosymfollow", OPTION_SET, true, MOUNT_ATTR_NOSYMFOLLOW},
    {"rsymfollow", OPTION_CLEAR, true, MOUNT_ATTR_NOSYMFOLLOW},
    {"rnoatime", OPTION_ACCESS_TIME, true, MOUNT_ATTR_NOATIME},
    {"ratime", OPTION_ACCESS_TIME, true, MOUNT_ATTR_RELATIME},
    {"rrelatime", OPTION_ACCESS_TIME, true, MOUNT_ATTR_RELATIME},
    {"rnorelatime", OPTION_ACCESS_TIME, true, MOUNT_ATTR_RELATIME},
    {"rstrictatime", OPTION_ACCESS_TIME, true, MOUNT_ATTR_STRICTATIME},
    {"rnostrictatime", OPTION_ACCESS_TIME, true, MOUNT_ATTR_RELATIME},
    {"sync", OPTION_SYSTEM_SET, false, MS_SYNCHRONOUS},
    {"async", OPTION_SYSTEM_CLEAR, false, MS_SYNCHRONOUS},
    {"dirsync", OPTION_SYSTEM_SET, false, MS_DIRSYNC},
    {"lazytime", OPTION_SYSTEM_SET, false, MS_LAZYTIME},
    {"nolazytime", OPTION_SYSTEM_CLEAR, false, MS_LAZYTIME},
    {"iversion", OPTION_SYSTEM_SET, false, MS_I_VERSION},
    {"noiversion", OPTION_SYSTEM_CLEAR, false, MS_I_VERSION},
    /* How loud the kernel's log is; what a file system has to say is read from it and told by the runtime anyway. */
    {"silent", OPTION_NOTHING, false, 0},
    {"loud", OPTION_NOTHING, false, 0},
    /* Mandatory locking has left the kernel with 5.15. */
    {"nomand", OPTION_NOTHING, false, 0},
    {"mand", OPTION_REFUSED, false, 0},
    {"private", OPTION_PROPAGATION, false, MS_PRIVATE},
    {"rprivate", OPTION_PROPAGATION, true, MS_PRIVATE},
    {"shared", OPTION_PROPAGATION, false, MS_SHARED},
    {"rshared", OPTION_PROPAGATION, true, MS_SHARED},
    {"slave", OPTION_PROPAGATION, false, MS_SLAVE},
    {"rslave", OPTION_PROPAGATION, true, MS_SLAVE},
    {"unbindable", OPTION_PROPAGATION, false, MS_UNBINDABLE},
    {"runbindable", OPTION_PROPAGATION, true, MS_UNBINDABLE},
    /* In use beside the specification's words, but nothing that mount_setattr(2) could do. */
    {"rsync", OPTION_REFUSED, false, 0},
    {"rasync", OPTION_REFUSED, false, 0},
    {"rdirsync", OPTION_REFUSED, false, 0},
    {"rmand", OPTION_REFUSED, false, 0},
    {"rnomand", OPTION_REFUSED, false, 0},
};

const char *wherry_mount_option_name(size_t index)
{
    size_t left = index;

    for (size_t i = 0; i < WHERRY_COUNT(options); i++) {
        if (options[i].kind != OPTION_REFUSED && options[i].name[0] != '\0' && left-- == 0)
            return options[i].name;
    }
    return NULL;
}

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < WHERRY_COUNT(options); i++) {
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    }
    return NULL;
}

/* The last word wins: what it sets is no longer cleared, and the other way round. */
static void apply_attribute(const struct option *option, struct wherry_mount *mount)
{
    uint64_t *set = option->recursive ? &mount->recursive_set : &mount->set;
    uint64_t *clear = option->recursive ? &mount->recursive_clear : &mount->clear;

    switch (option->kind) {
    case OPTION_SET:
        *set |= option->value;
        *clear &= ~option->value;
        break;
    case OPTION_CLEAR:
        *clear |= option->value;
        *set &= ~option->value;
        break;
    default:
        /* The access time modes are one field: mount_setattr(2) wants it cleared as a whole and one mode set. */
        *clear |= MOUNT_ATTR__ATIME;
        *set = (*set & ~(uint64_t)MOUNT_ATTR__ATIME) | option->value;
        break;
    }
}

static int apply_propagation(const struct option *option, struct wherry_mount *mount)
{
    if (mount->propagation_count == WHERRY_PROPAGATIONS_MAX)
        return -1;
    mount->propagations[mount->propagation_count++] =
        (struct wherry_propagation){.mode = option->value, .recursive = option->recursive};
    return 0;
}

static void apply_system(unsigned long flag, unsigned long *add, unsigned long *drop)
{
    *add |= flag;
    *drop &= ~flag;
}

/* 0, or -1 when it is one word about propagation too many. */
static int apply(const struct option *option, struct wherry_mount *mount)
{
    switch (option->kind) {
    case OPTION_SET:
    case OPTION_CLEAR:
    case OPTION_ACCESS_TIME:
        apply_attribute(option, mount);
        break;
    case OPTION_PROPAGATION:
        return apply_propagation(option, mount);
    case OPTION_SYSTEM_SET:
        apply_system((unsigned long)option->value, &mount->system_set, &mount->system_clear);
        break;
    case OPTION_SYSTEM_CLEAR:
        apply_system((unsigned long)option->value, &mount->system_clear, &mount->system_set);
        break;
    case OPTION_BIND:
        mount->bind = true;
        mount->recursive = option->recursive;
        break;
    case OPTION_IDMAP:
        mount->idmapped = true;
        mount->idmap_recursive = option->recursive;
        break;
    case OPTION_SWITCH:
        *(bool *)((char *)mount + option->value) = true;
        break;
    case OPTION_NOTHING:
    case OPTION_REFUSED:
        break;
    }
    return 0;
}

/* "idmap=" and "ridmap=" with mappings: 1 when the word is one of them, 0 when not. */
static int parse_idmap(const char *word, const char *name, struct wherry_arena *arena, struct wherry_mount *mount,
                       struct wherry_error *err)
{
    bool recursive = word[0] == 'r';
    const char *mappings = word + recursive;

    if (strncmp(mappings, "idmap=", 6) != 0)
        return 0;
    if (mount->uid_mappings.count > 0 || wherry_mount_idmap_parse(mappings + 6, arena, mount) < 0)
        return wherry_error_set(
            err, 0,
            "%s: %s: must be uids=ID-HOSTID-COUNT and gids=ID-HOSTID-COUNT with ; between them, more "
            "triplets after #",
            name, word);
    mount->idmapped = true;
    mount->idmap_recursive = recursive;
    return 1;
}

static int parse_word(const char *word, const char *name, struct wherry_arena *arena, struct wherry_mount *mount,
                      struct wherry_error *err)
{
    const struct option *option = find(word);
    int idmap = option == NULL ? parse_idmap(word, name, arena, mount, err) : 0;

    if (idmap != 0)
        return idmap < 0 ? idmap : 0;
    if (option == NULL)
        mount->data[mount->data_count++] = word;
    else if (option->kind == OPTION_REFUSED)
        return wherry_error_set(err, 0, "%s: %s: not supported by this runtime", name, word);
    else if (apply(option, mount) < 0)
        return wherry_error_set(err, 0, "%s: %s: must be at most %d words about propagation", name, word,
                                WHERRY_PROPAGATIONS_MAX);
    return 0;
}

int wherry_mount_options_parse(const char *const *words, size_t count, const char *where, struct wherry_arena *arena,
                               struct wherry_mount *mount, struct wherry_error *err)
{
    mount->data = wherry_arena_array(arena, count + 1, sizeof(*mount->data));
    if (mount->data == NULL)
        return wherry_error_set(err, ENOMEM, "%s.options", where);
    for (size_t i = 0; i < count; i++) {
        char name[WHERRY_JSON_WHERE_MAX];

        snprintf(name, sizeof(name), "%s.options[%zu]", where, i);
        if (parse_word(words[i], name, arena, mount, err) < 0)
            return -EINVAL;
    }
    return 0;
}
