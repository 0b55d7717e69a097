/* The monitor's ends of a container's standard streams: three pipes, or the controlling end of a terminal. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STDIN_QUEUE_MAX (64 * 1024)

struct container_stdio {
    int output;   /* stdout's read end, or the terminal; -1: closed */
    int error;    /* stderr's read end */
    int input;    /* stdin's write end; the terminal's descriptor again for a terminal */
    int child[3]; /* the container's ends, held until the runtime has started it */
    int listener; /* where the runtime sends the terminal to */
    char *queue;  /* bytes for stdin that the container has not taken yet */
    size_t queued;
    bool input_ends; /* close stdin once the queue is empty */
    bool input_done; /* that moment has come, or nobody reads it: whoever waits for the descriptor closes it */
};

#define CONTAINER_STDIO_INIT                                                                                           \
    {                                                                                                                  \
        .output = -1, .error = -1, .input = -1, .child = {-1, -1, -1}, .listener = -1                                  \
    }

#define CONSOLE_SOCKET "console.sock" /* in the state directory, which is the runtime's working directory */

/* Makes the pipes; for a terminal the socket CONSOLE_SOCKET in `state_dir`. Without input stdin is /dev/null. */
int container_stdio_open(struct container_stdio *stdio, int state_dir, bool tty, bool input, struct wherry_error *err);

/* After the runtime has run: lets go of the container's ends; takes the terminal that it sent. */
int container_stdio_started(struct container_stdio *stdio, int state_dir, bool tty, struct wherry_error *err);

void container_stdio_close(struct container_stdio *stdio);

/* Queues bytes for stdin; returns how many were taken. Bytes for a stdin that is closed are thrown away, all "taken".
 */
size_t container_stdio_feed(struct container_stdio *stdio, const void *data, size_t length);

/* Writes what the container takes of the queue, and closes stdin behind it if that was asked for. */
void container_stdio_flush(struct container_stdio *stdio);

/* Closes stdin; for whoever waits for the descriptor, once input_done is set. */
void container_stdio_close_input(struct container_stdio *stdio);
