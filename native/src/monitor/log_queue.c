/* See log_queue.h. */
#include "monitor/log_queue.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_SECONDS 1
#define STACK_SIZE (256 * 1024)

struct queued {
    struct queued *next;
    struct log_entry entry;
    uint8_t id[LOG_LINE_ID];
    char data[];
};

struct log_queue {
    struct monitor_log *log;
    pthread_t thread;
    pthread_mutex_t lock;   /* of what follows */
    pthread_mutex_t driver; /* held by whoever is inside the driver; taken before `lock` */
    pthread_cond_t filled;
    struct queued *first, **last;
    size_t bytes;
    bool waited_for; /* the loop wants to know when there is room */
    bool busy;       /* an entry is out of the queue and not yet with the driver */
    atomic_bool closing;
    int wake;
};

static void wake_loop(struct log_queue *queue)
{
    uint64_t one = 1;

    while (write(queue->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static void tell_room(struct log_queue *queue)
{
    if (!queue->waited_for || queue->bytes > (size_t)queue->log->options.max_buffer / 2)
        return;
    queue->waited_for = false;
    wake_loop(queue);
}

static struct queued *take(struct log_queue *queue, bool *last)
{
    struct queued *entry;

    pthread_mutex_lock(&queue->lock);
    queue->busy = false;
    tell_room(queue);
    while (queue->first == NULL && !queue->closing)
        pthread_cond_wait(&queue->filled, &queue->lock);
    entry = queue->first;
    if (entry != NULL) {
        queue->first = entry->next;
        if (queue->first == NULL)
            queue->last = &queue->first;
        queue->bytes -= entry->entry.length;
        queue->busy = true;
    }
    *last = queue->first == NULL;
    pthread_mutex_unlock(&queue->lock);
    return entry;
}

static void *serve(void *argument)
{
    struct log_queue *queue = argument;
    struct monitor_log *log = queue->log;
    uint64_t lost = 0;
    struct queued *entry;
    bool last;

    while ((entry = take(queue, &last)) != NULL) {
        pthread_mutex_lock(&queue->driver);
        log->driver->write(log, &entry->entry);
        if (last && log->driver->flush != NULL)
            log->driver->flush(log);
        pthread_mutex_unlock(&queue->driver);
        free(entry);
        if (lost != atomic_load(&log->lost_entries)) { /* the loop keeps the account */
            lost = atomic_load(&log->lost_entries);
            wake_loop(queue);
        }
    }
    return NULL;
}

static int start(struct log_queue *queue)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int failed = pthread_attr_init(&attributes);

    if (failed == 0)
        failed = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are the loop's */
    if (failed == 0)
        failed = pthread_create(&queue->thread, &attributes, serve, queue);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

int log_queue_open(struct monitor_log *log, struct log_queue **out, struct wherry_error *err)
{
    struct log_queue *queue = calloc(1, sizeof(*queue));
    int failed;

    if (queue == NULL)
        return wherry_error_set(err, ENOMEM, "log queue");
    mallopt(M_ARENA_MAX, 1); /* one heap for both threads: a monitor is small */
    queue->log = log;
    queue->last = &queue->first;
    queue->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_mutex_init(&queue->driver, NULL);
    pthread_cond_init(&queue->filled, NULL);
    failed = queue->wake < 0 ? errno : start(queue);
    if (failed != 0) {
        free(queue);
        return wherry_error_set(err, failed, "log thread");
    }
    *out = queue;
    return 0;
}

static void count_what_is_left(struct log_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->first != NULL) {
        struct queued *entry = queue->first;

        queue->first = entry->next;
        monitor_log_lost(queue->log, 1, entry->entry.length);
        free(entry);
    }
    queue->last = &queue->first;
    queue->bytes = 0;
    pthread_mutex_unlock(&queue->lock);
}

bool log_queue_close(struct log_queue *queue)
{
    struct timespec until;

    count_what_is_left(queue);
    pthread_mutex_lock(&queue->lock);
    queue->closing = true;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_SECONDS;
    if (pthread_timedjoin_np(queue->thread, NULL, &until) != 0)
        return false;
    close(queue->wake);
    free(queue);
    return true;
}

bool log_queue_put(struct log_queue *queue, const struct log_entry *entry)
{
    struct queued *copy = malloc(sizeof(*copy) + entry->length);
    bool fits;

    if (copy == NULL)
        return false;
    copy->next = NULL;
    copy->entry = *entry;
    copy->entry.data = copy->data;
    memcpy(copy->data, entry->data, entry->length);
    if (entry->id != NULL)
        copy->entry.id = memcpy(copy->id, entry->id, LOG_LINE_ID);
    pthread_mutex_lock(&queue->lock);
    fits = !queue->log->options.non_blocking || queue->bytes + entry->length <= (size_t)queue->log->options.max_buffer;
    if (fits) {
        *queue->last = copy;
        queue->last = &copy->next;
        queue->bytes += entry->length;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!fits)
        free(copy);
    return fits;
}

bool log_queue_has_room(struct log_queue *queue)
{
    uint64_t drained;
    bool room;

    while (read(queue->wake, &drained, sizeof(drained)) < 0 && errno == EINTR)
        ;
    pthread_mutex_lock(&queue->lock);
    room = queue->bytes < (size_t)queue->log->options.max_buffer;
    queue->waited_for = !room;
    pthread_mutex_unlock(&queue->lock);
    return room;
}

int log_queue_wake_fd(const struct log_queue *queue)
{
    return queue->wake;
}

bool log_queue_is_empty(struct log_queue *queue)
{
    bool empty;

    pthread_mutex_lock(&queue->lock);
    empty = queue->first == NULL && !queue->busy;
    pthread_mutex_unlock(&queue->lock);
    return empty;
}

void log_queue_hold(struct log_queue *queue)
{
    pthread_mutex_lock(&queue->driver);
}

void log_queue_release(struct log_queue *queue)
{
    pthread_mutex_unlock(&queue->driver);
}

bool log_queue_is_closing(const struct log_queue *queue)
{
    return queue != NULL && atomic_load(&queue->closing);
}
