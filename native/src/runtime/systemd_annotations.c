/*
 * Annotations "org.systemd.property.NAME" as properties of the container's scope; see systemd_property.h.
 *
 * Values are in the text form of GVariant, of which this is known: true and false; numbers, plain (int32) or behind
 * int16, uint16, int32, uint32, int64 or uint64; 'text' and "text"; lists of texts, ['a', 'b'], also behind @as.
 */
#include "systemd_property.h"

#include "wherry/json.h"

#include <json-c/json_object_iterator.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word;
    const char *signature;
} types[] = {{"int16 ", "n"}, {"uint16 ", "q"}, {"int32 ", "i"}, {"uint32 ", "u"}, {"int64 ", "x"}, {"uint64 ", "t"}};

static const struct {
    char signature;
    int64_t least;
    uint64_t most;
} ranges[] = {
    {'n', INT16_MIN, INT16_MAX}, {'q', 0, UINT16_MAX},        {'i', INT32_MIN, INT32_MAX},
    {'u', 0, UINT32_MAX},        {'x', INT64_MIN, INT64_MAX}, {'t', 0, UINT64_MAX},
};

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t\n");
}

/* A whole number, and nothing behind it. */
static bool parse_number(const char *at, char signature, uint64_t *number)
{
    bool negative = at[0] == '-';
    char *end;

    if (at[negative] < '0' || at[negative] > '9')
        return false;
    errno = 0;
    *number = negative ? (uint64_t)strtoll(at, &end, 10) : strtoull(at, &end, 10);
    if (errno != 0 || *skip_blanks(end) != '\0')
        return false;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (ranges[i].signature == signature)
            return negative ? (int64_t)*number >= ranges[i].least : *number <= ranges[i].most;
    }
    return false;
}

/* 'text' or "text", a backslash makes the next character itself; *at goes on behind it. */
static const char *parse_text(const char **at, struct wherry_arena *arena)
{
    char quote = **at, *text = wherry_arena_array(arena, strlen(*at) + 1, 1);
    size_t length = 0;

    if ((quote != '\'' && quote != '"') || text == NULL)
        return NULL;
    for ((*at)++; **at != quote; (*at)++) {
        if (**at == '\\')
            (*at)++;
        if (**at == '\0')
            return NULL;
        text[length++] = **at;
    }
    (*at)++;
    return text;
}

static bool parse_list(const char *at, struct systemd_property *property, struct wherry_arena *arena)
{
    const char **texts = wherry_arena_array(arena, strlen(at), sizeof(*texts));
    size_t count = 0;

    for (at = skip_blanks(at + 1); texts != NULL && *at != ']'; at = skip_blanks(at)) {
        texts[count] = parse_text(&at, arena);
        if (texts[count++] == NULL)
            return false;
        at = skip_blanks(at);
        if (*at == ',')
            at++;
        else if (*at != ']')
            return false;
    }
    property->signature = "as";
    property->texts = texts;
    property->count = count;
    return texts != NULL && *skip_blanks(at + 1) == '\0';
}

static bool parse_value(const char *value, struct systemd_property *property, struct wherry_arena *arena)
{
    const char *at = skip_blanks(value);

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t length = strlen(types[i].word);

        if (strncmp(at, types[i].word, length) != 0)
            continue;
        property->signature = types[i].signature;
        return parse_number(skip_blanks(at + length), types[i].signature[0], &property->number);
    }
    if (strncmp(at, "@as ", 4) == 0)
        at = skip_blanks(at + 4);
    if (*at == '[')
        return parse_list(at, property, arena);
    if (*at == '\'' || *at == '"') {
        const char **texts = wherry_arena_array(arena, 1, sizeof(*texts));

        property->signature = "s";
        property->texts = texts;
        property->count = 1;
        return texts != NULL && (texts[0] = parse_text(&at, arena)) != NULL && *skip_blanks(at) == '\0';
    }
    property->signature = "b";
    property->number = strcmp(at, "true") == 0;
    if (property->number == 1 || strcmp(at, "false") == 0)
        return true;
    property->signature = "i";
    return parse_number(at, 'i', &property->number);
}

/* systemd has times in microseconds, under a name that says so; people have them in seconds: "TimeoutStopSec". */
static bool convert_seconds(struct systemd_property *property, struct wherry_arena *arena)
{
    size_t length = strlen(property->name);

    if (length <= 3 || strcmp(property->name + length - 3, "Sec") != 0 ||
        (length > 4 && property->name[length - 4] == 'U'))
        return true;
    if (strchr("nqiuxt", property->signature[0]) == NULL || (int64_t)property->number < 0 ||
        property->number > UINT64_MAX / 1000000)
        return false;
    property->name = wherry_arena_format(arena, "%.*sUSec", (int)length - 3, property->name);
    property->signature = "t";
    property->number *= 1000000;
    return property->name != NULL;
}

static bool is_name(const char *name)
{
    return name[0] != '\0' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] == '\0';
}

int systemd_properties_add_annotations(struct systemd_properties *properties, struct json_object *annotations,
                                       struct wherry_error *err)
{
    size_t prefix = strlen(SYSTEMD_ANNOTATION);
    struct json_object_iterator at, end;
    int result = 0;

    if (annotations == NULL)
        return 0;
    at = json_object_iter_begin(annotations);
    end = json_object_iter_end(annotations);
    for (; !json_object_iter_equal(&at, &end) && result >= 0; json_object_iter_next(&at)) {
        const char *key = json_object_iter_peek_name(&at);
        const char *value = json_object_get_string(json_object_iter_peek_value(&at));
        struct systemd_property property = {.signature = "b"};

        if (strncmp(key, SYSTEMD_ANNOTATION, prefix) != 0)
            continue;
        property.name = wherry_arena_format(&properties->arena, "%s", key + prefix);
        if (property.name == NULL || value == NULL)
            return wherry_error_set(err, ENOMEM, "annotations.%s", key);
        if (!is_name(property.name) || !parse_value(value, &property, &properties->arena) ||
            !convert_seconds(&property, &properties->arena))
            return wherry_error_set(err, EINVAL,
                                    "annotations.%s: \"%s\": must be true, false, a number like 5 or uint64 5, 'text' "
                                    "or ['text', 'text']",
                                    key, value);
        result = systemd_properties_add(properties, property, err);
    }
    return result;
}
