/* The scheduler and the I/O priority of a container's process, set by the runtime from outside. */
#pragma once

#include "wherry/error.h"
#include "wherry/spec.h"

#include <stdbool.h>
#include <sys/types.h>

/* Whether the process object asks for any. */
bool wherry_priorities_wanted(const struct wherry_process *process);

/* Sets them for process `pid`. The runtime does it and not the process: what lowers nobody's priority but the own needs
 * CAP_SYS_NICE in the first user namespace, which the process may have left. */
int wherry_priorities_set(pid_t pid, const struct wherry_process *process, struct wherry_error *err);

/* The CPUs on which this process and what it clones run; 0, or -errno. */
int wherry_priorities_get_affinity(struct wherry_id_set *cpus);
int wherry_priorities_set_affinity(const struct wherry_id_set *cpus);
