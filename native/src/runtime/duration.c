/* Durations in text; see duration.h. */
#include "duration.h"

#include <stdlib.h>
#include <string.h>

#define DURATION_MOST 9.2e18 /* nanoseconds in an int64_t: 292 years */

static const struct {
    const char *name;
    double nanoseconds;
} units[] = {
    /* Longer names first: "m" begins "ms". */
    {"ns", 1},   {"us", 1e3}, {"µs", 1e3}, /* micro sign */
    {"μs", 1e3},                           /* Greek mu */
    {"ms", 1e6}, {"s", 1e9},  {"m", 60e9}, {"h", 3600e9},
};

/* One number with its unit; where it ends, or NULL. */
static const char *read_part(const char *text, double *total)
{
    char *end;
    double value;

    if (text[strspn(text, ".")] < '0' || text[strspn(text, ".")] > '9')
        return NULL;
    value = strtod(text, &end);
    /* strtod also takes exponents and hexadecimal digits, which no caller means. */
    if (strspn(text, "0123456789.") != (size_t)(end - text))
        return NULL;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t length = strlen(units[i].name);

        if (strncmp(end, units[i].name, length) == 0) {
            *total += value * units[i].nanoseconds;
            return end + length;
        }
    }
    return NULL;
}

int wherry_duration_parse(const char *text, const char *name, int64_t *nanoseconds, struct wherry_error *err)
{
    double total = 0;
    const char *at = text;

    if (strcmp(text, "0") != 0 && *at == '\0')
        at = NULL;
    while (at != NULL && *at != '\0' && strcmp(text, "0") != 0)
        at = read_part(at, &total);
    if (at == NULL || total >= DURATION_MOST)
        return wherry_error_set(err, 0, "%s: \"%s\": must be a duration like 5s, 200ms or 1m30s", name, text);
    *nanoseconds = (int64_t)total;
    return 0;
}
