/* See tar.h. */
#include "layer/tar.h"

#include "layer/pax.h"
#include "layer/sparse.h"
#include "layer/tar_header.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of an extended header or a long name: far more than any real one, little enough to hold. */
#define SPECIAL_MAX (1024 * 1024)
#define MODE_MASK 07777
#define GLOBAL_HEADERS_MAX 16 /* writers make one */

enum special {
    TYPE_FILE_OLD = '\0',
    TYPE_CONTIGUOUS = '7',
    TYPE_PAX = 'x',
    TYPE_PAX_GLOBAL = 'g',
    TYPE_GNU_LONG_NAME = 'L',
    TYPE_GNU_LONG_LINK = 'K',
    TYPE_GNU_SPARSE = 'S',
};

struct wherry_tar {
    struct wherry_stream *stream;
    struct wherry_tar_header header;
    char name[sizeof(((struct wherry_tar_header *)0)->prefix) + sizeof(((struct wherry_tar_header *)0)->name) + 2];
    char link[sizeof(((struct wherry_tar_header *)0)->link) + 1];
    char *long_name, *long_link; /* GNU's, owned */
    struct wherry_pax pax;
    struct wherry_pax global;               /* what global headers said, one over the other */
    char *global_texts[GLOBAL_HEADERS_MAX]; /* owned; the global header's strings point into them */
    size_t global_count;
    bool has_pax;                 /* `pax` says something of this member */
    struct wherry_sparse_map map; /* of the member, when it is sparse */
    uint64_t left;                /* bytes of the member in the archive that are not read yet */
    uint64_t padding;             /* after them, up to the next block */
    uint64_t real_size;
};

struct wherry_tar *wherry_tar_open(struct wherry_stream *stream, struct wherry_error *err)
{
    struct wherry_tar *tar = calloc(1, sizeof(*tar));

    if (tar == NULL)
        wherry_error_set(err, ENOMEM, "tar");
    else
        tar->stream = stream;
    return tar;
}

static void forget_member(struct wherry_tar *tar)
{
    free(tar->long_name);
    free(tar->long_link);
    tar->long_name = tar->long_link = NULL;
    if (tar->has_pax)
        wherry_pax_clear(&tar->pax);
    tar->has_pax = false;
    wherry_sparse_clear(&tar->map);
}

void wherry_tar_free(struct wherry_tar *tar)
{
    if (tar == NULL)
        return;
    forget_member(tar);
    wherry_sparse_clear(&tar->global.map);
    for (size_t i = 0; i < tar->global_count; i++)
        free(tar->global_texts[i]);
    free(tar);
}

static uint64_t padding_of(uint64_t size)
{
    return (WHERRY_TAR_BLOCK - size % WHERRY_TAR_BLOCK) % WHERRY_TAR_BLOCK;
}

/* 1, or 0 at the end: two blocks of zeros, or the end of the stream where a header would be. */
static int read_header(struct wherry_tar *tar, struct wherry_error *err)
{
    struct wherry_tar_header *header = &tar->header;
    int ret = wherry_stream_read(tar->stream, header, WHERRY_TAR_BLOCK, err);

    if (ret > 0 && wherry_tar_block_is_zero(header)) {
        ret = wherry_stream_read(tar->stream, header, WHERRY_TAR_BLOCK, err);
        if (ret <= 0)
            return ret;
        return wherry_tar_block_is_zero(header) ? 0 : wherry_error_set(err, EBADMSG, "tar: a block of zeros inside");
    }
    if (ret > 0 && !wherry_tar_checksum_is_right(header))
        return wherry_error_set(err, EBADMSG, "tar: not an archive, or damaged: a header's checksum is wrong");
    return ret;
}

