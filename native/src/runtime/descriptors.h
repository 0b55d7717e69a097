/* Descriptors that this process has inherited. */
#pragma once

#include "wherry/error.h"

/* Closes every descriptor from `first` on. To be called before anything is opened: what the caller has leaked can then
 * reach neither the container nor be reached from it (CVE-2024-21626). */
int wherry_descriptors_close_from(unsigned first, struct wherry_error *err);
