/* Running from the own program in a form that nobody can change.
 *
 * A process that enters a container can be reached there by /proc/PID/exe; were that the installed program, the
 * container's root could overwrite it on the host (CVE-2019-5736). */
#pragma once

#include "wherry/error.h"

/* Returns 0 when this process already runs sealed: from an overlay of its directory that has nothing writable and that
 * no mount namespace shows, or where that cannot be had (an ordinary user, overlays already stacked) from a copy in a
 * sealed memfd. Otherwise makes one and executes it with the same arguments and environment, and returns only on
 * failure. A caller may keep such a memfd and execute that: then there is nothing left to make. */
int wherry_sealed_self_enter(char *const argv[], char *const envp[], struct wherry_error *err);

/* The same ahead of the C library, for a process whose initial stack this is (argument count, arguments, NULL,
 * environment, NULL, auxiliary vector), when its arguments name a verb that enters a container. Failures are left to
 * wherry_sealed_self_enter. Only where WHERRY_SEALED_SELF_EARLY is 1. */
void wherry_sealed_self_early(long *stack);

#ifdef __x86_64__
#define WHERRY_SEALED_SELF_EARLY 1
#else
#define WHERRY_SEALED_SELF_EARLY 0
#endif
