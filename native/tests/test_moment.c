/* Points in time as text are those of the C library's calendar. */
#include "check.h"

#include "wherry/moment.h"

static void every_day_is_the_calendars(void)
{
    for (time_t day = 0; day < 400L * 366; day++) {
        struct timespec moment = {.tv_sec = day * 86400 + day % 86400, .tv_nsec = day};
        char text[WHERRY_MOMENT_MAX], seconds[32], expected[64];
        struct tm parts;

        gmtime_r(&moment.tv_sec, &parts);
        strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(expected, sizeof(expected), "%s.%09ldZ", seconds, (long)day);
        wherry_moment_text(&moment, text);
        CHECK_TEXT(text, expected);
    }
}

int main(void)
{
    RUN(every_day_is_the_calendars);
    return check_result();
}
