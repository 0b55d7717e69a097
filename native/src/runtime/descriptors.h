/* Descriptors that this process has inherited. */
#pragma once

#include "wherry/error.h"

/* Closes every descriptor from `first` on. To be called before anything is opened: what the caller has leaked can then
 * reach neither the container nor be reached from it (CVE-2024-21626). */
int wherry_descriptors_close_from(unsigned first, struct wherry_error *err);

/* How many sockets the caller hands over by the convention of sd_listen_fds(3): from descriptor 3 on, LISTEN_FDS of
 * them, if they are meant for this process (LISTEN_PID, which some callers leave out). */
unsigned wherry_descriptors_listening(void);
