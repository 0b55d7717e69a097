/* See tar_write.h. */
#include "layer/tar_write.h"

#include "layer/tar_header.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPE_PAX 'x'
#define XATTR_PREFIX "SCHILY.xattr."

/* Records of an extended header, as they are collected. */
struct records {
    char *text;
    size_t length, room;
    bool failed, binary; /* binary: a name is not UTF-8, which pax wants to know */
};

static void records_free(struct records *records)
{
    free(records->text);
}

#define cleanup_records __attribute__((cleanup(records_free)))

static void append(struct records *records, const void *data, size_t length)
{
    if (records->room - records->length < length) {
        size_t room = 2 * records->room + length + 256;
        char *grown = realloc(records->text, room);

        if (grown == NULL) {
            records->failed = true;
            return;
        }
        records->text = grown;
        records->room = room;
    }
    memcpy(records->text + records->length, data, length);
    records->length += length;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits. */
static void add(struct records *records, const char *prefix, const char *key, const void *value, size_t length)
{
    size_t rest = strlen(prefix) + strlen(key) + length + 3; /* blank, equals sign, newline */
    size_t total = rest + 1;
    char digits[24];

    while ((size_t)snprintf(digits, sizeof(digits), "%zu", total) + rest != total)
        total = rest + strlen(digits);
    append(records, digits, strlen(digits));
    append(records, " ", 1);
    append(records, prefix, strlen(prefix));
    append(records, key, strlen(key));
    append(records, "=", 1);
    append(records, value, length);
    append(records, "\n", 1);
}

static void add_text(struct records *records, const char *key, const char *value)
{
    add(records, "", key, value, strlen(value));
}

static void add_number(struct records *records, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    add_text(records, key, text);
}

/* Whether the bytes are UTF-8 (RFC 3629); overlong forms and surrogates are let pass, readers do not mind them. */
static bool is_utf8(const char *text)
{
    for (const uint8_t *at = (const uint8_t *)text; *at != 0;) {
        unsigned more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : (*at & 0xf0) == 0xe0 ? 2 : *at < 0xf5 ? 3 : 9;

        if (more == 9 || (*at >= 0x80 && *at < 0xc2))
            return false;
        for (at++; more > 0; more--, at++)
            if ((*at & 0xc0) != 0x80)
                return false;
    }
    return true;
}

static void add_name(struct records *records, const char *key, const char *value)
{
    add_text(records, key, value);
    records->binary = records->binary || !is_utf8(value);
}

/* Into a field that need not end with a NUL. */
static bool put_text(char *field, size_t size, const char *text, size_t length)
{
    if (length > size)
        return false;
    memcpy(field, text, length);
    return true;
}

/* Octal digits and a NUL; false when there are not enough of them. */
static bool put_number(char *field, size_t size, uint64_t value)
{
    char digits[24];

    if (value >> 3 * (size - 1) != 0)
        return false;
    snprintf(digits, sizeof(digits), "%0*" PRIo64, (int)size - 1, value);
    memcpy(field, digits, size);
    return true;
}

/* The name alone, or split at a slash into prefix and name. */
static bool put_name(struct wherry_tar_header *header, const char *path)
{
    size_t length = strlen(path);

    if (put_text(header->name, sizeof(header->name), path, length))
        return true;
    for (size_t at = length - sizeof(header->name) - 1; at < length && at <= sizeof(header->prefix); at++)
        if (path[at] == '/' && at > 0 && at + 1 < length) {
            put_text(header->prefix, sizeof(header->prefix), path, at);
            return put_text(header->name, sizeof(header->name), path + at + 1, length - at - 1);
        }
    return false;
}

static void put_checksum(struct wherry_tar_header *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    unsigned sum = 0;

    memset(header->checksum, ' ', sizeof(header->checksum));
    for (size_t i = 0; i < WHERRY_TAR_BLOCK; i++)
        sum += bytes[i];
    snprintf(header->checksum, sizeof(header->checksum), "%06o", sum); /* then NUL, then the blank that is there */
}

static void put_magic(struct wherry_tar_header *header)
{
    memcpy(header->magic, "ustar", sizeof(header->magic));
    memcpy(header->version, "00", sizeof(header->version));
}

/* What a field cannot say goes into a record, and the field says the nearest thing. */
static void put_fields(struct wherry_tar_header *header, const struct wherry_tar_entry *entry, struct records *records)
{
    bool is_device = entry->type == WHERRY_TAR_CHARACTER || entry->type == WHERRY_TAR_BLOCK_DEVICE;
    bool is_link = entry->type == WHERRY_TAR_HARD_LINK || entry->type == WHERRY_TAR_SYMLINK;
    size_t length = strlen(entry->path);

    if (!put_name(header, entry->path)) {
        add_name(records, "path", entry->path);
        put_text(header->name, sizeof(header->name), entry->path, length < 100 ? length : 100);
    }
    if (is_link && !put_text(header->link, sizeof(header->link), entry->link, strlen(entry->link))) {
        add_name(records, "linkpath", entry->link);
        put_text(header->link, sizeof(header->link), entry->link, sizeof(header->link));
    }
    put_number(header->mode, sizeof(header->mode), entry->mode);
    if (!put_number(header->uid, sizeof(header->uid), entry->uid)) {
        add_number(records, "uid", entry->uid);
        put_number(header->uid, sizeof(header->uid), 0);
    }
    if (!put_number(header->gid, sizeof(header->gid), entry->gid)) {
        add_number(records, "gid", entry->gid);
        put_number(header->gid, sizeof(header->gid), 0);
    }
    if (!put_number(header->size, sizeof(header->size), entry->size)) {
        add_number(records, "size", entry->size);
        put_number(header->size, sizeof(header->size), 0);
    }
    if (is_device) { /* 12 and 20 bits in Linux: they fit */
        put_number(header->device_major, sizeof(header->device_major), entry->device_major);
        put_number(header->device_minor, sizeof(header->device_minor), entry->device_minor);
    }
    header->type = (char)entry->type;
}

static void put_time(struct wherry_tar_header *header, const struct wherry_tar_entry *entry, struct records *records)
{
    bool fits = entry->mtime >= 0 && put_number(header->mtime, sizeof(header->mtime), (uint64_t)entry->mtime);
    bool below_zero = entry->mtime < 0 && entry->mtime_nanoseconds > 0;
    char text[40];
    int length;

    if (!fits)
        put_number(header->mtime, sizeof(header->mtime), 0);
    if (fits && entry->mtime_nanoseconds == 0)
        return;
    /* -0.25 s is -1 s and 750 million nanoseconds on disk, and "-0.25" here. */
    length = snprintf(text, sizeof(text), "%s%" PRIu64 ".%09" PRIu32, entry->mtime < 0 ? "-" : "",
                      entry->mtime < 0 ? 0 - (uint64_t)entry->mtime - below_zero : (uint64_t)entry->mtime,
                      below_zero ? 1000000000 - entry->mtime_nanoseconds : entry->mtime_nanoseconds);
    while (text[length - 1] == '0')
        text[--length] = '\0';
    if (text[length - 1] == '.')
        text[--length] = '\0';
    add_text(records, "mtime", text);
}

static int write_records(struct wherry_sink *sink, const struct wherry_tar_entry *entry, struct records *records,
                         struct wherry_error *err)
{
    const char *slash = strrchr(entry->path, '/');
    struct wherry_tar_header header = {.type = TYPE_PAX};
    char name[sizeof(header.name) + 1];
    int ret;

    if (records->binary)
        add_text(records, "hdrcharset", "BINARY");
    if (records->failed)
        return wherry_error_set(err, ENOMEM, "tar");
    /* What a reader that does not know pax would call it. */
    snprintf(name, sizeof(name), "PaxHeaders/%.80s", slash != NULL && slash[1] != '\0' ? slash + 1 : entry->path);
    put_text(header.name, sizeof(header.name), name, strlen(name));
    put_number(header.mode, sizeof(header.mode), 0644);
    put_number(header.uid, sizeof(header.uid), 0);
    put_number(header.gid, sizeof(header.gid), 0);
    put_number(header.size, sizeof(header.size), records->length);
    put_number(header.mtime, sizeof(header.mtime), 0);
    put_magic(&header);
    put_checksum(&header);
    ret = wherry_sink_write(sink, &header, sizeof(header), err);
    if (ret == 0)
        ret = wherry_sink_write(sink, records->text, records->length, err);
    return ret < 0 ? ret : wherry_tar_write_padding(sink, records->length, err);
}

int wherry_tar_write_header(struct wherry_sink *sink, const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    struct records records cleanup_records = {.text = NULL};
    struct wherry_tar_header header = {.type = 0};
    int ret = 0;

    put_fields(&header, entry, &records);
    put_time(&header, entry, &records);
    for (size_t i = 0; i < entry->xattr_count; i++)
        add(&records, XATTR_PREFIX, entry->xattrs[i].name, entry->xattrs[i].value, entry->xattrs[i].length);
    put_magic(&header);
    put_checksum(&header);
    if (records.length > 0 || records.failed)
        ret = write_records(sink, entry, &records, err);
    return ret < 0 ? ret : wherry_sink_write(sink, &header, sizeof(header), err);
}

int wherry_tar_write_padding(struct wherry_sink *sink, uint64_t size, struct wherry_error *err)
{
    return wherry_sink_zeros(sink, (WHERRY_TAR_BLOCK - size % WHERRY_TAR_BLOCK) % WHERRY_TAR_BLOCK, err);
}

int wherry_tar_write_end(struct wherry_sink *sink, struct wherry_error *err)
{
    return wherry_sink_zeros(sink, (uint64_t)2 * WHERRY_TAR_BLOCK, err);
}
