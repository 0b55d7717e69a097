/* The words of JSON; see json_syntax.h. */
#include "json_syntax.h"

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

/* Whether the key that begins at `word`, with its quote, has this name. */
static bool is_key(const char *word, const char *name)
{
    size_t length = strlen(name);

    return strncmp(word + 1, name, length) == 0 && word[1 + length] == '"';
}

static bool has_escape(const char *word)
{
    return word[1 + strcspn(word + 1, "\"\\")] == '\\';
}

struct search {
    const char *outer, *inner;
    int depth;
    int outers;
    bool inside;                   /* the object at `outer` */
    const char *found, *found_end; /* the object at `inner` */
};

/* A key at the two upper levels. False: it leaves it open what is meant. */
static bool look_at_key(struct search *search, const struct scan *scan, const char *word)
{
    const char *value = scan->at + 1;

    if (has_escape(word))
        return false;
    if (search->depth == 1) {
        search->inside = is_key(word, search->outer);
        search->outers += search->inside;
        return search->outers <= 1;
    }
    if (!is_key(word, search->inner))
        return true;
    while (*value == ' ' || *value == '\n' || *value == '\r' || *value == '\t')
        value++;
    if (search->found != NULL || *value != '{')
        return false;
    search->found = value;
    return true;
}

static bool look_at_word(struct search *search, const struct scan *scan, const char *word)
{
    if (*word == '{' || *word == '[') {
        search->depth++;
    } else if (*word == '}' || *word == ']') {
        search->depth--;
        if (search->found != NULL && search->found_end == NULL && search->depth == 2)
            search->found_end = scan->at;
    } else if (*word == '"' && peek(scan) == ':' && (search->depth == 1 || (search->depth == 2 && search->inside))) {
        return look_at_key(search, scan, word);
    }
    return true;
}

bool json_syntax_find(const char *text, size_t length, const char *outer, const char *inner, size_t *start, size_t *end)
{
    struct scan scan = {.text = text, .at = text, .end = text + length};
    struct search search = {.outer = outer, .inner = inner};

    for (skip_blanks(&scan); scan.at < scan.end; skip_blanks(&scan)) {
        const char *word = scan.at;

        if (!take_word(&scan) || !look_at_word(&search, &scan, word))
            return false;
    }
    if (search.found_end == NULL)
        return false;
    *start = (size_t)(search.found - text);
    *end = (size_t)(search.found_end - text);
    return true;
}
