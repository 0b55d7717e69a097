/* Points in time as text; see wherry/moment.h. */
#include "wherry/moment.h"

#include <stdio.h>

#define DAY 86400
#define DAYS_OF_400_YEARS 146097
#define DAYS_UNTIL_1970 719468 /* from 1 March of year 0 */

void wherry_moment_text(const struct timespec *moment, char text[WHERRY_MOMENT_MAX])
{
    long long days = moment->tv_sec / DAY + DAYS_UNTIL_1970;
    int seconds = (int)(moment->tv_sec % DAY);
    /* Years that begin in March have their leap day at the end, and periods of 400 of them are all of one length. */
    int of_period = (int)(days % DAYS_OF_400_YEARS);
    int year = (of_period - of_period / 1460 + of_period / 36524 - of_period / (DAYS_OF_400_YEARS - 1)) / 365;
    int of_year = of_period - (365 * year + year / 4 - year / 100);
    int month = (5 * of_year + 2) / 153; /* 0: March; five months have 153 days, again and again */
    int day = of_year - (153 * month + 2) / 5 + 1;
    long long full = days / DAYS_OF_400_YEARS * 400 + year + (month >= 10);

    snprintf(text, WHERRY_MOMENT_MAX, "%04lld-%02d-%02dT%02d:%02d:%02d.%09ldZ", full,
             month < 10 ? month + 3 : month - 9, day, seconds / 3600, seconds / 60 % 60, seconds % 60,
             moment->tv_nsec % 1000000000);
}
