/*
 * Every path inside a container's file system goes through here: openat2(2) decides in the kernel and in one step what
 * a name means, so that nobody can swap a directory for a symbolic link between the check and the use (CVE-2021-30465).
 *
 * "In root": the directory `root` is treated as "/": absolute symbolic links and ".." stay below it, links of /proc are
 * refused (RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS). "Beneath": no symbolic link is followed and no mount point crossed.
 * None of these functions allocates; all can be called between clone and exec.
 */
#pragma once

#include "wherry/error.h"

#include <sys/types.h>

/* Opens `path` in root with the flags of open(2) (O_CLOEXEC is added). Returns the descriptor. */
int wherry_paths_open_in_root(int root, const char *path, int flags, struct wherry_error *err);

/* Opens `path` below `directory` without following any link and without leaving its mount. Returns the descriptor. For
 * files of procfs, where something mounted over a file must not redirect a write (CVE-2025-52881). */
int wherry_paths_open_beneath(int directory, const char *path, int flags, struct wherry_error *err);

/* Opens `path` below `directory` without following any link; what is mounted below it counts. Returns the descriptor.
 * For trees that others may change meanwhile. */
int wherry_paths_open_no_links(int directory, const char *path, int flags, struct wherry_error *err);

/* Makes the directory `path` in root with all its parents where they are missing, following the root's own symbolic
 * links, dangling ones too. Returns an O_PATH descriptor of it. */
int wherry_paths_mkdir_in_root(int root, const char *path, mode_t mode, struct wherry_error *err);

/* Makes an empty regular file `path` in root with its parent directories unless something is there already. Returns an
 * O_PATH descriptor of what is there. */
int wherry_paths_touch_in_root(int root, const char *path, mode_t mode, struct wherry_error *err);

/* Opens the parent directory of `path` in root, making what is missing; *name is set to the last component, inside
 * `path`. Fails when the path has no last component of its own ("/", "a/.."). Returns an O_PATH descriptor. */
int wherry_paths_parent_in_root(int root, const char *path, const char **name, struct wherry_error *err);
