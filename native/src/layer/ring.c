/* See ring.h. */
#include "layer/ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Who has found the ring full or empty goes on when half of it is free or filled: on a busy machine each time that one
 * thread has to be woken costs more than its block. */
#define HALF (WHERRY_RING_BLOCKS / 2)

struct wherry_ring {
    pthread_mutex_t lock;
    pthread_cond_t has_data, has_room;
    uint64_t put, taken; /* blocks since the start */
    bool holding;        /* the taker has a block, which is counted as taken when it wants the next */
    bool ended, stopped;
    struct wherry_error error; /* when `ended` by one: the message is not empty */
    size_t lengths[WHERRY_RING_BLOCKS];
    uint8_t blocks[WHERRY_RING_BLOCKS][WHERRY_RING_BLOCK];
};

struct wherry_ring *wherry_ring_make(struct wherry_error *err)
{
    struct wherry_ring *ring = malloc(sizeof(*ring));

    if (ring == NULL) {
        wherry_error_set(err, ENOMEM, "layer");
        return NULL;
    }
    memset(ring, 0, offsetof(struct wherry_ring, blocks));
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->has_data, NULL);
    pthread_cond_init(&ring->has_room, NULL);
    return ring;
}

void wherry_ring_free(struct wherry_ring *ring)
{
    if (ring == NULL)
        return;
    pthread_cond_destroy(&ring->has_data);
    pthread_cond_destroy(&ring->has_room);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

static uint64_t filled(const struct wherry_ring *ring)
{
    return ring->put - ring->taken;
}

uint8_t *wherry_ring_room(struct wherry_ring *ring)
{
    uint8_t *room;

    pthread_mutex_lock(&ring->lock);
    if (filled(ring) == WHERRY_RING_BLOCKS) {
        while (filled(ring) > HALF && !ring->stopped)
            pthread_cond_wait(&ring->has_room, &ring->lock);
    }
    room = ring->stopped ? NULL : ring->blocks[ring->put % WHERRY_RING_BLOCKS];
    pthread_mutex_unlock(&ring->lock);
    return room;
}

void wherry_ring_put(struct wherry_ring *ring, size_t length)
{
    pthread_mutex_lock(&ring->lock);
    ring->lengths[ring->put++ % WHERRY_RING_BLOCKS] = length;
    if (filled(ring) >= HALF)
        pthread_cond_signal(&ring->has_data);
    pthread_mutex_unlock(&ring->lock);
}

static void end(struct wherry_ring *ring, const struct wherry_error *error)
{
    pthread_mutex_lock(&ring->lock);
    if (error != NULL)
        ring->error = *error;
    ring->ended = true;
    pthread_cond_signal(&ring->has_data);
    pthread_mutex_unlock(&ring->lock);
}

void wherry_ring_end(struct wherry_ring *ring)
{
    end(ring, NULL);
}

void wherry_ring_fail(struct wherry_ring *ring, const struct wherry_error *error)
{
    end(ring, error);
}

ssize_t wherry_ring_take(struct wherry_ring *ring, const uint8_t **data, struct wherry_error *err)
{
    ssize_t length = 0;

    pthread_mutex_lock(&ring->lock);
    if (ring->holding) {
        ring->holding = false;
        ring->taken++;
        if (filled(ring) <= HALF)
            pthread_cond_signal(&ring->has_room);
    }
    if (filled(ring) == 0) {
        while (filled(ring) < HALF && !ring->ended)
            pthread_cond_wait(&ring->has_data, &ring->lock);
    }
    if (filled(ring) > 0) {
        size_t at = ring->taken % WHERRY_RING_BLOCKS;

        *data = ring->blocks[at];
        length = (ssize_t)ring->lengths[at];
        ring->holding = true;
    } else if (ring->error.message[0] != '\0') {
        if (err != NULL)
            *err = ring->error;
        length = ring->error.code > 0 ? -ring->error.code : -1;
    }
    pthread_mutex_unlock(&ring->lock);
    return length;
}

void wherry_ring_stop(struct wherry_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->stopped = true;
    pthread_cond_signal(&ring->has_room);
    pthread_mutex_unlock(&ring->lock);
}
