/* Standing in for a container's process in the foreground: `run` and `exec` without --detach. */
#pragma once

#include "wherry/error.h"

#include <sys/types.h>

/* Blocks all signals, so that none is lost between the clone and wherry_foreground_wait. */
void wherry_foreground_begin(void);

/* Passes on the signals that reach this process, reaps what it inherits, and returns the exit status of `pid`: 0 to
 * 255, or 128+n when signal n killed it. */
int wherry_foreground_wait(pid_t pid, struct wherry_error *err);

/* The two halves of it. Reaps what has ended: 1 with the exit status when `pid` is among it, 0 when it lives, -errno.
 */
int wherry_foreground_reap(pid_t pid, int *status);
void wherry_foreground_forward(pid_t pid, int signal);
