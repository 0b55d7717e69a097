/* Running from a copy of the own program that nobody can change. */
#pragma once

#include "wherry/error.h"

/* Returns 0 when this process already runs from a sealed copy; otherwise copies the program into a sealed memfd and
 * executes it with the same arguments and environment, and returns only on failure.
 *
 * A process that enters a container can be reached there by /proc/PID/exe; were that the installed program, the
 * container's root could overwrite it on the host (CVE-2019-5736). */
int wherry_sealed_copy_enter(char *const argv[], char *const envp[], struct wherry_error *err);
