/*
 * The runtime's record of one container: the directory ROOT/ID with state.json, a copy of config.json, and until it is
 * started the FIFO exec.fifo on which its process waits.
 *
 * What the record says of the process is checked against the kernel whenever it is asked for: a process number counts
 * only together with the time at which that process began.
 */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct json_object;

enum wherry_status {
    WHERRY_STATUS_CREATING,
    WHERRY_STATUS_CREATED,
    WHERRY_STATUS_RUNNING,
    WHERRY_STATUS_PAUSED,
    WHERRY_STATUS_STOPPED,
};

struct wherry_container {
    char *id;
    int root;      /* the directory of all containers */
    int directory; /* the container's own */
    char *bundle;
    char *oci_version;
    char *rootfs;
    char *created; /* RFC 3339 */
    struct json_object *annotations;
    bool ready; /* the creation is complete */
    bool idle;  /* its configuration has no process: it holds its namespaces and cannot be started */
    pid_t pid;  /* 0 until there is a process */
    uint64_t pid_start;
    int namespaces; /* CLONE_NEW* that its processes live in */
    unsigned hooks; /* the kinds of hooks that it has, 1 << enum wherry_hook_kind */
    struct wherry_cgroup cgroup;
};

#define WHERRY_CONTAINER_INIT                                                                                          \
    {                                                                                                                  \
        .root = -1, .directory = -1                                                                                    \
    }

#define WHERRY_CONTAINER_FIFO "exec.fifo"
#define WHERRY_CONTAINER_START_REPORT "start.report"

/* Compiled filters, beside the containers: no container can have a name that begins with a dot. */
#define WHERRY_CONTAINER_SECCOMP_CACHE ".seccomp"

/* Takes the name: makes the directory, which fails with EEXIST when another container has it. `id` is checked: letters,
 * digits and
 * "_+-.", not beginning with a dot, at most 255 bytes. */
int wherry_container_reserve(const char *root, const char *id, struct wherry_container *container,
                             struct wherry_error *err);

/* Opens an existing one; ENOENT with "container ID does not exist". */
int wherry_container_open(const char *root, const char *id, struct wherry_container *container,
                          struct wherry_error *err);

int wherry_container_save(const struct wherry_container *container, struct wherry_error *err);

/* What the container is doing now, by the kernel. */
enum wherry_status wherry_container_status(const struct wherry_container *container);
const char *wherry_status_name(enum wherry_status status);

/* The state document of the specification's runtime.md, with what runc adds (rootfs, created, owner). NULL when memory
 * is out. */
struct json_object *wherry_container_state(const struct wherry_container *container, enum wherry_status status);

/* Removes the record. */
int wherry_container_discard(struct wherry_container *container, struct wherry_error *err);

/* Gives back what the structure holds; the record stays. */
void wherry_container_close(struct wherry_container *container);

/* When process `pid` began, in clock ticks since boot (field 22 of /proc/PID/stat); 0 when there is none or it is a
 * zombie. */
uint64_t wherry_process_start_time(pid_t pid);
