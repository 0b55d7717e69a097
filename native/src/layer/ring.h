/* A ring of blocks between the thread that fills them and the one that takes them out. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A block fits into the second-level cache, where the hash finds it again; all of them are what reading may be ahead.
 */
#define WHERRY_RING_BLOCK (256 * 1024)
#define WHERRY_RING_BLOCKS 8

struct wherry_ring;

struct wherry_ring *wherry_ring_make(struct wherry_error *err);
void wherry_ring_free(struct wherry_ring *ring);

/* Waits for a block to be free and returns it, or NULL once nobody takes any more. */
uint8_t *wherry_ring_room(struct wherry_ring *ring);
void wherry_ring_put(struct wherry_ring *ring, size_t length);

/* No more comes: the end, or an error, which the taker gets after all blocks before it. */
void wherry_ring_end(struct wherry_ring *ring);
void wherry_ring_fail(struct wherry_ring *ring, const struct wherry_error *error);

/* Waits for the next block, gives the one before back, and returns the length; 0 at the end. */
ssize_t wherry_ring_take(struct wherry_ring *ring, const uint8_t **data, struct wherry_error *err);

/* The taker is gone: whoever fills need not go on. */
void wherry_ring_stop(struct wherry_ring *ring);
