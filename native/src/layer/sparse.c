/* See sparse.h. */
#include "layer/sparse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int wherry_sparse_add(struct wherry_sparse_map *map, uint64_t offset, uint64_t length, struct wherry_error *err)
{
    if (map->count == WHERRY_SPARSE_EXTENTS_MAX)
        return wherry_error_set(err, EBADMSG, "tar: sparse file: more than %d runs", WHERRY_SPARSE_EXTENTS_MAX);
    if (map->count == map->room) {
        size_t room = map->room > 0 ? 2 * map->room : 16;
        struct wherry_tar_extent *grown = realloc(map->extents, room * sizeof(*grown));

        if (grown == NULL)
            return wherry_error_set(err, ENOMEM, "tar: sparse file");
        map->extents = grown;
        map->room = room;
    }
    map->extents[map->count++] = (struct wherry_tar_extent){.offset = offset, .length = length};
    return 0;
}

void wherry_sparse_clear(struct wherry_sparse_map *map)
{
    free(map->extents);
    memset(map, 0, sizeof(*map));
}

int wherry_sparse_check(const struct wherry_sparse_map *map, uint64_t real_size, uint64_t stored,
                        struct wherry_error *err)
{
    uint64_t reached = 0, total = 0;

    for (size_t i = 0; i < map->count; i++) {
        const struct wherry_tar_extent *run = &map->extents[i];

        if (run->offset < reached || run->offset > real_size || run->length > real_size - run->offset)
            return wherry_error_set(err, EBADMSG, "tar: sparse file: its runs overlap or leave the file");
        reached = run->offset + run->length;
        total += run->length;
    }
    if (total != stored)
        return wherry_error_set(err, EBADMSG, "tar: sparse file: %llu bytes are mapped and %llu are there",
                                (unsigned long long)total, (unsigned long long)stored);
    return 0;
}

/* An entry of the map in a header; 1, or 0 when the map ends before it. */
static int add_field(struct wherry_sparse_map *map, const char *offset, const char *length, struct wherry_error *err)
{
    uint64_t at = 0, bytes = 0;
    int ret;

    if (offset[0] == '\0' || length[0] == '\0')
        return 0;
    ret = wherry_tar_natural(offset, 12, "sparse offset", INT64_MAX, &at, err);
    if (ret == 0)
        ret = wherry_tar_natural(length, 12, "sparse length", INT64_MAX, &bytes, err);
    if (ret == 0)
        ret = wherry_sparse_add(map, at, bytes, err);
    return ret < 0 ? ret : 1;
}

int wherry_sparse_read_gnu(struct wherry_sparse_map *map, const struct wherry_tar_header *header,
                           struct wherry_stream *stream, struct wherry_error *err)
{
    const struct wherry_tar_gnu_fields *fields = (const struct wherry_tar_gnu_fields *)(const void *)header->prefix;
    bool extended = fields->extended != 0;
    int more = 1;

    for (size_t i = 0; i < 4 && more > 0; i++)
        more = add_field(map, fields->sparse[i].offset, fields->sparse[i].length, err);
    while (extended && more >= 0) {
        struct wherry_tar_gnu_sparse_block block;
        int ret = wherry_stream_read(stream, &block, sizeof(block), err);

        if (ret <= 0)
            return ret < 0 ? ret : wherry_error_set(err, EBADMSG, "tar: the archive ends in the middle");
        for (size_t i = 0; i < 21 && more > 0; i++)
            more = add_field(map, block.sparse[i].offset, block.sparse[i].length, err);
        extended = block.extended != 0;
    }
    return more < 0 ? more : 0;
}

/* Reads the blocks of a pax map byte by byte. */
struct map_reader {
    struct wherry_stream *stream;
    uint64_t left; /* bytes of the member that are not read yet */
    size_t at;
    char block[WHERRY_TAR_BLOCK];
};

static int next_number(struct map_reader *reader, uint64_t *out, struct wherry_error *err)
{
    uint64_t value = 0;
    bool digits = false;

    for (;;) {
        char byte;

        if (reader->at == WHERRY_TAR_BLOCK) {
            if (reader->left < WHERRY_TAR_BLOCK ||
                wherry_stream_read(reader->stream, reader->block, WHERRY_TAR_BLOCK, err) <= 0)
                return wherry_error_set(err, EBADMSG, "tar: sparse file: its map ends in the middle");
            reader->left -= WHERRY_TAR_BLOCK;
            reader->at = 0;
        }
        byte = reader->block[reader->at++];
        if (byte == '\n' && digits)
            break;
        if (byte < '0' || byte > '9' || value > (INT64_MAX - 9) / 10)
            return wherry_error_set(err, EBADMSG, "tar: sparse file: its map is no list of numbers");
        value = value * 10 + (uint64_t)(byte - '0');
        digits = true;
    }
    *out = value;
    return 0;
}

int wherry_sparse_read_pax(struct wherry_sparse_map *map, struct wherry_stream *stream, uint64_t stored, uint64_t *used,
                           struct wherry_error *err)
{
    struct map_reader reader = {.stream = stream, .left = stored, .at = WHERRY_TAR_BLOCK};
    uint64_t count = 0;
    int ret = next_number(&reader, &count, err);

    for (uint64_t i = 0; i < count && ret == 0; i++) {
        uint64_t offset = 0, length = 0;

        ret = next_number(&reader, &offset, err);
        if (ret == 0)
            ret = next_number(&reader, &length, err);
        if (ret == 0)
            ret = wherry_sparse_add(map, offset, length, err);
    }
    *used = stored - reader.left;
    return ret;
}
