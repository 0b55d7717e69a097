/*
 * User namespaces that outlive the processes in them, kept by a bind mount of /proc/PID/ns/user (user_namespaces(7)),
 * and network namespaces that belong to them. The caller's own namespaces are never changed: a process of a moment is
 * born in the new ones.
 */
#pragma once

#include "wherry/error.h"
#include "wherry/id_map.h"

/* Makes a user namespace with these maps and keeps it at `path`, a file that must not exist. */
int wherry_userns_create(const char *path, const struct wherry_id_maps *maps, struct wherry_error *err);

/* Makes a network namespace that belongs to the user namespace at `user_path`, with its loopback up, at `path`. */
int wherry_userns_create_network(const char *user_path, const char *path, struct wherry_error *err);

/* Keeps the namespace at `from` at `path` as well, a file that must not exist. */
int wherry_userns_share(const char *from, const char *path, struct wherry_error *err);

/* Lets go of the namespace at `path` and removes the file. A path that is not there is no error. */
int wherry_userns_remove(const char *path, struct wherry_error *err);
