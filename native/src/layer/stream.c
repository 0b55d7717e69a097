/* See stream.h. */
#include "layer/stream.h"

#include "layer/decoder.h"
#include "layer/ring.h"
#include "wherry/sha256.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IN_SIZE (128 * 1024)
#define MAGIC_SIZE 6

struct wherry_stream {
    int fd;
    bool ended; /* the descriptor has no more */
    struct wherry_decoder *decoder;
    struct wherry_sha256 compressed, tar;
    uint64_t max_bytes;
    size_t in_at, in_end;

    struct wherry_ring *ring;
    const uint8_t *data; /* the taker's: what is left of a block */
    size_t length;
    bool has_umask;
    wherry_stream_taker *take;
    void *context;
    int taken; /* what the taker returned */
    struct wherry_error taker_error;

    uint8_t in[IN_SIZE];
};

void wherry_stream_free(struct wherry_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->decoder != NULL)
        stream->decoder->free(stream->decoder);
    wherry_ring_free(stream->ring);
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
    stream->ring = stream->decoder != NULL ? wherry_ring_make(err) : NULL;
    if (stream->ring == NULL) {
        wherry_stream_free(stream);
        return NULL;
    }
    return stream;
}

/* One step of decompression into `out`. */
static int decode(struct wherry_stream *stream, uint8_t *out, size_t room, size_t *made, struct wherry_error *err)
{
    struct wherry_decoder_io io = {
        .in = stream->in + stream->in_at, .in_length = stream->in_end - stream->in_at, .out = out, .out_room = room};
    int ret = stream->decoder->step(stream->decoder, &io, err);

    if (ret < 0)
        return ret;
    stream->in_at = stream->in_end - io.in_length;
    *made = room - io.out_room;
    wherry_sha256_update(&stream->tar, out, *made);
    if (stream->max_bytes > 0 && stream->tar.length > stream->max_bytes)
        return wherry_error_set(err, EFBIG, "layer: larger than the %llu bytes that are allowed",
                                (unsigned long long)stream->max_bytes);
    return 0;
}

/* Fills a block as far as the input that is there goes, at least one byte. 1, or 0 when there is nothing more. */
static int fill_block(struct wherry_stream *stream, uint8_t *block, size_t *length, struct wherry_error *err)
{
    *length = 0;
    for (;;) {
        size_t waiting = stream->in_end - stream->in_at, made = 0;
        int ret = 0;

        if (waiting == 0 && *length > 0)
            return 1;
        if (waiting == 0 && !stream->ended) {
            stream->in_at = stream->in_end = 0;
            ret = fill_input(stream, err);
            waiting = stream->in_end;
        }
        if (ret == 0)
            ret = decode(stream, block + *length, WHERRY_RING_BLOCK - *length, &made, err);
        if (ret < 0)
            return ret;
        *length += made;
        if (*length == WHERRY_RING_BLOCK)
            return 1;
        if (made > 0 || stream->in_end - stream->in_at < waiting)
            continue;
        if (waiting > 0 || !stream->decoder->whole)
            return wherry_error_set(err, EBADMSG, "layer: the compressed stream ends in the middle");
        return *length > 0;
    }
}

/* Reads until the end, an error, or until nobody takes any more. */
static void produce(struct wherry_stream *stream)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    uint8_t *block;
    int ret = 1;

    while (ret > 0 && (block = wherry_ring_room(stream->ring)) != NULL) {
        size_t length = 0;

        ret = fill_block(stream, block, &length, &err);
        if (length > 0 && ret >= 0)
            wherry_ring_put(stream->ring, length);
    }
    if (ret < 0)
        wherry_ring_fail(stream->ring, &err);
    else
        wherry_ring_end(stream->ring);
}

static int consume(struct wherry_stream *stream)
{
    struct wherry_error *err = &stream->taker_error;
    const uint8_t *data = NULL;
    int ret = stream->take(stream, stream->context, err);
    ssize_t there = 0;

    while (ret >= 0 && (there = wherry_stream_peek(stream, &data, err)) > 0)
        wherry_stream_consume(stream, (size_t)there);
    return ret < 0 ? ret : (int)there;
}

static void *consumer(void *argument)
{
    struct wherry_stream *stream = argument;

    stream->has_umask = unshare(CLONE_FS) == 0;
    if (stream->has_umask)
        umask(0);
    stream->taken = consume(stream);
    wherry_ring_stop(stream->ring);
    return NULL;
}

static int start(struct wherry_stream *stream, pthread_t *thread)
{
    sigset_t all, before;
    int ret;

    sigfillset(&all); /* signals are for the threads that the process knows */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    ret = pthread_create(thread, NULL, consumer, stream);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ret;
}

static void digest_text(struct wherry_sha256 *sha, char text[WHERRY_DIGEST_HEX])
{
    uint8_t digest[WHERRY_SHA256_SIZE];

    wherry_sha256_final(sha, digest);
    wherry_sha256_text(digest, text);
}

int wherry_stream_run(struct wherry_stream *stream, wherry_stream_taker *take, void *context,
                      struct wherry_layer_result *result, struct wherry_error *err)
{
    pthread_t thread;
    int ret;

    stream->take = take;
    stream->context = context;
    ret = start(stream, &thread);
    if (ret != 0)
        return wherry_error_set(err, ret, "start a thread");
    produce(stream);
    pthread_join(thread, NULL);
    if (stream->taken < 0) {
        if (err != NULL)
            *err = stream->taker_error;
        return stream->taken;
    }
    result->compressed_size = stream->compressed.length;
    result->size = stream->tar.length;
    digest_text(&stream->compressed, result->digest);
    digest_text(&stream->tar, result->diff_id);
    return 0;
}

bool wherry_stream_has_umask(const struct wherry_stream *stream)
{
    return stream->has_umask;
}

ssize_t wherry_stream_peek(struct wherry_stream *stream, const uint8_t **data, struct wherry_error *err)
{
    if (stream->length == 0) {
        ssize_t there = wherry_ring_take(stream->ring, &stream->data, err);

        if (there <= 0)
            return there;
        stream->length = (size_t)there;
    }
    *data = stream->data;
    return (ssize_t)stream->length;
}

void wherry_stream_consume(struct wherry_stream *stream, size_t length)
{
    stream->data += length;
    stream->length -= length;
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