/* Reads the data of an extended header or a long name, NUL-terminated. */
static int read_special(struct wherry_tar *tar, char **text, size_t *length, struct wherry_error *err)
{
    uint64_t size = 0;
    cleanup_free char *buffer = NULL;
    int ret = wherry_tar_natural(tar->header.size, sizeof(tar->header.size), "size", SPECIAL_MAX, &size, err);

    if (ret < 0)
        return ret;
    buffer = malloc(size + 1);
    if (buffer == NULL)
        return wherry_error_set(err, ENOMEM, "tar");
    ret = size > 0 ? wherry_stream_read(tar->stream, buffer, size, err) : 1;
    if (ret <= 0)
        return ret < 0 ? ret : wherry_error_set(err, EBADMSG, "tar: the archive ends in the middle");
    buffer[size] = '\0';
    *length = size;
    free(*text);
    *text = wherry_steal_pointer(&buffer);
    return wherry_stream_skip(tar->stream, padding_of(size), err);
}

static int read_pax(struct wherry_tar *tar, struct wherry_error *err)
{
    char *text = NULL;
    size_t length = 0;
    int ret = read_special(tar, &text, &length, err);

    if (ret < 0) {
        free(text);
        return ret;
    }
    /* The last of several extended headers counts. */
    tar->has_pax = true;
    wherry_pax_begin(&tar->pax, &tar->global);
    return wherry_pax_parse(&tar->pax, text, length, err);
}

/* It holds for all members from here on, except for what their own headers say. */
static int read_global(struct wherry_tar *tar, struct wherry_error *err)
{
    char *text = NULL;
    size_t length = 0;
    int ret;

    if (tar->global_count == GLOBAL_HEADERS_MAX)
        return wherry_error_set(err, EBADMSG, "tar: more than %d global headers", GLOBAL_HEADERS_MAX);
    ret = read_special(tar, &text, &length, err);
    if (ret < 0) {
        free(text);
        return ret;
    }
    tar->global_texts[tar->global_count++] = text;
    ret = wherry_pax_parse(&tar->global, text, length, err);
    tar->global.text = NULL;
    if (ret == 0 && tar->global.sparse)
        return wherry_error_set(err, EBADMSG, "tar: a global header describes a sparse file");
    return ret;
}

/* Headers that only say something of the next: 1 when this was one, 0 when it is a member's own. */
static int take_special(struct wherry_tar *tar, struct wherry_error *err)
{
    size_t length = 0;
    int ret;

    switch (tar->header.type) {
    case TYPE_PAX:
        ret = read_pax(tar, err);
        break;
    case TYPE_PAX_GLOBAL:
        ret = read_global(tar, err);
        break;
    case TYPE_GNU_LONG_NAME:
        ret = read_special(tar, &tar->long_name, &length, err);
        break;
    case TYPE_GNU_LONG_LINK:
        ret = read_special(tar, &tar->long_link, &length, err);
        break;
    default:
        return 0;
    }
    return ret < 0 ? ret : 1;
}

/* The name from the header's own fields; the prefix is ustar's only, GNU has other things there. */
static const char *header_name(struct wherry_tar *tar)
{
    const struct wherry_tar_header *header = &tar->header;
    int prefix = wherry_tar_is_ustar(header) ? (int)strnlen(header->prefix, sizeof(header->prefix)) : 0;

    snprintf(tar->name, sizeof(tar->name), "%.*s%s%.*s", prefix, header->prefix, prefix > 0 ? "/" : "",
             (int)sizeof(header->name), header->name);
    return tar->name;
}

static const char *header_link(struct wherry_tar *tar)
{
    snprintf(tar->link, sizeof(tar->link), "%.*s", (int)sizeof(tar->header.link), tar->header.link);
    return tar->link;
}

/* Names, from whichever place counts. */
static void take_names(struct wherry_tar *tar, struct wherry_tar_entry *entry)
{
    entry->path = tar->pax.path != NULL ? tar->pax.path : header_name(tar);
    entry->link = tar->pax.link != NULL ? tar->pax.link : header_link(tar);
    if (tar->long_name != NULL)
        entry->path = tar->long_name;
    if (tar->long_link != NULL)
        entry->link = tar->long_link;
    if (tar->pax.sparse_name != NULL)
        entry->path = tar->pax.sparse_name;
}

