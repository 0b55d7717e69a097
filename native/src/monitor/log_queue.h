/*
 * Entries on their way to a driver that may be slow: a bounded queue, and the thread that serves the driver.
 *
 * Only one thread is inside the driver at any time: the queue's own, or whoever holds it (log_queue_hold).
 */
#pragma once

#include "monitor/log.h"

struct log_queue;

/* Starts the thread. The bound is the log's max_buffer, in bytes of text. */
int log_queue_open(struct monitor_log *log, struct log_queue **queue, struct wherry_error *err);

/* Gives the thread a moment to end; entries that it leaves are counted as lost. False when it hangs in the driver:
 * then nothing of the queue or the driver may be freed. */
bool log_queue_close(struct log_queue *queue);

/* A copy of the entry. False when the queue is full and the log does not block, or when memory is out. A log that
 * blocks takes what is more than its bound: the caller stops to read once there is no room. */
bool log_queue_put(struct log_queue *queue, const struct log_entry *entry);

/* False when it is full: the wake descriptor can be read once half of it is free. */
bool log_queue_has_room(struct log_queue *queue);
int log_queue_wake_fd(const struct log_queue *queue);
bool log_queue_is_empty(struct log_queue *queue);

/* Keeps the thread out of the driver. */
void log_queue_hold(struct log_queue *queue);
void log_queue_release(struct log_queue *queue);

/* For drivers: whether the process is about to end, so that nothing is worth waiting for. */
bool log_queue_is_closing(const struct log_queue *queue);
