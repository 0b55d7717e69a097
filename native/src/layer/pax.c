/* See pax.h. A record is "LENGTH KEY=VALUE\n", LENGTH counting all of it. */
#include "layer/pax.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XATTR_PREFIX "SCHILY.xattr."
#define NANOSECOND_DIGITS 9

/* One record; `value` is followed by a NUL, and may hold others. */
struct record {
    const char *key;
    const char *value;
    size_t length;
};

void wherry_pax_clear(struct wherry_pax *pax)
{
    free(pax->text);
    wherry_sparse_clear(&pax->map);
    memset(pax, 0, sizeof(*pax));
}

void wherry_pax_begin(struct wherry_pax *pax, const struct wherry_pax *global)
{
    wherry_pax_clear(pax);
    *pax = *global;
    pax->text = NULL;
    memset(&pax->map, 0, sizeof(pax->map));
}

static int refuse(const struct record *record, const char *why, struct wherry_error *err)
{
    return wherry_error_set(err, EBADMSG, "tar: extended header: %.64s: %s", record->key, why);
}

static int take_natural(const struct record *record, uint64_t most, uint64_t *out, struct wherry_error *err)
{
    uint64_t value = 0;

    if (record->length == 0)
        return refuse(record, "is no number", err);
    for (size_t i = 0; i < record->length; i++) {
        if (record->value[i] < '0' || record->value[i] > '9')
            return refuse(record, "is no number", err);
        if (value > (most - (uint64_t)(record->value[i] - '0')) / 10)
            return refuse(record, "is too large", err);
        value = value * 10 + (uint64_t)(record->value[i] - '0');
    }
    *out = value;
    return 0;
}

static int take_id(const struct record *record, uint32_t *out, bool *has, struct wherry_error *err)
{
    uint64_t value = 0;
    int ret;

    *has = record->length > 0;
    ret = *has ? take_natural(record, UINT32_MAX - 1, &value, err) : 0;
    *out = (uint32_t)value;
    return ret;
}

/* Seconds with a fraction, "1700000000.123456789"; a negative time has its fraction below it. */
static int take_time(const struct record *record, struct wherry_pax *pax, struct wherry_error *err)
{
    bool negative = record->length > 0 && record->value[0] == '-';
    const char *point = memchr(record->value, '.', record->length);
    struct record whole = {.key = record->key, .value = record->value + (negative ? 1 : 0)};
    const char *end = record->value + record->length;
    uint64_t seconds = 0;
    uint32_t nanoseconds = 0;
    int ret;

    pax->has_mtime = record->length > 0;
    pax->mtime_nanoseconds = 0;
    if (!pax->has_mtime)
        return 0;
    whole.length = (size_t)((point != NULL ? point : end) - whole.value);
    ret = take_natural(&whole, INT64_MAX / 2, &seconds, err);
    if (ret < 0)
        return ret;
    for (int digit = 0; point != NULL && digit < NANOSECOND_DIGITS; digit++) {
        const char *at = point + 1 + digit;

        if (at < end && (*at < '0' || *at > '9'))
            return refuse(record, "is no time", err);
        nanoseconds = nanoseconds * 10 + (at < end ? (uint32_t)(*at - '0') : 0);
        if (at >= end)
            end = at;
    }
    pax->mtime = negative ? -(int64_t)seconds : (int64_t)seconds;
    pax->mtime_nanoseconds = nanoseconds;
    if (negative && nanoseconds > 0) {
        pax->mtime--;
        pax->mtime_nanoseconds = 1000000000 - nanoseconds;
    }
    return 0;
}

static int take_name(const struct record *record, const char **out, struct wherry_error *err)
{
    if (memchr(record->value, '\0', record->length) != NULL)
        return refuse(record, "holds a NUL", err);
    *out = record->length > 0 ? record->value : NULL; /* empty: as if the record were not there (POSIX) */
    return 0;
}

static int take_xattr(const struct record *record, struct wherry_pax *pax, struct wherry_error *err)
{
    const char *name = record->key + strlen(XATTR_PREFIX);
    size_t at = 0;

    while (at < pax->xattr_count && strcmp(pax->xattrs[at].name, name) != 0)
        at++;
    if (at == WHERRY_PAX_XATTRS_MAX)
        return refuse(record, "more extended attributes than a file can have", err);
    pax->xattrs[at] =
        (struct wherry_tar_xattr){.name = name, .value = (const uint8_t *)record->value, .length = record->length};
    if (at == pax->xattr_count)
        pax->xattr_count++;
    return 0;
}

