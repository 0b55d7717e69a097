/* gzip by zlib and by ISA-L: both must take what the other takes, in pieces of any size. */
#include "check.h"

#include "layer/decoder.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <zlib.h>

#define PLAIN_SIZE 200000
#define PACKED_MAX 300000

typedef struct wherry_decoder *decoder_maker(void);

static struct wherry_decoder *by_zlib(void)
{
    return wherry_decoder_gzip(NULL);
}

static uint8_t plain[PLAIN_SIZE];

static void fill_plain(void)
{
    uint32_t state = 1;

    for (size_t i = 0; i < PLAIN_SIZE; i++) {
        state = state * 1664525 + 1013904223;
        plain[i] = (uint8_t)(i % 3000 < 1500 ? 'a' : state >> 24);
    }
}

/* Appends one gzip member to `packed`. */
static size_t pack(uint8_t *packed, const uint8_t *data, size_t length)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};

    CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_out = packed;
    stream.avail_out = PACKED_MAX;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

/* Decodes with at most `in_piece` bytes in and `out_piece` out a step. Returns the bytes decoded, or the error. */
static ssize_t decode(struct wherry_decoder *decoder, const uint8_t *packed, size_t length, size_t in_piece,
                      size_t out_piece, uint8_t *out, struct wherry_error *err)
{
    size_t in_at = 0, out_at = 0;

    for (;;) {
        struct wherry_decoder_io io = {.in = packed + in_at, .out = out + out_at};
        size_t in_given = length - in_at < in_piece ? length - in_at : in_piece;
        size_t out_given = PLAIN_SIZE + 1 - out_at < out_piece ? PLAIN_SIZE + 1 - out_at : out_piece;
        int ret;

        io.in_length = in_given;
        io.out_room = out_given;
        ret = decoder->step(decoder, &io, err);
        if (ret < 0)
            return ret;
        in_at += in_given - io.in_length;
        out_at += out_given - io.out_room;
        if (in_at == length && io.out_room > 0)
            return (ssize_t)out_at;
    }
}

static void pieces_of_any_size(decoder_maker *make)
{
    static const size_t sizes[] = {1, 7, 1000, 65536, PLAIN_SIZE + 1};
    cleanup_free uint8_t *packed = malloc(PACKED_MAX);
    cleanup_free uint8_t *out = malloc(PLAIN_SIZE + 1);
    size_t first = pack(packed, plain, 70001);
    size_t length = first + pack(packed + first, plain + 70001, PLAIN_SIZE - 70001);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++) {
            struct wherry_decoder *decoder = make();
            struct wherry_error err = WHERRY_ERROR_INIT;

            CHECK(decode(decoder, packed, length, sizes[i], sizes[j], out, &err) == PLAIN_SIZE);
            CHECK(decoder->whole);
            CHECK(memcmp(out, plain, PLAIN_SIZE) == 0);
            decoder->free(decoder);
        }
    }
}

static void damage(decoder_maker *make)
{
    cleanup_free uint8_t *packed = malloc(PACKED_MAX);
    cleanup_free uint8_t *out = malloc(PLAIN_SIZE + 1);
    size_t length = pack(packed, plain, PLAIN_SIZE);
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_decoder *decoder = make();

    CHECK(decode(decoder, packed, length - 1, 4096, 4096, out, &err) == PLAIN_SIZE);
    CHECK(!decoder->whole);
    decoder->free(decoder);

    packed[length - 8] ^= 1; /* the checksum */
    decoder = make();
    CHECK_FAILS(decode(decoder, packed, length, 4096, 4096, out, &err), err, "gzip");
    CHECK(err.code == EBADMSG);
    decoder->free(decoder);

    packed[length - 8] ^= 1;
    memcpy(packed + length, "\0\0x", 3);
    decoder = make();
    CHECK_FAILS(decode(decoder, packed, length + 3, 4096, PLAIN_SIZE + 1, out, &err), err, "after the end");
    decoder->free(decoder);
    decoder = make();
    CHECK(decode(decoder, packed, length + 2, 4096, 4096, out, &err) == PLAIN_SIZE);
    CHECK(decoder->whole);
    decoder->free(decoder);
}

static void zlib_takes_pieces_of_any_size(void)
{
    pieces_of_any_size(by_zlib);
}

static void zlib_tells_damage(void)
{
    damage(by_zlib);
}

static void need_isal(void)
{
    struct wherry_decoder *decoder = wherry_decoder_isal();

    if (decoder == NULL)
        SKIP("this host has no ISA-L");
    decoder->free(decoder);
}

static void isal_takes_pieces_of_any_size(void)
{
    need_isal();
    pieces_of_any_size(wherry_decoder_isal);
}

static void isal_tells_damage(void)
{
    need_isal();
    damage(wherry_decoder_isal);
}

int main(void)
{
    fill_plain();
    RUN(zlib_takes_pieces_of_any_size);
    RUN(zlib_tells_damage);
    RUN(isal_takes_pieces_of_any_size);
    RUN(isal_tells_damage);
    return check_result();
}
