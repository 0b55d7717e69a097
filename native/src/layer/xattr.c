/* See xattr.h. */
#include "layer/xattr.h"

#include "wherry/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#define ACL_PREFIX "system.posix_acl_"
#define ACL_VERSION 2
#define ACL_HEADER 4
#define ACL_ENTRY 8
#define ACL_USER 0x02
#define ACL_GROUP 0x08
#define CAPABILITY_2 20 /* bytes; version 3 has the root user's number after them */
#define CAPABILITY_3 24
#define CAPABILITY_VERSION_MASK 0xff000000u
#define CAPABILITY_VERSION_2 0x02000000u
#define CAPABILITY_VERSION_3 0x03000000u

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool wherry_xattr_is_kept(const char *name)
{
    return (begins(name, "user.") && !begins(name, "user.overlay.")) || strcmp(name, WHERRY_XATTR_CAPABILITY) == 0 ||
           strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

static uint32_t get_32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return le32toh(value);
}

static void put_32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof(value));
}

static int shift_id(const struct wherry_id_map *map, uint32_t id, enum wherry_shift direction, uint32_t *out,
                    struct wherry_error *err)
{
    return direction == WHERRY_TO_OUTSIDE ? wherry_id_to_outside(map, id, out, err)
                                          : wherry_id_to_inside(map, id, out, err);
}

static int shift_acl(uint8_t *acl, size_t length, const struct wherry_id_maps *maps, enum wherry_shift direction,
                     struct wherry_error *err)
{
    if (length < ACL_HEADER || (length - ACL_HEADER) % ACL_ENTRY != 0 || get_32(acl) != ACL_VERSION)
        return wherry_error_set(err, EBADMSG, "malformed access control list");
    for (uint8_t *at = acl + ACL_HEADER; at < acl + length; at += ACL_ENTRY) {
        unsigned tag = at[0] | at[1] << 8;
        uint32_t id = 0;
        int ret;

        if (tag != ACL_USER && tag != ACL_GROUP)
            continue;
        ret = shift_id(tag == ACL_USER ? &maps->uids : &maps->gids, get_32(at + 4), direction, &id, err);
        if (ret < 0)
            return ret;
        put_32(at + 4, id);
    }
    return 0;
}

/* A file's capabilities hold in the user namespace whose root is the user that version 3 names; version 2 names 0. */
static int shift_capability(uint8_t *value, size_t *length, const struct wherry_id_maps *maps,
                            enum wherry_shift direction, struct wherry_error *err)
{
    uint32_t magic = *length >= CAPABILITY_2 ? get_32(value) : 0;
    bool has_root = (magic & CAPABILITY_VERSION_MASK) == CAPABILITY_VERSION_3 && *length == CAPABILITY_3;
    uint32_t root = 0;
    int ret;

    if (!has_root && !((magic & CAPABILITY_VERSION_MASK) == CAPABILITY_VERSION_2 && *length == CAPABILITY_2))
        return 0; /* the kernel judges it */
    ret = shift_id(&maps->uids, has_root ? get_32(value + CAPABILITY_2) : 0, direction, &root, err);
    if (ret < 0)
        return ret;
    magic &= ~CAPABILITY_VERSION_MASK;
    put_32(value, magic | (root == 0 ? CAPABILITY_VERSION_2 : CAPABILITY_VERSION_3));
    put_32(value + CAPABILITY_2, root);
    *length = root == 0 ? CAPABILITY_2 : CAPABILITY_3;
    return 0;
}

int wherry_xattr_shift(const char *name, const uint8_t *value, size_t length, const struct wherry_id_maps *maps,
                       enum wherry_shift direction, uint8_t out[WHERRY_XATTR_VALUE_MAX], size_t *out_length,
                       struct wherry_error *err)
{
    int ret = 0;

