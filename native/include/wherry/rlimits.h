/*
 * Resource limits: OCI process.rlimits read in the parent, applied by prlimit(2) to a process or in the child.
 */
#pragma once

#include "wherry/error.h"

#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

struct json_object;

#define WHERRY_RLIMITS_MAX 16

struct wherry_rlimits {
    size_t count;
    struct {
        int resource; /* RLIMIT_* */
        struct rlimit value;
    } at[WHERRY_RLIMITS_MAX];
};

#define WHERRY_RLIMITS_INIT                                                                                            \
    {                                                                                                                  \
        .count = 0                                                                                                     \
    }

/* Reads the array (NULL: none). An unknown type, a type that is named twice, or a soft limit above the hard one is an
 * error that names it. */
int wherry_rlimits_parse(struct json_object *rlimits, struct wherry_rlimits *out, struct wherry_error *err);

/* Applies to process `pid` (0: the calling one). The error names the limit: EPERM when it lies above what this process
 * may grant. */
int wherry_rlimits_apply(pid_t pid, const struct wherry_rlimits *rlimits, struct wherry_error *err);

/* The same for the calling process. Async-signal-safe. Returns 0, or -errno with the entry at fault in `*failed`. */
int wherry_rlimits_apply_self(const struct wherry_rlimits *rlimits, size_t *failed);
