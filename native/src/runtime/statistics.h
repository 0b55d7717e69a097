/* The parts of wherry/statistics.h: each reads its files and makes one member of the document. */
#pragma once

#include "wherry/cgroup.h"
#include "wherry/error.h"

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stdint.h>

/* One reading. The first failure is kept, and what comes after it does nothing: it is looked at once, in the end. */
struct statistics {
    struct wherry_cgroup *cg;
    struct wherry_error *err;
    bool failed;
};

/* The text of a file of the container's group, for free(). NULL where there is none: the kernel, or this host, does not
 * count that. */
char *statistics_text(struct statistics *statistics, unsigned controller, const char *file);

/* The only number in a file; 0 where there is none, UINT64_MAX for "max". */
uint64_t statistics_number(struct statistics *statistics, unsigned controller, const char *file);

/* The number behind `key` in a text of lines "KEY NUMBER"; 0 where there is none. `text` may be NULL. */
uint64_t statistics_entry(const char *text, const char *key);

/* Whether the controller is in the v2 tree. */
bool statistics_unified(const struct statistics *statistics, unsigned controller);

/* Adds a number to an object. */
void statistics_put(struct json_object *object, const char *key, uint64_t value);

/* Adds "psi" from a file like memory.pressure, where the kernel has it. */
void statistics_put_pressure(struct statistics *statistics, unsigned controller, const char *file,
                             struct json_object *object);

struct json_object *statistics_cpu(struct statistics *statistics);
struct json_object *statistics_cpuset(struct statistics *statistics);
struct json_object *statistics_memory(struct statistics *statistics);
struct json_object *statistics_blockio(struct statistics *statistics);
struct json_object *statistics_hugepages(struct statistics *statistics);

/* The interfaces of the network namespace of `pid`; NULL, which is JSON's null, for 0. */
struct json_object *statistics_network(struct statistics *statistics, pid_t pid);
