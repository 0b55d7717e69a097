/* Time as the monitor's records need it. */
#pragma once

#include <stdint.h>
#include <time.h>

#define CLOCK_TEXT_MAX 64

/* The wall clock as RFC 3339 in UTC with nine digits of a second. */
void clock_now_text(char text[CLOCK_TEXT_MAX]);

/* Milliseconds of a clock that nobody sets (CLOCK_BOOTTIME). */
uint64_t clock_monotonic_ms(void);
