/*
 * The archive as a stream: read from a descriptor, decompressed, bounded, and hashed on both sides in one pass.
 *
 * Two threads share the work. The caller's reads, hashes and decompresses into a ring of blocks; one of the stream's
 * own takes them out and makes files of them. That one has a umask for itself (unshare(2), CLONE_FS), so that files can
 * be made with their final mode whatever the process's umask is.
 */
#pragma once

#include "wherry/layer.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct wherry_stream;

/* Reads the first bytes and chooses the decompression by them. NULL with `err` set on failure. */
struct wherry_stream *wherry_stream_open(int fd, uint64_t max_bytes, struct wherry_error *err);
void wherry_stream_free(struct wherry_stream *stream);

/*
 * Runs `take` in the thread that takes the archive out, and reads meanwhile. When `take` succeeds without having come
 * to the end, the rest is read, too, so that the digests cover all of it; they and the sizes are written to `result`.
 */
typedef int wherry_stream_taker(struct wherry_stream *stream, void *context, struct wherry_error *err);
int wherry_stream_run(struct wherry_stream *stream, wherry_stream_taker *take, void *context,
                      struct wherry_layer_result *result, struct wherry_error *err);

/* The functions below are for the taker. */

/* Whether this thread's umask is 0. */
bool wherry_stream_has_umask(const struct wherry_stream *stream);

/* *data is what is there next, at least one byte; returns its length, 0 at the end of the archive. */
ssize_t wherry_stream_peek(struct wherry_stream *stream, const uint8_t **data, struct wherry_error *err);

/* Moves on by `length`, no more than peek returned. */
void wherry_stream_consume(struct wherry_stream *stream, size_t length);

/* Reads exactly `length` bytes. Returns 1, or 0 when the archive ends before the first; ending later is an error. */
int wherry_stream_read(struct wherry_stream *stream, void *buffer, size_t length, struct wherry_error *err);
int wherry_stream_skip(struct wherry_stream *stream, uint64_t length, struct wherry_error *err);

static inline void wherry_cleanup_stream(struct wherry_stream **stream)
{
    wherry_stream_free(*stream);
}

#define cleanup_stream __attribute__((cleanup(wherry_cleanup_stream)))