static int take_type(struct wherry_tar *tar, struct wherry_tar_entry *entry, struct wherry_error *err)
{
    char type = tar->header.type;
    size_t length = strlen(entry->path);

    if (type == TYPE_FILE_OLD || type == TYPE_CONTIGUOUS || type == TYPE_GNU_SPARSE)
        type = WHERRY_TAR_FILE;
    /* Before ustar a directory was a file whose name ends in a slash. */
    if (tar->header.type == TYPE_FILE_OLD && length > 0 && entry->path[length - 1] == '/')
        type = WHERRY_TAR_DIRECTORY;
    if (type < WHERRY_TAR_FILE || type > WHERRY_TAR_FIFO)
        return wherry_error_set(err, EBADMSG, "tar: %s: member of a kind that is not supported (\"%c\")", entry->path,
                                type >= ' ' && type <= '~' ? type : '?');
    entry->type = (enum wherry_tar_type)type;
    return 0;
}

static int take_numbers(struct wherry_tar *tar, struct wherry_tar_entry *entry, struct wherry_error *err)
{
    const struct wherry_tar_header *header = &tar->header;
    const struct wherry_pax *pax = &tar->pax;
    int64_t mode = 0;
    uint64_t uid = pax->uid, gid = pax->gid, device_major = 0, device_minor = 0;

    entry->mtime = pax->mtime;
    entry->mtime_nanoseconds = pax->mtime_nanoseconds;
    if (wherry_tar_number(header->mode, sizeof(header->mode), "mode", &mode, err) < 0 ||
        (!pax->has_uid && wherry_tar_natural(header->uid, sizeof(header->uid), "uid", UINT32_MAX - 1, &uid, err) < 0) ||
        (!pax->has_gid && wherry_tar_natural(header->gid, sizeof(header->gid), "gid", UINT32_MAX - 1, &gid, err) < 0) ||
        (!pax->has_mtime && wherry_tar_number(header->mtime, sizeof(header->mtime), "mtime", &entry->mtime, err) < 0))
        return -EBADMSG;
    if ((entry->type == WHERRY_TAR_CHARACTER || entry->type == WHERRY_TAR_BLOCK_DEVICE) &&
        (wherry_tar_natural(header->device_major, sizeof(header->device_major), "devmajor", UINT32_MAX, &device_major,
                            err) < 0 ||
         wherry_tar_natural(header->device_minor, sizeof(header->device_minor), "devminor", UINT32_MAX, &device_minor,
                            err) < 0))
        return -EBADMSG;
    entry->mode = (uint32_t)mode & MODE_MASK;
    entry->uid = (uint32_t)uid;
    entry->gid = (uint32_t)gid;
    entry->device_major = (uint32_t)device_major;
    entry->device_minor = (uint32_t)device_minor;
    return 0;
}

static int take_sparse(struct wherry_tar *tar, uint64_t stored, struct wherry_error *err)
{
    const struct wherry_tar_gnu_fields *fields = (const struct wherry_tar_gnu_fields *)(const void *)tar->header.prefix;
    uint64_t used = 0;
    int ret;

    if (tar->header.type == TYPE_GNU_SPARSE) {
        ret = wherry_tar_natural(fields->real_size, sizeof(fields->real_size), "realsize", INT64_MAX, &tar->real_size,
                                 err);
        if (ret == 0)
            ret = wherry_sparse_read_gnu(&tar->map, &tar->header, tar->stream, err);
    } else {
        tar->real_size = tar->pax.real_size;
        if (tar->pax.map_in_data) {
            ret = wherry_sparse_read_pax(&tar->map, tar->stream, stored, &used, err);
        } else {
            tar->map = tar->pax.map;
            memset(&tar->pax.map, 0, sizeof(tar->pax.map));
            ret = 0;
        }
    }
    if (ret < 0)
        return ret;
    tar->left = stored - used;
    return wherry_sparse_check(&tar->map, tar->real_size, tar->left, err);
}

