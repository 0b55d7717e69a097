/* zstd by libzstd, which has threads of its own. */
#include "layer/encoder.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#define LEVEL_USUAL 3
#define OUT_SIZE (128 * 1024)

struct zstd_encoder {
    struct wherry_encoder base;
    ZSTD_CCtx *context;
    uint8_t out[OUT_SIZE];
};

static void free_zstd(struct wherry_encoder *encoder)
{
    struct zstd_encoder *zstd = (struct zstd_encoder *)encoder;

    ZSTD_freeCCtx(zstd->context);
    free(zstd);
}

static int encode_zstd(struct wherry_encoder *encoder, const uint8_t *data, size_t length, bool last,
                       struct wherry_error *err)
{
    struct zstd_encoder *zstd = (struct zstd_encoder *)encoder;
    ZSTD_inBuffer in = {.src = data, .size = length};
    size_t left;

    do {
        ZSTD_outBuffer out = {.dst = zstd->out, .size = OUT_SIZE};
        int ret;

        left = ZSTD_compressStream2(zstd->context, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return wherry_error_set(err, EIO, "zstd: %s", ZSTD_getErrorName(left));
        ret = out.pos > 0 ? encoder->emit(encoder->context, zstd->out, out.pos, err) : 0;
        if (ret < 0)
            return ret;
    } while (in.pos < in.size || (last && left > 0));
    return 0;
}

struct wherry_encoder *wherry_encoder_zstd(int level, unsigned threads, struct wherry_error *err)
{
    struct zstd_encoder *zstd = calloc(1, sizeof(*zstd));

    if (level < 0 || level > ZSTD_maxCLevel()) {
        wherry_error_set(err, EINVAL, "zstd: level %d is not between 1 and %d", level, ZSTD_maxCLevel());
        free(zstd);
        return NULL;
    }
    if (zstd == NULL || (zstd->context = ZSTD_createCCtx()) == NULL) {
        wherry_error_set(err, ENOMEM, "zstd");
        free(zstd);
        return NULL;
    }
    ZSTD_CCtx_setParameter(zstd->context, ZSTD_c_compressionLevel, level > 0 ? level : LEVEL_USUAL);
    ZSTD_CCtx_setParameter(zstd->context, ZSTD_c_checksumFlag, 1);
    /* Also for a single one: without workers the blocks, and so the bytes, would be others. A library that was built
     * without threads ignores it. */
    ZSTD_CCtx_setParameter(zstd->context, ZSTD_c_nbWorkers, (int)threads);
    zstd->base.encode = encode_zstd;
    zstd->base.free = free_zstd;
    return &zstd->base;
}
