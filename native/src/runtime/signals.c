/* Signals by name; see signals.h. */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* RTMIN, RTMIN+n, RTMAX, RTMAX-n. */
static int parse_realtime(const char *name)
{
    int base, number;
    char *end;

    if (strncasecmp(name, "RTMIN", 5) == 0)
        base = SIGRTMIN;
    else if (strncasecmp(name, "RTMAX", 5) == 0)
        base = SIGRTMAX;
    else
        return -1;
    if (name[5] == '\0')
        return base;
    if (name[5] != (base == SIGRTMIN ? '+' : '-') || name[6] < '0' || name[6] > '9')
        return -1;
    number = base + (int)strtol(name + 5, &end, 10);
    return *end == '\0' && number >= SIGRTMIN && number <= SIGRTMAX ? number : -1;
}

static int parse_name(const char *name)
{
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    for (int number = 1; number < SIGRTMIN; number++) {
        const char *known = sigabbrev_np(number);

        if (known != NULL && strcasecmp(known, name) == 0)
            return number;
    }
    return parse_realtime(name);
}

int wherry_signal_parse(const char *text, struct wherry_error *err)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0')
        number = parse_name(text);
    /* 0 asks whether the process is there, kill(2). */
    if (number < 0 || number > SIGRTMAX)
        return wherry_error_set(err, 0, "unknown signal \"%s\"", text);
    return (int)number;
}
