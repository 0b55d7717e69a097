/* A stream in one compression becomes the same stream in another, or in none; see wherry/pack.h. */
#include "layer/sink.h"
#include "layer/stream.h"
#include "wherry/pack.h"

#include <errno.h>
#include <string.h>

struct recompressing {
    struct wherry_sink *sink;
    struct wherry_layer_result *result;
};

static int pass_on(struct wherry_stream *stream, void *context, struct wherry_error *err)
{
    struct recompressing *recompressing = context;
    const uint8_t *data = NULL;
    ssize_t there;

    while ((there = wherry_stream_peek(stream, &data, err)) > 0) {
        int ret = wherry_sink_write(recompressing->sink, data, (size_t)there, err);

        if (ret < 0)
            return ret;
        wherry_stream_consume(stream, (size_t)there);
    }
    return there < 0 ? (int)there : wherry_sink_finish(recompressing->sink, recompressing->result, err);
}

int wherry_recompress(int source, int target, const struct wherry_pack_options *options,
                      struct wherry_layer_result *result, struct wherry_error *err)
{
    struct wherry_stream *stream cleanup_stream = NULL;
    struct wherry_sink *sink cleanup_sink = NULL;
    struct wherry_layer_result read = {.entries = 0};
    struct recompressing recompressing = {.result = result};

    memset(result, 0, sizeof(*result));
    stream = wherry_stream_open(source, options->limits.max_bytes, err);
    if (stream != NULL)
        sink = wherry_sink_open(target, options->compression, options->level, options->threads, err);
    if (sink == NULL)
        return err != NULL ? -err->code : -EIO;
    recompressing.sink = sink;
    return wherry_stream_run(stream, pass_on, &recompressing, &read, err);
}
