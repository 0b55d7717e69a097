/*
 * Compressed streams: whatever the bytes and however they come in pieces, decoding ends, writes within its room, and
 * comes to the same as in one piece. The first byte chooses the sizes of the pieces.
 */
#include "layer/decoder.h"
#include "wherry/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    bool good;
    size_t length;
    uint8_t bytes[OUT_MAX];
};

/* Copies of exactly the size of a piece, so that a byte too far is seen. */
static int step(struct wherry_decoder *decoder, const uint8_t *in, size_t *in_length, uint8_t *out, size_t *room,
                struct wherry_error *err)
{
    uint8_t *piece = malloc(*in_length > 0 ? *in_length : 1), *space = malloc(*room > 0 ? *room : 1);
    struct wherry_decoder_io io = {.in = piece, .in_length = *in_length, .out = space, .out_room = *room};
    int ret;

    if (piece == NULL || space == NULL)
        abort();
    memcpy(piece, in, *in_length);
    ret = decoder->step(decoder, &io, err);
    if (io.in_length > *in_length || io.out_room > *room)
        abort();
    memcpy(out, space, *room - io.out_room);
    *in_length -= io.in_length;
    *room -= io.out_room;
    free(piece);
    free(space);
    return ret;
}

static void decode(const uint8_t *data, size_t size, size_t in_piece, size_t out_piece, struct outcome *outcome)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_decoder *decoder = wherry_decoder_for(data, size < 6 ? size : 6, &err);
    size_t at = 0, still = 0;

    outcome->good = false;
    outcome->length = 0;
    if (decoder == NULL)
        return;
    while (outcome->length < OUT_MAX) {
        size_t taken = size - at < in_piece ? size - at : in_piece;
        size_t made = OUT_MAX - outcome->length < out_piece ? OUT_MAX - outcome->length : out_piece;

        if (step(decoder, data + at, &taken, outcome->bytes + outcome->length, &made, &err) < 0) {
            if (err.message[0] == '\0')
                abort();
            break;
        }
        at += taken;
        outcome->length += made;
        still = taken == 0 && made == 0 ? still + 1 : 0;
        if (still > 1) {
            outcome->good = at == size && decoder->whole;
            break;
        }
    }
    decoder->free(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome whole, pieces;

    if (size == 0)
        return 0;
    decode(data + 1, size - 1, size, OUT_MAX, &whole);
    decode(data + 1, size - 1, 1U + data[0] % 16, 1U + data[0] / 16 * 37U, &pieces);
    /* What was cut off at the room's end says nothing of the rest. */
    if (whole.length < OUT_MAX && pieces.length < OUT_MAX && whole.good != pieces.good)
        abort();
    if (whole.good && pieces.good && (whole.length != pieces.length || memcmp(whole.bytes, pieces.bytes, whole.length)))
        abort();
    return 0;
}
