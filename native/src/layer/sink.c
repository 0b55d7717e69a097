/* See sink.h. */
#include "layer/sink.h"

#include "layer/encoder.h"
#include "wherry/file.h"
#include "wherry/sha256.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_USUAL_MAX 8

struct wherry_sink {
    int fd;
    struct wherry_encoder *encoder; /* NULL: written as it is */
    struct wherry_sha256 tar, compressed;
    size_t used;
    uint8_t block[WHERRY_ENCODER_BLOCK];
};

/* Writes all of it; waits also where the descriptor does not block. */
static int write_out(struct wherry_sink *sink, const uint8_t *data, size_t length, struct wherry_error *err)
{
    while (length > 0) {
        ssize_t written = write(sink->fd, data, length);

        if (written >= 0) {
            data += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = sink->fd, .events = POLLOUT};

            poll(&wait, 1, -1);
        } else if (errno != EINTR) {
            return wherry_error_set(err, errno, "write the archive");
        }
    }
    return 0;
}

static int emit(void *context, const uint8_t *data, size_t length, struct wherry_error *err)
{
    struct wherry_sink *sink = context;

    wherry_sha256_update(&sink->compressed, data, length);
    return write_out(sink, data, length, err);
}

static unsigned usual_threads(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return processors < 1 ? 1 : processors > THREADS_USUAL_MAX ? THREADS_USUAL_MAX : (unsigned)processors;
}

struct wherry_sink *wherry_sink_open(int fd, enum wherry_compression compression, int level, unsigned threads,
                                     struct wherry_error *err)
{
    struct wherry_sink *sink = malloc(sizeof(*sink));

    if (sink == NULL) {
        wherry_error_set(err, ENOMEM, "archive");
        return NULL;
    }
    memset(sink, 0, offsetof(struct wherry_sink, block));
    sink->fd = fd;
    wherry_sha256_init(&sink->tar);
    wherry_sha256_init(&sink->compressed);
    if (threads == 0)
        threads = usual_threads();
    if (compression == WHERRY_COMPRESSION_GZIP)
        sink->encoder = wherry_encoder_gzip(level, threads, err);
    else if (compression == WHERRY_COMPRESSION_ZSTD)
        sink->encoder = wherry_encoder_zstd(level, threads, err);
    if (sink->encoder != NULL) {
        sink->encoder->emit = emit;
        sink->encoder->context = sink;
    } else if (compression != WHERRY_COMPRESSION_NONE) {
        free(sink);
        return NULL;
    }
    return sink;
}

void wherry_sink_free(struct wherry_sink *sink)
{
    if (sink == NULL)
        return;
    if (sink->encoder != NULL)
        sink->encoder->free(sink->encoder);
    free(sink);
}

static int flush(struct wherry_sink *sink, bool last, struct wherry_error *err)
{
    size_t length = sink->used;

    sink->used = 0;
    wherry_sha256_update(&sink->tar, sink->block, length);
    if (sink->encoder != NULL)
        return sink->encoder->encode(sink->encoder, sink->block, length, last, err);
    return write_out(sink, sink->block, length, err);
}

int wherry_sink_room(struct wherry_sink *sink, uint8_t **room, size_t *length, struct wherry_error *err)
{
    int ret = sink->used == sizeof(sink->block) ? flush(sink, false, err) : 0;

    *room = sink->block + sink->used;
    *length = sizeof(sink->block) - sink->used;
    return ret;
}

void wherry_sink_filled(struct wherry_sink *sink, size_t length)
{
    sink->used += length;
}

int wherry_sink_write(struct wherry_sink *sink, const void *data, size_t length, struct wherry_error *err)
{
    const uint8_t *at = data;

    while (length > 0) {
        uint8_t *room = NULL;
        size_t part = 0;
        int ret = wherry_sink_room(sink, &room, &part, err);

        if (ret < 0)
            return ret;
        part = part < length ? part : length;
        memcpy(room, at, part);
        wherry_sink_filled(sink, part);
        at += part;
        length -= part;
    }
    return 0;
}

int wherry_sink_zeros(struct wherry_sink *sink, uint64_t length, struct wherry_error *err)
{
    while (length > 0) {
        uint8_t *room = NULL;
        size_t part = 0;
        int ret = wherry_sink_room(sink, &room, &part, err);

        if (ret < 0)
            return ret;
        part = part < length ? part : (size_t)length;
        memset(room, 0, part);
        wherry_sink_filled(sink, part);
        length -= part;
    }
    return 0;
}

static void digest_text(struct wherry_sha256 *sha, char text[WHERRY_DIGEST_HEX])
{
    uint8_t digest[WHERRY_SHA256_SIZE];

    wherry_sha256_final(sha, digest);
    wherry_sha256_text(digest, text);
}

int wherry_sink_finish(struct wherry_sink *sink, struct wherry_layer_result *result, struct wherry_error *err)
{
    int ret = flush(sink, true, err);

    if (ret < 0)
        return ret;
    result->size = sink->tar.length;
    digest_text(&sink->tar, result->diff_id);
    if (sink->encoder == NULL) { /* the same bytes need no second hash */
        result->compressed_size = result->size;
        memcpy(result->digest, result->diff_id, sizeof(result->digest));
        return 0;
    }
    result->compressed_size = sink->compressed.length;
    digest_text(&sink->compressed, result->digest);
    return 0;
}