/* How many bytes follow the header; only files have any, whatever the header of another kind says. */
static int take_size(struct wherry_tar *tar, struct wherry_tar_entry *entry, struct wherry_error *err)
{
    const struct wherry_tar_header *header = &tar->header;
    uint64_t stored = tar->pax.size;
    int ret;

    tar->left = tar->padding = 0;
    if (entry->type != WHERRY_TAR_FILE)
        return 0;
    if (!tar->pax.has_size) {
        ret = wherry_tar_natural(header->size, sizeof(header->size), "size", INT64_MAX, &stored, err);
        if (ret < 0)
            return ret;
    }
    tar->left = stored;
    tar->padding = padding_of(stored);
    tar->real_size = stored;
    entry->sparse = header->type == TYPE_GNU_SPARSE || tar->pax.sparse;
    ret = entry->sparse ? take_sparse(tar, stored, err) : 0;
    entry->size = tar->real_size;
    return ret;
}

int wherry_tar_next(struct wherry_tar *tar, struct wherry_tar_entry *entry, struct wherry_error *err)
{
    int ret = wherry_stream_skip(tar->stream, tar->left, err);

    if (ret == 0)
        ret = wherry_stream_skip(tar->stream, tar->padding, err);
    if (ret < 0)
        return ret;
    tar->left = tar->padding = 0;
    forget_member(tar);
    do {
        ret = read_header(tar, err);
        if (ret <= 0)
            return ret;
        ret = take_special(tar, err);
    } while (ret > 0);
    if (ret < 0)
        return ret;
    if (!tar->has_pax && tar->global_count > 0) {
        tar->has_pax = true;
        wherry_pax_begin(&tar->pax, &tar->global);
    }
    memset(entry, 0, sizeof(*entry));
    take_names(tar, entry);
    if (take_type(tar, entry, err) < 0 || take_numbers(tar, entry, err) < 0 || take_size(tar, entry, err) < 0)
        return wherry_error_prefix(err, "%.256s", entry->path);
    entry->xattrs = tar->pax.xattrs;
    entry->xattr_count = tar->pax.xattr_count;
    return 1;
}

/* Copies `length` bytes of the member to where `fd` stands. */
static int copy(struct wherry_tar *tar, int fd, uint64_t length, struct wherry_error *err)
{
    while (length > 0) {
        const uint8_t *data = NULL;
        ssize_t there = wherry_stream_peek(tar->stream, &data, err);
        size_t taken;
        int ret;

        if (there < 0)
            return (int)there;
        if (there == 0)
            return wherry_error_set(err, EBADMSG, "tar: the archive ends in the middle");
        taken = (uint64_t)there < length ? (size_t)there : (size_t)length;
        ret = wherry_write_all(fd, data, taken);
        if (ret < 0)
            return wherry_error_set(err, -ret, "write");
        wherry_stream_consume(tar->stream, taken);
        tar->left -= taken;
        length -= taken;
    }
    return 0;
}

int wherry_tar_extract(struct wherry_tar *tar, int fd, struct wherry_error *err)
{
    if (tar->map.count == 0 && tar->real_size == tar->left)
        return copy(tar, fd, tar->left, err);
    for (size_t i = 0; i < tar->map.count; i++) {
        int ret;

        if (lseek(fd, (off_t)tar->map.extents[i].offset, SEEK_SET) < 0)
            return wherry_error_set(err, errno, "seek");
        ret = copy(tar, fd, tar->map.extents[i].length, err);
        if (ret < 0)
            return ret;
    }
    return ftruncate(fd, (off_t)tar->real_size) < 0 ? wherry_error_set(err, errno, "set the size") : 0;
}
