/* See clock.h. */
#include "monitor/clock.h"

#include "wherry/moment.h"

#include <time.h>

void clock_now_text(char text[CLOCK_TEXT_MAX])
{
    struct timespec now;

    _Static_assert(CLOCK_TEXT_MAX >= WHERRY_MOMENT_MAX, "room for a moment");
    clock_gettime(CLOCK_REALTIME, &now);
    wherry_moment_text(&now, text);
}

uint64_t clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
