/* Running the hooks of config.json; see the specification's config.md, "POSIX-platform Hooks". */
#pragma once

#include "plan.h"
#include "wherry/error.h"
#include "wherry/runtime.h"
#include "wherry/spec.h"

#include <stdbool.h>
#include <sys/types.h>

/* The kinds of hooks that there are, as bits 1 << enum wherry_hook_kind. */
unsigned wherry_hooks_kinds(const struct wherry_spec *spec);

/* Whether a failure of a poststart hook is one of the container: since version 1.2.1 of the specification, to which
 * `oci_version` says the configuration keeps; before, it was a warning (runtime.md, "Lifecycle", step 9). */
bool wherry_hooks_poststart_must_succeed(const char *oci_version);

/* Runs the hooks one after the other, with the state document on standard input. Stops at the first that fails, ends by
 * a signal, or runs out of time, and says which. Allocates nothing, so that it serves the runtime and the child. */
int wherry_hooks_run(const struct wherry_hooks *hooks, const char *kind, const struct wherry_state_text *state,
                     const char *status, pid_t pid, struct wherry_error *err);

/* Runs all of them, whatever becomes of one: as the specification wants it for poststart and poststop. What the last
 * failure was is told in `warning`, which is left as it is when there was none. */
void wherry_hooks_run_each(const struct wherry_hooks *hooks, const char *kind, const struct wherry_state_text *state,
                           const char *status, pid_t pid, char warning[WHERRY_WARNING_MAX]);
