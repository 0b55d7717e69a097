/* Durations on the command line, in the form that callers of runtimes write: "5s", "1m30s", "1.5h", "200ms". */
#pragma once

#include "wherry/error.h"

#include <stdint.h>

/* Reads numbers with the units ns, us, ms, s, m and h, one behind the other; "0" needs none. `name` is the option's,
 * for errors. The result is in nanoseconds. */
int wherry_duration_parse(const char *text, const char *name, int64_t *nanoseconds, struct wherry_error *err);
