/*
 * Network namespaces that outlive the processes in them, kept by a bind mount of /proc/.../ns/net (namespaces(7),
 * ip-netns(8)). The caller's own namespace is never changed: each function does its work in a short thread.
 */
#pragma once

#include "wherry/error.h"

/* Makes a network namespace with its loopback up and keeps it at `path`, a file that must not exist. */
int wherry_netns_create(const char *path, struct wherry_error *err);

/* Sets the loopback of the namespace at `path` up. */
int wherry_netns_loopback_up(const char *path, struct wherry_error *err);

/* Lets go of the namespace at `path` and removes the file. A path that is not there is no error. */
int wherry_netns_remove(const char *path, struct wherry_error *err);

/* Opens a socket(2) inside the namespace at `path` and returns its descriptor. */
int wherry_netns_socket(const char *path, int family, int type, int protocol, struct wherry_error *err);

/* Writes `value` to the network sysctl `name` ("net.ipv4.ip_forward", or with slashes where a part has a dot) inside
 * the namespace at `path`. */
int wherry_netns_sysctl(const char *path, const char *name, const char *value, struct wherry_error *err);
