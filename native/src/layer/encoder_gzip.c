/*
 * gzip by several threads: each block is deflated on its own, with the end of the one before as its dictionary, and
 * ends on a byte boundary, so that one after the other they are a single deflate stream (RFC 1951, RFC 1952). Readers
 * see an ordinary gzip file of one member.
 *
 * Jobs go round in a ring. The caller fills the next one and waits for the oldest when the ring is full; workers take
 * them in between.
 */
#include "layer/encoder.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define LEVEL_USUAL 6
#define WINDOW 32768
#define THREADS_MAX 64
/* More than deflateBound says for a block, with the flush behind it. */
#define OUT_SIZE (WHERRY_ENCODER_BLOCK + WHERRY_ENCODER_BLOCK / 8 + 1024)

enum job_state { JOB_FREE, JOB_READY, JOB_TAKEN, JOB_DONE, JOB_FAILED };

struct job {
    enum job_state state;
    bool last;
    size_t dictionary_length, in_length, out_length;
    uint32_t check; /* CRC-32 of the input */
    uint8_t dictionary[WINDOW], in[WHERRY_ENCODER_BLOCK], out[OUT_SIZE];
};

struct gzip_encoder {
    struct wherry_encoder base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count, job_count;
    int level;
    bool stopping, begun;
    unsigned oldest, next, untaken; /* numbers of jobs since the start; the ring is indexed modulo its size */
    uint32_t check;
    uint64_t total;
    z_stream own; /* where there are no threads */
    struct job *jobs;
};

static struct job *job_of(struct gzip_encoder *gzip, unsigned number)
{
    return &gzip->jobs[number % gzip->job_count];
}

static bool deflate_job(z_stream *zlib, struct job *job)
{
    int ret;

    if (deflateReset(zlib) != Z_OK ||
        (job->dictionary_length > 0 &&
         deflateSetDictionary(zlib, job->dictionary, (uInt)job->dictionary_length) != Z_OK))
        return false;
    zlib->next_in = job->in;
    zlib->avail_in = (uInt)job->in_length;
    zlib->next_out = job->out;
    zlib->avail_out = OUT_SIZE;
    ret = deflate(zlib, job->last ? Z_FINISH : Z_SYNC_FLUSH);
    job->out_length = OUT_SIZE - zlib->avail_out;
    job->check = (uint32_t)crc32(0, job->in, (uInt)job->in_length);
    return ret == (job->last ? Z_STREAM_END : Z_OK) && zlib->avail_in == 0 && zlib->avail_out > 0;
}

