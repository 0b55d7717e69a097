/*
 * The archive on its way out: hashed, compressed, hashed again and written to a descriptor in one pass. The other way
 * round than stream.h.
 */
#pragma once

#include "wherry/pack.h"

#include <stddef.h>
#include <stdint.h>

struct wherry_sink;

struct wherry_sink *wherry_sink_open(int fd, enum wherry_compression compression, int level, unsigned threads,
                                     struct wherry_error *err);
void wherry_sink_free(struct wherry_sink *sink);

int wherry_sink_write(struct wherry_sink *sink, const void *data, size_t length, struct wherry_error *err);
int wherry_sink_zeros(struct wherry_sink *sink, uint64_t length, struct wherry_error *err);

/* Room for at least one byte, to be filled in place, and how much of it was filled. */
int wherry_sink_room(struct wherry_sink *sink, uint8_t **room, size_t *length, struct wherry_error *err);
void wherry_sink_filled(struct wherry_sink *sink, size_t length);

/* Ends the compressed stream and says digests and sizes. */
int wherry_sink_finish(struct wherry_sink *sink, struct wherry_layer_result *result, struct wherry_error *err);

static inline void wherry_cleanup_sink(struct wherry_sink **sink)
{
    wherry_sink_free(*sink);
}

#define cleanup_sink __attribute__((cleanup(wherry_cleanup_sink)))
