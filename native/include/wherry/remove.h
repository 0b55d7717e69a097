/* Removing a directory with all that is in it, however deep, with a bounded number of descriptors. */
#pragma once

#include "wherry/error.h"

#include <stdint.h>

/*
 * Links are removed, never followed, and what somebody else puts into the tree meanwhile goes, too; whoever does so
 * without end is given up on after `most` steps, with EBUSY.
 */
int wherry_remove_tree(int parent, const char *name, uint64_t most, struct wherry_error *err);
