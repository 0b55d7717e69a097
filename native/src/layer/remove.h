/* Removing a directory with all that is in it, however deep, with a bounded number of descriptors. */
#pragma once

#include "wherry/error.h"

/* Links are removed, never followed. Nobody else may change the tree meanwhile. */
int wherry_remove_tree(int parent, const char *name, struct wherry_error *err);
