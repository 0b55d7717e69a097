/* Choosing a decoder by the stream's first bytes; the decoders for gzip by zlib, zstd, and for no compression. */
#include "layer/decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* The largest window that a zstd frame may ask for, as a power of 2: 64 MiB. Memory is bounded by it. */
#define ZSTD_WINDOW_LOG_MAX 26

static void free_plain(struct wherry_decoder *decoder)
{
    free(decoder);
}

static int step_plain(struct wherry_decoder *decoder, struct wherry_decoder_io *io, struct wherry_error *err)
{
    size_t length = io->in_length < io->out_room ? io->in_length : io->out_room;

    (void)decoder;
    (void)err;
    memcpy(io->out, io->in, length);
    io->in += length;
    io->in_length -= length;
    io->out += length;
    io->out_room -= length;
    return 0;
}

struct wherry_decoder *wherry_decoder_plain(struct wherry_error *err)
{
    struct wherry_decoder *decoder = calloc(1, sizeof(*decoder));

    if (decoder == NULL) {
        wherry_error_set(err, ENOMEM, "layer");
        return NULL;
    }
    decoder->step = step_plain;
    decoder->free = free_plain;
    decoder->whole = true;
    return decoder;
}

struct gzip_decoder {
    struct wherry_decoder base;
    z_stream zlib;
};

static void free_gzip(struct wherry_decoder *decoder)
{
    struct gzip_decoder *gzip = (struct gzip_decoder *)decoder;

    inflateEnd(&gzip->zlib);
    free(gzip);
}

int wherry_decoder_next_gzip_member(struct wherry_decoder *decoder, struct wherry_decoder_io *io,
                                    struct wherry_error *err)
{
    if (io->in[0] == 0x1f && !decoder->padded)
        return 1;
    /* Remembered: whether a member may follow must not depend on where the input happens to be cut into pieces. */
    decoder->padded = true;
    while (io->in_length > 0 && io->in[0] == 0) {
        io->in++;
        io->in_length--;
    }
    return io->in_length == 0 ? 0 : wherry_error_set(err, EBADMSG, "gzip: bytes after the end that are no gzip");
}

static int step_gzip(struct wherry_decoder *decoder, struct wherry_decoder_io *io, struct wherry_error *err)
{
    struct gzip_decoder *gzip = (struct gzip_decoder *)decoder;
    z_stream *zlib = &gzip->zlib;
    int ret;

    if (decoder->whole && io->in_length > 0) {
        ret = wherry_decoder_next_gzip_member(decoder, io, err);
        if (ret <= 0)
            return ret;
        inflateReset(zlib);
        decoder->whole = false;
    }
    zlib->next_in = (Bytef *)(uintptr_t)io->in;
    zlib->avail_in = (uInt)io->in_length;
    zlib->next_out = io->out;
    zlib->avail_out = (uInt)io->out_room;
    ret = inflate(zlib, Z_NO_FLUSH);
    io->in = zlib->next_in;
    io->in_length = zlib->avail_in;
    io->out = zlib->next_out;
    io->out_room = zlib->avail_out;
    if (ret == Z_STREAM_END)
        decoder->whole = true;
    else if (ret == Z_MEM_ERROR)
        return wherry_error_set(err, ENOMEM, "gzip");
    else if (ret != Z_OK && ret != Z_BUF_ERROR)
        return wherry_error_set(err, EBADMSG, "gzip: %s", zlib->msg != NULL ? zlib->msg : "malformed");
    return 0;
}

struct wherry_decoder *wherry_decoder_gzip(struct wherry_error *err)
{
    struct gzip_decoder *gzip = calloc(1, sizeof(*gzip));

    if (gzip == NULL || inflateInit2(&gzip->zlib, 16 + MAX_WBITS) != Z_OK) {
        wherry_error_set(err, ENOMEM, "gzip");
        free(gzip);
        return NULL;
    }
    gzip->base.step = step_gzip;
    gzip->base.free = free_gzip;
    return &gzip->base;
}

struct zstd_decoder {
    struct wherry_decoder base;
    ZSTD_DCtx *context;
};

static void free_zstd(struct wherry_decoder *decoder)
{
    struct zstd_decoder *zstd = (struct zstd_decoder *)decoder;

    ZSTD_freeDCtx(zstd->context);
    free(zstd);
}

static int step_zstd(struct wherry_decoder *decoder, struct wherry_decoder_io *io, struct wherry_error *err)
{
    struct zstd_decoder *zstd = (struct zstd_decoder *)decoder;
    ZSTD_inBuffer in = {.src = io->in, .size = io->in_length};
    ZSTD_outBuffer out = {.dst = io->out, .size = io->out_room};
    size_t ret;

    if (decoder->whole && io->in_length == 0)
        return 0; /* asked now, it would want another frame */
    ret = ZSTD_decompressStream(zstd->context, &out, &in);
    if (ZSTD_isError(ret))
        return wherry_error_set(err, EBADMSG, "zstd: %s", ZSTD_getErrorName(ret));
    io->in += in.pos;
    io->in_length -= in.pos;
    io->out += out.pos;
    io->out_room -= out.pos;
    decoder->whole = ret == 0;
    return 0;
}

struct wherry_decoder *wherry_decoder_zstd(struct wherry_error *err)
{
    struct zstd_decoder *zstd = calloc(1, sizeof(*zstd));
    ZSTD_DCtx *context = zstd != NULL ? ZSTD_createDCtx() : NULL;

    if (context == NULL) {
        wherry_error_set(err, ENOMEM, "zstd");
        free(zstd);
        return NULL;
    }
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
    zstd->context = context;
    zstd->base.step = step_zstd;
    zstd->base.free = free_zstd;
    return &zstd->base;
}

struct wherry_decoder *wherry_decoder_for(const uint8_t *magic, size_t length, struct wherry_error *err)
{
    static const uint8_t gzip[] = {0x1f, 0x8b};
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    /* 0x184d2a50 to 0x184d2a5f, little endian: a skippable frame before the first one (zstd format, RFC 8878) */
    static const uint8_t skippable[] = {0x2a, 0x4d, 0x18};
    static const uint8_t xz[] = {0xfd, '7', 'z', 'X', 'Z', 0};

    if (length >= sizeof(gzip) && memcmp(magic, gzip, sizeof(gzip)) == 0) {
        struct wherry_decoder *fast = wherry_decoder_isal();

        return fast != NULL ? fast : wherry_decoder_gzip(err);
    }
    if (length >= sizeof(zstd) &&
        (memcmp(magic, zstd, sizeof(zstd)) == 0 || ((magic[0] & 0xf0) == 0x50 && memcmp(magic + 1, skippable, 3) == 0)))
        return wherry_decoder_zstd(err);
    if ((length >= sizeof(xz) && memcmp(magic, xz, sizeof(xz)) == 0) ||
        (length >= 6 && memcmp(magic, "BZh", 3) == 0 && memcmp(magic + 4, "1A", 2) == 0)) {
        wherry_error_set(err, EPROTONOSUPPORT, "compressed by %s, where gzip, zstd or nothing is taken",
                         magic[0] == xz[0] ? "xz" : "bzip2");
        return NULL;
    }
    return wherry_decoder_plain(err);
}