static void *work(void *argument)
{
    struct gzip_encoder *gzip = argument;
    z_stream zlib = {.next_in = NULL};
    bool able = deflateInit2(&zlib, gzip->level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;

    pthread_mutex_lock(&gzip->lock);
    for (;;) {
        struct job *job;
        bool good;

        while (!gzip->stopping && gzip->untaken == gzip->next)
            pthread_cond_wait(&gzip->changed, &gzip->lock);
        if (gzip->stopping)
            break;
        job = job_of(gzip, gzip->untaken++);
        job->state = JOB_TAKEN;
        pthread_mutex_unlock(&gzip->lock);
        good = able && deflate_job(&zlib, job);
        pthread_mutex_lock(&gzip->lock);
        job->state = good ? JOB_DONE : JOB_FAILED;
        pthread_cond_broadcast(&gzip->changed);
    }
    pthread_mutex_unlock(&gzip->lock);
    if (able)
        deflateEnd(&zlib);
    return NULL;
}

static void free_gzip(struct wherry_encoder *encoder)
{
    struct gzip_encoder *gzip = (struct gzip_encoder *)encoder;

    pthread_mutex_lock(&gzip->lock);
    gzip->stopping = true;
    pthread_cond_broadcast(&gzip->changed);
    pthread_mutex_unlock(&gzip->lock);
    for (unsigned i = 0; i < gzip->thread_count; i++)
        pthread_join(gzip->threads[i], NULL);
    if (gzip->thread_count == 0)
        deflateEnd(&gzip->own);
    pthread_cond_destroy(&gzip->changed);
    pthread_mutex_destroy(&gzip->lock);
    free(gzip->jobs);
    free(gzip);
}

/* Waits for the oldest job and emits it. */
static int emit_oldest(struct gzip_encoder *gzip, struct wherry_error *err)
{
    /* No name, no time, unknown system: nothing of this host (RFC 1952, 2.3.1). */
    static const uint8_t header[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
    struct job *job = job_of(gzip, gzip->oldest);
    int ret = 0;

    pthread_mutex_lock(&gzip->lock);
    while (job->state != JOB_DONE && job->state != JOB_FAILED)
        pthread_cond_wait(&gzip->changed, &gzip->lock);
    pthread_mutex_unlock(&gzip->lock);
    if (job->state == JOB_FAILED)
        return wherry_error_set(err, ENOMEM, "gzip: compress");
    if (!gzip->begun)
        ret = gzip->base.emit(gzip->base.context, header, sizeof(header), err);
    if (ret == 0)
        ret = gzip->base.emit(gzip->base.context, job->out, job->out_length, err);
    gzip->begun = true;
    gzip->check = (uint32_t)crc32_combine(gzip->check, job->check, (z_off_t)job->in_length);
    gzip->total += job->in_length;
    gzip->oldest++;
    job->state = JOB_FREE;
    return ret;
}

static int emit_trailer(struct gzip_encoder *gzip, struct wherry_error *err)
{
    uint8_t trailer[8];

    for (unsigned i = 0; i < 4; i++) {
        trailer[i] = (uint8_t)(gzip->check >> 8 * i);
        trailer[4 + i] = (uint8_t)(gzip->total >> 8 * i);
    }
    return gzip->base.emit(gzip->base.context, trailer, sizeof(trailer), err);
}

static void fill_job(struct gzip_encoder *gzip, const uint8_t *data, size_t length, bool last)
{
    struct job *job = job_of(gzip, gzip->next);

    job->dictionary_length = 0;
    if (gzip->next > 0) {
        /* The ring has at least two jobs, and the one before keeps its input until it is filled anew. Only the last
         * block is shorter than the others. */
        const struct job *before = job_of(gzip, gzip->next - 1);

        memcpy(job->dictionary, before->in + before->in_length - WINDOW, WINDOW);
        job->dictionary_length = WINDOW;
    }
    if (length > 0)
        memcpy(job->in, data, length);
    job->in_length = length;
    job->last = last;
    pthread_mutex_lock(&gzip->lock);
    job->state = JOB_READY;
    gzip->next++;
    pthread_cond_broadcast(&gzip->changed);
    pthread_mutex_unlock(&gzip->lock);
    if (gzip->thread_count == 0) {
        gzip->untaken++;
        job->state = deflate_job(&gzip->own, job) ? JOB_DONE : JOB_FAILED;
    }
}

static int encode_gzip(struct wherry_encoder *encoder, const uint8_t *data, size_t length, bool last,
                       struct wherry_error *err)
{
    struct gzip_encoder *gzip = (struct gzip_encoder *)encoder;
    int ret = 0;

    if (gzip->next - gzip->oldest == gzip->job_count)
        ret = emit_oldest(gzip, err);
    if (ret < 0)
        return ret;
    fill_job(gzip, data, length, last);
    while (ret == 0 && last && gzip->oldest < gzip->next)
        ret = emit_oldest(gzip, err);
    return ret == 0 && last ? emit_trailer(gzip, err) : ret;
}

/* As many as can be had; without any the caller compresses. */
static bool start_threads(struct gzip_encoder *gzip, unsigned threads)
{
    sigset_t all, before;

    if (threads > 1) {
        sigfillset(&all); /* signals are for the threads that the process knows */
        pthread_sigmask(SIG_BLOCK, &all, &before);
        while (gzip->thread_count < threads && gzip->thread_count < THREADS_MAX &&
               pthread_create(&gzip->threads[gzip->thread_count], NULL, work, gzip) == 0)
            gzip->thread_count++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return gzip->thread_count > 0 ||
           deflateInit2(&gzip->own, gzip->level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}

struct wherry_encoder *wherry_encoder_gzip(int level, unsigned threads, struct wherry_error *err)
{
    struct gzip_encoder *gzip;

    if (level < 0 || level > 9) {
        wherry_error_set(err, EINVAL, "gzip: level %d is not between 1 and 9", level);
        return NULL;
    }
    gzip = calloc(1, sizeof(*gzip));
    if (gzip != NULL) {
        gzip->job_count = (threads < THREADS_MAX ? threads : THREADS_MAX) + 2;
        gzip->jobs = calloc(gzip->job_count, sizeof(*gzip->jobs));
        gzip->level = level > 0 ? level : LEVEL_USUAL;
        pthread_mutex_init(&gzip->lock, NULL);
        pthread_cond_init(&gzip->changed, NULL);
    }
    if (gzip == NULL || gzip->jobs == NULL || !start_threads(gzip, threads)) {
        if (gzip != NULL)
            free(gzip->jobs);
        free(gzip);
        wherry_error_set(err, ENOMEM, "gzip");
        return NULL;
    }
    gzip->base.encode = encode_gzip;
    gzip->base.free = free_gzip;
    return &gzip->base;
}
