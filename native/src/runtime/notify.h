/*
 * A service manager's readiness protocol (sd_notify(3)), carried into the container: what waits on NOTIFY_SOCKET on the
 * host hears of the container's program.
 *
 * The record has a directory with a socket, which the container sees at /run/notify; the runtime listens there until
 * the program says READY=1 or has ended, as runc does. Nothing else of what a container says is passed on.
 */
#pragma once

#include "wherry/container.h"
#include "wherry/error.h"
#include "wherry/spec.h"

#include <sys/types.h>

#define WHERRY_NOTIFY_DIRECTORY "notify" /* in the record */

/* Where the caller wants to hear of it: an absolute path, or an abstract name with "@" for its zero. NULL: nowhere. */
const char *wherry_notify_host(void);

/* Makes the directory in the record, and has the configuration show it to the container and name it to its process: 1.
 * 0 where it could be shown to others as well, so that there is none. */
int wherry_notify_prepare(const struct wherry_container *container, const char *root, struct wherry_spec *spec,
                          struct wherry_error *err);

/* Makes the socket; its descriptor. -ENOENT when the container has no such directory, with `err` set. */
int wherry_notify_listen(int directory, struct wherry_error *err);

/* Passes READY=1 on to `host`, and with `announced` that the main process is now `pid`. Returns when that has been
 * done, or when the process has ended. */
int wherry_notify_relay(int socket, pid_t pid, bool announced, const char *host, struct wherry_error *err);

/* The same beside what the caller does, in a thread of its own, because a service manager may listen to this process
 * alone. Takes the socket. */
void wherry_notify_relay_beside(int socket, pid_t pid, const char *host);

/* Takes the directory away. */
void wherry_notify_remove(int directory);
