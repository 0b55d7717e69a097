/* Copying what lies under a tmpfs into it (the mount option tmpcopyup). Runs in the child: no allocation. */
#pragma once

#include "wherry/error.h"

/* Copies directories, regular files, links, FIFOs and device nodes from directory `from` into `to`, with owner, mode
 * and, of files and directories, times, not crossing into other mounts. `path` names the directory in errors. */
int wherry_child_copy_up(int from, int to, const char *path, struct wherry_error *err);
