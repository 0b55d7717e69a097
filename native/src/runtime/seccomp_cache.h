/*
 * Compiled filters on disk. One file a filter, named after the SHA-256 of what it was compiled from; its content
 * carries a SHA-256 of its own, because a filter that a crash has half written must not be taken for one.
 */
#pragma once

#include "wherry/error.h"
#include "wherry/seccomp.h"

#include <stdbool.h>
#include <stddef.h>

#define SECCOMP_CACHE_NAME_SIZE 70 /* 64 digits, ".bpf", NUL */

/* The name for a profile (its JSON text) on this kernel, with this libseccomp. */
void seccomp_cache_name(const char *profile, size_t length, char name[SECCOMP_CACHE_NAME_SIZE]);

/* Opens the cache directory, making it when it is missing. It must be this user's, and nobody else may write it. */
int seccomp_cache_open(const char *directory, struct wherry_error *err);

/* Fills in `out` and returns true, or returns false: nothing of that name, or nothing to be trusted. */
bool seccomp_cache_load(int directory, const char *name, struct wherry_seccomp *out);

/* Keeps the filter for the next time. A cache that cannot be written (disk full) costs time, not the container: no
 * error is reported. */
void seccomp_cache_store(int directory, const char *name, const struct wherry_seccomp *filter);