    if (length > WHERRY_XATTR_VALUE_MAX)
        return wherry_error_set(err, E2BIG, "attribute %.64s", name);
    memcpy(out, value, length);
    *out_length = length;
    if (!wherry_id_maps_shift(maps))
        return 0;
    if (begins(name, ACL_PREFIX))
        ret = shift_acl(out, length, maps, direction, err);
    else if (strcmp(name, WHERRY_XATTR_CAPABILITY) == 0)
        ret = shift_capability(out, out_length, maps, direction, err);
    return ret < 0 ? wherry_error_prefix(err, "attribute %.64s", name) : 0;
}

void wherry_xattr_clear(struct wherry_xattr_set *set)
{
    free(set->names);
    free(set->values);
    set->names = NULL;
    set->values = NULL;
    set->count = set->names_length = 0;
}

bool wherry_xattr_has_name(const struct wherry_xattr_set *set, const char *name)
{
    for (size_t at = 0; at < set->names_length; at += strlen(set->names + at) + 1)
        if (strcmp(set->names + at, name) == 0)
            return true;
    return false;
}

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct wherry_tar_xattr *)left)->name, ((const struct wherry_tar_xattr *)right)->name);
}

/* Reads one value to the end of what is there. */
static int read_value(const char *path, const char *name, const struct wherry_id_maps *maps,
                      struct wherry_xattr_set *set, size_t *used, struct wherry_error *err)
{
    cleanup_free uint8_t *raw = malloc(WHERRY_XATTR_VALUE_MAX);
    uint8_t *grown;
    ssize_t length;
    size_t shifted = 0;
    int ret;

    if (raw == NULL)
        return wherry_error_set(err, ENOMEM, "attribute %.64s", name);
    length = getxattr(path, name, raw, WHERRY_XATTR_VALUE_MAX);
    if (length < 0)
        return errno == ENODATA ? 0 : wherry_error_set(err, errno, "read attribute %.64s", name);
    grown = realloc(set->values, *used + WHERRY_XATTR_VALUE_MAX);
    if (grown == NULL)
        return wherry_error_set(err, ENOMEM, "attribute %.64s", name);
    set->values = grown;
    ret = wherry_xattr_shift(name, raw, (size_t)length, maps, WHERRY_TO_INSIDE, grown + *used, &shifted, err);
    if (ret < 0)
        return ret;
    set->items[set->count++] = (struct wherry_tar_xattr){.name = name, .length = shifted};
    *used += shifted;
    return 0;
}

static int read_all(const char *path, const struct wherry_id_maps *maps, struct wherry_xattr_set *set,
                    struct wherry_error *err)
{
    ssize_t length;
    size_t used = 0;

    set->names = malloc(WHERRY_XATTR_LIST_MAX);
    if (set->names == NULL)
        return wherry_error_set(err, ENOMEM, "attributes");
    length = listxattr(path, set->names, WHERRY_XATTR_LIST_MAX);
    if (length < 0)
        return wherry_error_set(err, errno, "list attributes");
    set->names_length = (size_t)length;
    for (const char *name = set->names; name < set->names + length; name += strlen(name) + 1) {
        int ret;

        if (!wherry_xattr_is_kept(name))
            continue;
        if (set->count == sizeof(set->items) / sizeof(*set->items))
            return wherry_error_set(err, E2BIG, "more than %zu extended attributes", set->count);
        ret = read_value(path, name, maps, set, &used, err);
        if (ret < 0)
            return ret;
    }
    /* Only now: the values moved while they were read. */
    used = 0;
    for (size_t i = 0; i < set->count; used += set->items[i++].length)
        set->items[i].value = set->values + used;
    qsort(set->items, set->count, sizeof(*set->items), compare);
    return 0;
}

int wherry_xattr_read(int fd, const struct wherry_id_maps *maps, struct wherry_xattr_set *set, struct wherry_error *err)
{
    char path[32], first[256];
    ssize_t length;
    int ret;

    /* By this name the attributes of a descriptor are read that flistxattr refuses because it is O_PATH. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    set->names = NULL;
    set->values = NULL;
    set->count = set->names_length = 0;
    length = listxattr(path, first, sizeof(first));
    if (length == 0 || (length < 0 && errno == ENOTSUP))
        return 0;
    ret = read_all(path, maps, set, err);
    if (ret < 0)
        wherry_xattr_clear(set);
    return ret;
}
