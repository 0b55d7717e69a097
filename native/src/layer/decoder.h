/*
 * Decompression in steps: a decoder takes what input there is and fills what room there is. gzip and zstd streams may
 * hold several members or frames, one after the other.
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wherry_decoder_io {
    const uint8_t *in;
    size_t in_length;
    uint8_t *out;
    size_t out_room;
};

struct wherry_decoder {
    /* Moves `io` on by what it consumed and produced. Negative on failure. */
    int (*step)(struct wherry_decoder *decoder, struct wherry_decoder_io *io, struct wherry_error *err);
    void (*free)(struct wherry_decoder *decoder);
    bool whole;  /* nothing of a member is outstanding: the stream may end here */
    bool padded; /* zeros have followed a member of gzip: nothing else may any more */
};

/* `magic` is the start of the stream, at least 6 bytes unless it is shorter. */
struct wherry_decoder *wherry_decoder_for(const uint8_t *magic, size_t length, struct wherry_error *err);

struct wherry_decoder *wherry_decoder_plain(struct wherry_error *err);
struct wherry_decoder *wherry_decoder_zstd(struct wherry_error *err);
struct wherry_decoder *wherry_decoder_gzip(struct wherry_error *err);

/* gzip by ISA-L, a few times faster than zlib; NULL without an error where the host does not have it. */
struct wherry_decoder *wherry_decoder_isal(void);

/* Between two members of gzip: true when there is another; zeros up to the end of the stream are padding (gzip(1)). */
int wherry_decoder_next_gzip_member(struct wherry_decoder *decoder, struct wherry_decoder_io *io,
                                    struct wherry_error *err);
