/* Handing the descriptor of a filter's listener to the agent that serves it. */
#pragma once

#include "wherry/container.h"
#include "wherry/error.h"
#include "wherry/seccomp.h"

/* Connects to the filter's listener_path and sends `listener` with the container process state: process `pid`, of
 * `container`, which is in `status`. Source: OCI runtime-spec config-linux.md, "The Container Process State". */
int wherry_seccomp_listener_send(const struct wherry_seccomp *seccomp, int listener, pid_t pid,
                                 const struct wherry_container *container, enum wherry_status status,
                                 struct wherry_error *err);
