/* ID mappings in the option itself, as crun and with it podman write them: idmap=uids=0-1000-1#1-2000-9;gids=0-1000-10.
 * Each triplet is the first ID on the disk, the first ID of the host that it becomes, and how many there are. */
#include "spec_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* At most what the kernel takes of them, user_namespaces(7). */
#define TRIPLETS_MAX 340

/* The number at *text, up to `end`; what follows it is where *text is then. */
static int take_number(const char **text, char end, uint32_t *number)
{
    char *rest;
    unsigned long long value;

    if (**text < '0' || **text > '9')
        return -1;
    errno = 0;
    value = strtoull(*text, &rest, 10);
    if (errno != 0 || value > (unsigned long long)WHERRY_ID_MAX || (end != '\0' && *rest != end))
        return -1;
    *number = (uint32_t)value;
    *text = rest + (end != '\0');
    return 0;
}

static int take_triplet(const char **text, struct wherry_id_mapping *mapping)
{
    if (take_number(text, '-', &mapping->inside) < 0 || take_number(text, '-', &mapping->outside) < 0 ||
        take_number(text, '\0', &mapping->count) < 0 || mapping->count == 0)
        return -1;
    return mapping->inside + (uint64_t)mapping->count > WHERRY_ID_MAX + 1ULL ||
                   mapping->outside + (uint64_t)mapping->count > WHERRY_ID_MAX + 1ULL
               ? -1
               : 0;
}

static int take_list(const char **text, struct wherry_arena *arena, struct wherry_id_mappings *mappings)
{
    mappings->items = wherry_arena_array(arena, TRIPLETS_MAX, sizeof(*mappings->items));
    if (mappings->items == NULL)
        return -1;
    for (mappings->count = 0; mappings->count < TRIPLETS_MAX; (*text)++) {
        if (take_triplet(text, &mappings->items[mappings->count++]) < 0)
            return -1;
        if (**text != '#')
            return **text == ';' || **text == '\0' ? 0 : -1;
    }
    return -1;
}

int wherry_mount_idmap_parse(const char *text, struct wherry_arena *arena, struct wherry_mount *mount)
{
    while (*text != '\0') {
        bool uids = strncmp(text, "uids=", 5) == 0;
        struct wherry_id_mappings *mappings = uids ? &mount->uid_mappings : &mount->gid_mappings;

        if ((!uids && strncmp(text, "gids=", 5) != 0) || mappings->count > 0)
            return -1;
        text += 5;
        if (take_list(&text, arena, mappings) < 0)
            return -1;
        text += *text == ';';
    }
    return mount->uid_mappings.count > 0 && mount->gid_mappings.count > 0 ? 0 : -1;
}