/* Version 0.1: "offset,length,offset,length". */
static int take_sparse_map(const struct record *record, struct wherry_pax *pax, struct wherry_error *err)
{
    const char *at = record->value, *end = record->value + record->length;

    pax->map.count = 0;
    while (at < end) {
        uint64_t numbers[2] = {0, 0};

        for (int i = 0; i < 2; i++) {
            const char *comma = memchr(at, ',', (size_t)(end - at));
            struct record number = {.key = record->key, .value = at};
            int ret;

            number.length = (size_t)((comma != NULL ? comma : end) - at);
            ret = take_natural(&number, INT64_MAX, &numbers[i], err);
            if (ret < 0)
                return ret;
            at = comma != NULL ? comma + 1 : end;
        }
        if (wherry_sparse_add(&pax->map, numbers[0], numbers[1], err) < 0)
            return -EBADMSG;
    }
    return 0;
}

/* Version 0.0: a record for each offset and one for each length. */
static int take_sparse_number(const struct record *record, struct wherry_pax *pax, bool is_offset,
                              struct wherry_error *err)
{
    uint64_t number = 0;
    int ret = take_natural(record, INT64_MAX, &number, err);

    if (ret < 0)
        return ret;
    if (pax->offset_pending == is_offset)
        return refuse(record, "offset and length do not alternate", err);
    pax->offset_pending = is_offset;
    if (!is_offset)
        return wherry_sparse_add(&pax->map, pax->pending_offset, number, err);
    pax->pending_offset = number;
    return 0;
}

static int take_sparse(const struct record *record, struct wherry_pax *pax, struct wherry_error *err)
{
    const char *key = record->key + strlen("GNU.sparse.");

    pax->sparse = true;
    if (strcmp(key, "name") == 0)
        return take_name(record, &pax->sparse_name, err);
    if (strcmp(key, "realsize") == 0 || strcmp(key, "size") == 0)
        return take_natural(record, INT64_MAX, &pax->real_size, err);
    if (strcmp(key, "major") == 0) {
        pax->map_in_data = strcmp(record->value, "1") == 0;
        return pax->map_in_data || strcmp(record->value, "0") == 0 ? 0 : refuse(record, "is not known", err);
    }
    if (strcmp(key, "map") == 0)
        return take_sparse_map(record, pax, err);
    if (strcmp(key, "offset") == 0)
        return take_sparse_number(record, pax, true, err);
    if (strcmp(key, "numbytes") == 0)
        return take_sparse_number(record, pax, false, err);
    return 0; /* the minor version and the number of runs say nothing more */
}

static int take(const struct record *record, struct wherry_pax *pax, struct wherry_error *err)
{
    const char *key = record->key;

    if (strcmp(key, "path") == 0)
        return take_name(record, &pax->path, err);
    if (strcmp(key, "linkpath") == 0)
        return take_name(record, &pax->link, err);
    if (strcmp(key, "size") == 0) {
        pax->has_size = record->length > 0;
        return pax->has_size ? take_natural(record, INT64_MAX, &pax->size, err) : 0;
    }
    if (strcmp(key, "uid") == 0)
        return take_id(record, &pax->uid, &pax->has_uid, err);
    if (strcmp(key, "gid") == 0)
        return take_id(record, &pax->gid, &pax->has_gid, err);
    if (strcmp(key, "mtime") == 0)
        return take_time(record, pax, err);
    if (strncmp(key, XATTR_PREFIX, strlen(XATTR_PREFIX)) == 0)
        return take_xattr(record, pax, err);
    if (strncmp(key, "GNU.sparse.", strlen("GNU.sparse.")) == 0)
        return take_sparse(record, pax, err);
    return 0; /* names of users, access times, comments: not kept on disk */
}

/* Cuts one record out of the text at `at` and ends its key and value with NULs; *next is set behind it. */
static int cut(char *at, char *end, struct record *record, char **next, struct wherry_error *err)
{
    size_t length = 0;
    char *space = at, *equals;

    for (; space < end && *space >= '0' && *space <= '9' && length < (size_t)(end - at); space++)
        length = length * 10 + (size_t)(*space - '0');
    if (space == at || space >= end || *space != ' ' || length > (size_t)(end - at) ||
        length < (size_t)(space - at) + 3 || at[length - 1] != '\n')
        return wherry_error_set(err, EBADMSG, "tar: malformed extended header");
    equals = memchr(space + 1, '=', length - (size_t)(space + 1 - at));
    if (equals == NULL || equals == space + 1 || memchr(space + 1, '\0', (size_t)(equals - space - 1)) != NULL)
        return wherry_error_set(err, EBADMSG, "tar: malformed extended header");
    *equals = '\0';
    at[length - 1] = '\0';
    record->key = space + 1;
    record->value = equals + 1;
    record->length = (size_t)(at + length - 1 - record->value);
    *next = at + length;
    return 0;
}

int wherry_pax_parse(struct wherry_pax *pax, char *text, size_t length, struct wherry_error *err)
{
    char *end = text + length;

    pax->text = text;
    for (char *at = text; at < end;) {
        struct record record = {.key = NULL};
        int ret = cut(at, end, &record, &at, err);

        if (ret == 0)
            ret = take(&record, pax, err);
        if (ret < 0)
            return ret;
    }
    return 0;
}
