/* The parts of the OCI linux.seccomp object, read into a libseccomp context. */
#pragma once

#include "wherry/error.h"

#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* defaultAction with defaultErrnoRet, as libseccomp's action. */
int seccomp_rules_default(struct json_object *seccomp, uint32_t *action, struct wherry_error *err);

/* architectures; the native one is always covered. */
int seccomp_rules_architectures(struct json_object *seccomp, scmp_filter_ctx context, struct wherry_error *err);

/* listenerPath and listenerMetadata; NULL for those that are absent or empty. */
int seccomp_rules_listener(struct json_object *seccomp, const char **path, const char **metadata,
                           struct wherry_error *err);

/* flags, as SECCOMP_FILTER_FLAG_*. */
int seccomp_rules_flags(struct json_object *seccomp, unsigned int *flags, struct wherry_error *err);

/* Whether flags go with each other, among them SECCOMP_FILTER_FLAG_NEW_LISTENER; adds what the kernel wants besides. */
int seccomp_rules_check_flags(unsigned int *flags, struct wherry_error *err);

/* syscalls. A name that libseccomp does not know is left out. Sets `*notifies` when one has the action SCMP_ACT_NOTIFY.
 */
int seccomp_rules_syscalls(struct json_object *seccomp, uint32_t default_action, scmp_filter_ctx context,
                           bool *notifies, struct wherry_error *err);

/* The `seccomp` object of the features document: every word that these functions take. */
struct json_object *seccomp_rules_describe(void);

/* The version of libseccomp, as a string. */
struct json_object *seccomp_rules_library(void);
