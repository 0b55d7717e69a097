/* The maps of sparse files: where in the file each run of its data belongs. */
#pragma once

#include "layer/tar.h"
#include "layer/tar_header.h"

/* More than any real file has; a map is held in memory. */
#define WHERRY_SPARSE_EXTENTS_MAX (1024 * 1024)

struct wherry_sparse_map {
    struct wherry_tar_extent *extents; /* owned */
    size_t count, room;
};

int wherry_sparse_add(struct wherry_sparse_map *map, uint64_t offset, uint64_t length, struct wherry_error *err);
void wherry_sparse_clear(struct wherry_sparse_map *map);

/* Fails unless the runs follow each other, end within `real_size` and are `stored` bytes in all. */
int wherry_sparse_check(const struct wherry_sparse_map *map, uint64_t real_size, uint64_t stored,
                        struct wherry_error *err);

/* Old GNU form: the map is in the header and in blocks after it. */
int wherry_sparse_read_gnu(struct wherry_sparse_map *map, const struct wherry_tar_header *header,
                           struct wherry_stream *stream, struct wherry_error *err);

/* pax 1.0: decimal numbers, one a line, before the data and padded to blocks; *used is set to its bytes. */
int wherry_sparse_read_pax(struct wherry_sparse_map *map, struct wherry_stream *stream, uint64_t stored, uint64_t *used,
                           struct wherry_error *err);
