/* The parts of the OCI linux.seccomp object, read into a libseccomp context. */
#pragma once

#include "wherry/error.h"

#include <seccomp.h>
#include <stdint.h>

struct json_object;

/* defaultAction with defaultErrnoRet, as libseccomp's action. Refuses what needs a listener, by name. */
int seccomp_rules_default(struct json_object *seccomp, uint32_t *action, struct wherry_error *err);

/* architectures; the native one is always covered. */
int seccomp_rules_architectures(struct json_object *seccomp, scmp_filter_ctx context, struct wherry_error *err);

/* flags, as SECCOMP_FILTER_FLAG_*. */
int seccomp_rules_flags(struct json_object *seccomp, unsigned int *flags, struct wherry_error *err);

/* syscalls. A name that libseccomp does not know is left out. */
int seccomp_rules_syscalls(struct json_object *seccomp, uint32_t default_action, scmp_filter_ctx context,
                           struct wherry_error *err);
