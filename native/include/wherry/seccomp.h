/*
 * System call filters: the OCI linux.seccomp object compiled to BPF by libseccomp, kept on disk, and installed.
 *
 * Compiling takes milliseconds, loading a kept filter takes microseconds: the BPF is kept in a cache directory under
 * the SHA-256 of the profile, the kernel release and the library's version. A profile is half of a configuration's time
 * to read: it may also be given as a JSON string of its text, which is parsed only when no filter of it is kept.
 * Sources: OCI runtime-spec config-linux.md "Seccomp", seccomp(2).
 */
#pragma once

#include "wherry/error.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object;
struct seccomp_data;

struct wherry_seccomp {
    struct sock_filter *filter;    /* NULL: no filter */
    unsigned short length;         /* instructions */
    unsigned int flags;            /* SECCOMP_FILTER_FLAG_* */
    const char *listener_path;     /* the socket to which the listener's descriptor goes; owned by the profile */
    const char *listener_metadata; /* NULL: none */
};

#define WHERRY_SECCOMP_INIT                                                                                            \
    {                                                                                                                  \
        .filter = NULL, .length = 0, .flags = 0                                                                        \
    }

/*
 * Compiles `seccomp`. System calls that this libseccomp does not know are left out, as all runtimes do: the default
 * action applies to them. A filter with SCMP_ACT_NOTIFY needs a listenerPath. `cache_dir` (may be NULL: no cache) is
 * made when it is missing, mode 0700; a file in it counts only when this user owns it and nobody else may write it.
 */
int wherry_seccomp_compile(struct json_object *seccomp, const char *cache_dir, struct wherry_seccomp *out,
                           struct wherry_error *err);

/* Whether the filter has SCMP_ACT_NOTIFY, so that installing it makes a descriptor for a listener. */
bool wherry_seccomp_listens(const struct wherry_seccomp *seccomp);

/* Installs the filter in the calling process, which has CAP_SYS_ADMIN or no_new_privs. Async-signal-safe.
 * Returns 0, or the listener's descriptor (close-on-exec) of a filter that has one, or -errno; a filter of length 0 is
 * none. */
int wherry_seccomp_install(const struct wherry_seccomp *seccomp);

/* What the filter answers to a system call: SECCOMP_RET_*. A filter of length 0 allows all; one with instructions that
 * libseccomp does not make kills. */
uint32_t wherry_seccomp_answer(const struct wherry_seccomp *seccomp, const struct seccomp_data *call);

/* The same for a call of this program's own architecture. */
uint32_t wherry_seccomp_evaluate(const struct wherry_seccomp *seccomp, int number, const uint64_t arguments[6]);

void wherry_seccomp_free(struct wherry_seccomp *seccomp);
