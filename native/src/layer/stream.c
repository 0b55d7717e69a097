/* See stream.h. */
#include "layer/stream.h"

#include "layer/decoder.h"
#include "wherry/sha256.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Both fit into the second-level cache, where the hash finds them again. */
#define IN_SIZE (128 * 1024)
#define OUT_SIZE (256 * 1024)
#define MAGIC_SIZE 4

struct wherry_stream {
    int fd;
    bool ended; /* the descriptor has no more */
    struct wherry_decoder *decoder;
    struct wherry_sha256 compressed, tar;
    uint64_t max_bytes;
    size_t in_at, in_end, out_at, out_end;
    uint8_t in[IN_SIZE], out[OUT_SIZE];
};

void wherry_stream_free(struct wherry_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->decoder != NULL)
        stream->decoder->free(stream->decoder);
    free(stream);
}

/* Appends what one read(2) gives to the input; waits for it also where the descriptor does not block. */
static int fill_input(struct wherry_stream *stream, struct wherry_error *err)
{
    for (;;) {
        ssize_t length = read(stream->fd, stream->in + stream->in_end, IN_SIZE - stream->in_end);

        if (length >= 0) {
            stream->ended = length == 0;
            wherry_sha256_update(&stream->compressed, stream->in + stream->in_end, (size_t)length);
            stream->in_end += (size_t)length;
            return 0;
        }
        if (errno == EAGAIN) {
            struct pollfd wait = {.fd = stream->fd, .events = POLLIN};

            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return wherry_error_set(err, errno, "read the layer");
        }
    }
}

struct wherry_stream *wherry_stream_open(int fd, uint64_t max_bytes, struct wherry_error *err)
{
    struct wherry_stream *stream = malloc(sizeof(*stream));

    if (stream == NULL) {
        wherry_error_set(err, ENOMEM, "layer");
        return NULL;
    }
    memset(stream, 0, offsetof(struct wherry_stream, in));
    stream->fd = fd;
    stream->max_bytes = max_bytes;
    wherry_sha256_init(&stream->compressed);
    wherry_sha256_init(&stream->tar);
    while (!stream->ended && stream->in_end < MAGIC_SIZE) {
        if (fill_input(stream, err) < 0) {
            wherry_stream_free(stream);
            return NULL;
        }
    }
    stream->decoder = wherry_decoder_for(stream->in, stream->in_end, err);
    if (stream->decoder == NULL) {
        wherry_stream_free(stream);
        return NULL;
    }
    return stream;
}

/* One step of decompression into the empty output buffer. */
static int decode(struct wherry_stream *stream, struct wherry_error *err)
{
    struct wherry_decoder_io io = {.in = stream->in + stream->in_at,
                                   .in_length = stream->in_end - stream->in_at,
                                   .out = stream->out,
                                   .out_room = OUT_SIZE};
    int ret = stream->decoder->step(stream->decoder, &io, err);

    if (ret < 0)
        return ret;
    stream->in_at = stream->in_end - io.in_length;
    stream->out_at = 0;
    stream->out_end = OUT_SIZE - io.out_room;
    wherry_sha256_update(&stream->tar, stream->out, stream->out_end);
    if (stream->max_bytes > 0 && stream->tar.length > stream->max_bytes)
        return wherry_error_set(err, EFBIG, "layer: larger than the %llu bytes that are allowed",
                                (unsigned long long)stream->max_bytes);
    return 0;
}

ssize_t wherry_stream_peek(struct wherry_stream *stream, const uint8_t **data, struct wherry_error *err)
{
    while (stream->out_at == stream->out_end) {
        size_t waiting;
        int ret;

        if (stream->in_at == stream->in_end && !stream->ended) {
            stream->in_at = stream->in_end = 0;
            ret = fill_input(stream, err);
            if (ret < 0)
                return ret;
        }
        waiting = stream->in_end - stream->in_at;
        ret = decode(stream, err);
        if (ret < 0)
            return ret;
        if (stream->out_end > 0 || stream->in_end - stream->in_at < waiting)
            continue;
        if (waiting > 0 || !stream->decoder->whole)
            return wherry_error_set(err, EBADMSG, "layer: the compressed stream ends in the middle");
        return 0;
    }
    *data = stream->out + stream->out_at;
    return (ssize_t)(stream->out_end - stream->out_at);
}

void wherry_stream_consume(struct wherry_stream *stream, size_t length)
{
    stream->out_at += length;
}

int wherry_stream_read(struct wherry_stream *stream, void *buffer, size_t length, struct wherry_error *err)
{
    for (size_t done = 0; done < length;) {
        const uint8_t *data = NULL;
        ssize_t there = wherry_stream_peek(stream, &data, err);
        size_t taken;

        if (there < 0)
            return (int)there;
        if (there == 0)
            return done == 0 ? 0 : wherry_error_set(err, EBADMSG, "tar: the archive ends in the middle");
        taken = (size_t)there < length - done ? (size_t)there : length - done;
        memcpy((uint8_t *)buffer + done, data, taken);
        wherry_stream_consume(stream, taken);
        done += taken;
    }
    return 1;
}

int wherry_stream_skip(struct wherry_stream *stream, uint64_t length, struct wherry_error *err)
{
    while (length > 0) {
        const uint8_t *data = NULL;
        ssize_t there = wherry_stream_peek(stream, &data, err);
        size_t taken;

        if (there < 0)
            return (int)there;
        if (there == 0)
            return wherry_error_set(err, EBADMSG, "tar: the archive ends in the middle");
        taken = (uint64_t)there < length ? (size_t)there : (size_t)length;
        wherry_stream_consume(stream, taken);
        length -= taken;
    }
    return 0;
}

static void digest_text(struct wherry_sha256 *sha, char text[WHERRY_DIGEST_HEX])
{
    uint8_t digest[WHERRY_SHA256_SIZE];

    wherry_sha256_final(sha, digest);
    wherry_sha256_text(digest, text);
}

int wherry_stream_finish(struct wherry_stream *stream, struct wherry_layer_result *result, struct wherry_error *err)
{
    const uint8_t *data = NULL;
    ssize_t there;

    while ((there = wherry_stream_peek(stream, &data, err)) > 0)
        wherry_stream_consume(stream, (size_t)there);
    if (there < 0)
        return (int)there;
    result->compressed_size = stream->compressed.length;
    result->size = stream->tar.length;
    digest_text(&stream->compressed, result->digest);
    digest_text(&stream->tar, result->diff_id);
    return 0;
}
