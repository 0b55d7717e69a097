/* Compression in blocks. What comes out depends on the blocks and the level alone, not on threads or time. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No block is larger; all but the last are this long. */
#define WHERRY_ENCODER_BLOCK (256 * 1024)

/* Takes compressed bytes; negative on failure. */
typedef int wherry_encoder_emit(void *context, const uint8_t *data, size_t length, struct wherry_error *err);

struct wherry_encoder {
    /* Takes a block, and emits what is ready: all, when it is the `last`. */
    int (*encode)(struct wherry_encoder *encoder, const uint8_t *data, size_t length, bool last,
                  struct wherry_error *err);
    void (*free)(struct wherry_encoder *encoder);
    wherry_encoder_emit *emit;
    void *context;
};

/* `level` 0 is the format's usual one. NULL with `err` set on failure, EINVAL for a level that there is not. */
struct wherry_encoder *wherry_encoder_gzip(int level, unsigned threads, struct wherry_error *err);
struct wherry_encoder *wherry_encoder_zstd(int level, unsigned threads, struct wherry_error *err);
