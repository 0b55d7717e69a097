/* Lists of CPUs and memory nodes; see wherry/id_set.h. */
#include "wherry/id_set.h"

#include <errno.h>
#include <string.h>

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " ");
}

/* One number; NULL when there is none, or none in range. */
static const char *read_number(const char *at, unsigned *number)
{
    unsigned value = 0;

    if (*at < '0' || *at > '9')
        return NULL;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (unsigned)(*at - '0');
        if (value >= WHERRY_ID_SET_MAX)
            return NULL;
    }
    *number = value;
    return skip_blanks(at);
}

/* "3" or "0-3"; NULL when it is neither. */
static const char *read_range(const char *at, struct wherry_id_set *set)
{
    unsigned first, last;

    at = read_number(skip_blanks(at), &first);
    last = first;
    if (at != NULL && *at == '-')
        at = read_number(skip_blanks(at + 1), &last);
    if (at == NULL || last < first)
        return NULL;
    for (unsigned number = first; number <= last; number++)
        set->words[number / WHERRY_ID_SET_WORD_BITS] |= 1UL << number % WHERRY_ID_SET_WORD_BITS;
    return at;
}

int wherry_id_set_parse(const char *text, const char *where, struct wherry_id_set *set, struct wherry_error *err)
{
    const char *at = skip_blanks(text);

    memset(set, 0, sizeof(*set));
    if (*at == '\0')
        return 0;
    for (;;) {
        at = read_range(at, set);
        if (at == NULL || (*at != ',' && *at != '\0'))
            return wherry_error_set(err, 0,
                                    "%s: \"%s\": must be numbers below %d and ranges of them, such as \"0-3,7\"", where,
                                    text, WHERRY_ID_SET_MAX);
        if (*at == '\0')
            return 0;
        at++;
    }
}

bool wherry_id_set_is_empty(const struct wherry_id_set *set)
{
    for (size_t i = 0; i < sizeof(set->words) / sizeof(set->words[0]); i++) {
        if (set->words[i] != 0)
            return false;
    }
    return true;
}

bool wherry_id_set_has(const struct wherry_id_set *set, unsigned number)
{
    return number < WHERRY_ID_SET_MAX &&
           (set->words[number / WHERRY_ID_SET_WORD_BITS] >> number % WHERRY_ID_SET_WORD_BITS & 1) != 0;
}

void wherry_id_set_fill(struct wherry_id_set *set)
{
    memset(set, 0xff, sizeof(*set));
}
