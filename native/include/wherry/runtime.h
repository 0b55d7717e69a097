/*
 * The verbs of the OCI runtime as functions; the program wherry-runtime is a command line over them.
 *
 * Source: OCI runtime-spec runtime.md; words of errors that callers match on are runc's.
 */
#pragma once

#include "wherry/container.h"
#include "wherry/error.h"
#include "wherry/spec.h"

#include <stdbool.h>
#include <sys/types.h>

struct wherry_launch_options {
    const char *root;           /* the directory of all containers */
    const char *bundle;         /* create, run: absolute */
    const char *config;         /* create, run: the configuration, from the bundle; NULL: config.json */
    const char *console_socket; /* the path of a socket that a terminal is sent to; NULL: none */
    int console_fd;             /* a connected socket for a terminal, if the process has one; 0: none */
    const char *pid_file;       /* NULL: none */
    bool rootless;              /* groups that may not be made are done without where nothing asks for them */
    const char *pidfd_socket;   /* the path of a socket that a pidfd of the process is sent to; NULL: none */
    const char *sub_cgroup;     /* exec: "[CONTROLLER[,CONTROLLER]:]PATH" below the container's group; NULL: itself */
    bool ignore_paused;         /* exec: in a paused container too, where the process waits for resume */
    unsigned preserved_fds;     /* descriptors 3 to 3+n-1 are handed on */
    unsigned listen_fds;        /* create, run: how many of them, from 3 on, are sockets of sd_listen_fds(3) */
    bool notify;                /* create, run: the process gets a NOTIFY_SOCKET; see notify.h */
    bool systemd;               /* create, run: the container is a scope of systemd */
    bool keep_keyring;          /* do not give the process a session keyring of its own */
};

/* What went well but not as asked (capabilities that the runtime itself lacks), for the log. */
#define WHERRY_WARNING_MAX 512

struct wherry_launch_result {
    pid_t pid;
    bool terminal;     /* one has been sent */
    int notify_socket; /* run: where the process says that it is ready, the caller's to close; 0: none */
    char warning[WHERRY_WARNING_MAX];
};

/* Makes the container up to the point where only its program is not executed yet; it waits for wherry_runtime_start. On
 * failure nothing of it remains. */
int wherry_runtime_create(const struct wherry_launch_options *options, const char *id,
                          struct wherry_launch_result *result, struct wherry_error *err);

/* The same without waiting: returns when the program is being executed, or with the reason why it could not be. */
int wherry_runtime_run(const struct wherry_launch_options *options, const char *id, struct wherry_launch_result *result,
                       struct wherry_error *err);

/* Releases a created container. A poststart hook that fails is told in `warning` and stops nothing. */
int wherry_runtime_start(const char *root, const char *id, char warning[WHERRY_WARNING_MAX], struct wherry_error *err);

/* Sends a signal to the container's process, or to all in its cgroup. Fails with ESRCH when it is stopped. */
int wherry_runtime_kill(const char *root, const char *id, int signal, bool all, struct wherry_error *err);

/* Removes what remains of a stopped container: cgroup and record; runs its poststop hooks. With `force` it is killed
 * first, and one that does not exist is no error. A hook that fails is told in `warning` and stops nothing. */
int wherry_runtime_delete(const char *root, const char *id, bool force, char warning[WHERRY_WARNING_MAX],
                          struct wherry_error *err);

int wherry_runtime_pause(const char *root, const char *id, bool paused, struct wherry_error *err);

/* Applies an OCI linux.resources object to a running container; on failure its limits are what they were. What the
 * kernel no longer has is told in `warning`. */
int wherry_runtime_update(const char *root, const char *id, struct json_object *resources,
                          char warning[WHERRY_WARNING_MAX], struct wherry_error *err);

/* Starts one more process in a running container. `object` is an OCI process object, completed by the caller;
 * `configuration` the container's own where the caller has read it, or NULL. */
int wherry_runtime_exec(const struct wherry_launch_options *options, const char *id, struct json_object *object,
                        struct json_object *configuration, struct wherry_launch_result *result,
                        struct wherry_error *err);

/* The container's own configuration, and for exec without --process the OCI process object in it. The caller puts the
 * reference of the first, which holds the second. */
int wherry_runtime_process(const char *root, const char *id, struct json_object **configuration,
                           struct json_object **object, struct wherry_error *err);
