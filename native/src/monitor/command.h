/* Running the OCI runtime, and what it says when it fails. */
#pragma once

#include "monitor/options.h"
#include "wherry/error.h"

#include <sys/types.h>

/*
 * Runs `runtime --root … VERB ARGUMENTS` in the state directory and waits for it. `stdio` holds the three descriptors
 * that become its standard streams (-1: /dev/null). A failure's message is the last one that the runtime wrote to its
 * log, or to standard error where that is not the container's.
 */
int command_run(const struct monitor_options *options, int state_dir, const int stdio[3], const char *const *arguments,
                struct wherry_error *err);
