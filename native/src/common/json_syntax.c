/* The words of JSON; see json_syntax.h. */
#include "json_syntax.h"

#include <stdbool.h>
#include <string.h>

struct scan {
    const char *text, *at, *end;
    const char *fault;
};

static char peek(const struct scan *scan)
{
    return scan->at < scan->end ? *scan->at : '\0';
}

static bool fail(struct scan *scan, const char *fault)
{
    scan->fault = fault;
    return false;
}

static void skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

/* The character after a backslash; what follows "\u" is json-c's to check. */
static bool take_escape(struct scan *scan, bool *has_nul)
{
    char escaped = peek(scan);

    if (escaped == '\0' || strchr("\"\\/bfnrtu", escaped) == NULL)
        return fail(scan, "an escape that JSON does not have");
    if (scan->end - scan->at >= 5 && memcmp(scan->at, "u0000", 5) == 0)
        *has_nul = true;
    scan->at++;
    return true;
}

/* A string that a colon follows is a key. json-c would cut a key at its NUL, and so take it for another one. */
static bool take_string(struct scan *scan)
{
    bool has_nul = false;

    for (scan->at++; scan->at < scan->end && *scan->at != '"';) {
        if ((unsigned char)*scan->at < 0x20)
            return fail(scan, "a control character in a string");
        if (*scan->at++ == '\\' && !take_escape(scan, &has_nul))
            return false;
    }
    if (scan->at == scan->end)
        return fail(scan, "a string without an end");
    scan->at++;
    skip_blanks(scan);
    return has_nul && peek(scan) == ':' ? fail(scan, "a key with NUL in it") : true;
}

static bool take_digits(struct scan *scan)
{
    const char *first = scan->at;

    while (peek(scan) >= '0' && peek(scan) <= '9')
        scan->at++;
    return scan->at > first ? true : fail(scan, "not a number of JSON");
}

static bool take_number(struct scan *scan)
{
    if (peek(scan) == '-')
        scan->at++;
    if (peek(scan) == '0')
        scan->at++;
    else if (!take_digits(scan))
        return false;
    if (peek(scan) >= '0' && peek(scan) <= '9')
        return fail(scan, "not a number of JSON");
    if (peek(scan) == '.') {
        scan->at++;
        if (!take_digits(scan))
            return false;
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        scan->at++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->at++;
        return take_digits(scan);
    }
    return true;
}

static bool take_name(struct scan *scan)
{
    static const char *const names[] = {"true", "false", "null"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i]);

        if ((size_t)(scan->end - scan->at) >= length && memcmp(scan->at, names[i], length) == 0) {
            scan->at += length;
            return true;
        }
    }
    return fail(scan, "not a word of JSON");
}

static bool take_word(struct scan *scan)
{
    char first = peek(scan);

    if (first == '"')
        return take_string(scan);
    if (first == '-' || (first >= '0' && first <= '9'))
        return take_number(scan);
    if (first != '\0' && strchr("{}[],:", first) != NULL) {
        scan->at++;
        return true;
    }
    return take_name(scan);
}

const char *json_syntax_check(const char *text, size_t length, size_t *offset)
{
    struct scan scan = {.text = text, .at = text, .end = text + length};

    for (skip_blanks(&scan); scan.at < scan.end; skip_blanks(&scan)) {
        if (take_word(&scan))
            continue;
        *offset = (size_t)(scan.at - scan.text);
        return scan.fault;
    }
    return NULL;
}
