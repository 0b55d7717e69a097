/* Points in time as text. */
#pragma once

#include <time.h>

#define WHERRY_MOMENT_MAX 48

/* RFC 3339 in UTC with nanoseconds: "2026-01-31T12:00:00.000000001Z". gmtime_r(3) would read the time zone's file
 * first: five system calls, for nothing. */
void wherry_moment_text(const struct timespec *moment, char text[WHERRY_MOMENT_MAX]);
