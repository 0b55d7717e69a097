/* Reading JSON documents strictly; see wherry/json.h. */
#include "wherry/json.h"

#include "json_syntax.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <json-c/linkhash.h>
#include <limits.h>
#include <string.h>

#define NESTING_MAX 32

/* Says on which line a word is not JSON. */
static int check_syntax(const char *text, size_t length, const char *name, struct wherry_error *err)
{
    size_t offset = 0, line = 1;
    const char *fault = json_syntax_check(text, length, &offset);

    if (fault == NULL)
        return 0;
    for (size_t i = 0; i < offset; i++)
        line += text[i] == '\n';
    return wherry_error_set(err, 0, "%s: not JSON: line %zu: %s", name, line, fault);
}

/* Of the text without what stands from `start` to `end`, where null is read. */
static struct json_object *parse_around(struct json_tokener *tokener, const char *text, size_t length, size_t start,
                                        size_t end)
{
    struct json_object *document = NULL;

    if (start < end) {
        document = json_tokener_parse_ex(tokener, text, (int)start);
        if (json_tokener_get_error(tokener) == json_tokener_continue)
            document = json_tokener_parse_ex(tokener, "null", 4);
        if (json_tokener_get_error(tokener) != json_tokener_continue)
            return document;
    }
    document = json_tokener_parse_ex(tokener, text + end, (int)(length - end));
    /* A document that ends where a number could go on is only complete once the end is seen. */
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        document = json_tokener_parse_ex(tokener, "", 1);
    return document;
}

static struct json_object *parse(const char *text, size_t length, size_t start, size_t end, const char *name,
                                 struct wherry_error *err)
{
    struct json_object *document = NULL;
    struct json_tokener *tokener = json_tokener_new_ex(NESTING_MAX);
    enum json_tokener_error problem;

    if (tokener == NULL) {
        wherry_error_set(err, ENOMEM, "%s", name);
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    document = parse_around(tokener, text, length, start, end);
    problem = json_tokener_get_error(tokener);
    json_tokener_free(tokener);
    if (problem != json_tokener_success || !json_object_is_type(document, json_type_object)) {
        json_object_put(document);
        wherry_error_set(err, 0, "%s: not a JSON object: %s", name,
                         problem != json_tokener_success ? json_tokener_error_desc(problem) : "another type of value");
        return NULL;
    }
    return document;
}

static bool check(const char *text, size_t length, const char *name, struct wherry_error *err)
{
    if (length > INT_MAX) {
        wherry_error_set(err, EFBIG, "%s", name);
        return false;
    }
    return check_syntax(text, length, name, err) >= 0;
}

struct json_object *wherry_json_parse(const char *text, size_t length, const char *name, struct wherry_error *err)
{
    return check(text, length, name, err) ? parse(text, length, 0, 0, name, err) : NULL;
}

struct json_object *wherry_json_parse_apart(const char *text, size_t length, const char *name, const char *outer,
                                            const char *inner, struct wherry_json_part *part, struct wherry_error *err)
{
    size_t start = 0, end = 0;

    *part = (struct wherry_json_part){.text = NULL};
    if (!check(text, length, name, err))
        return NULL;
    if (json_syntax_find(text, length, outer, inner, &start, &end))
        *part = (struct wherry_json_part){.text = text + start, .length = end - start};
    return parse(text, length, start, end, name, err);
}

struct json_object *wherry_json_read(int dirfd, const char *path, size_t limit, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    size_t length = 0;

    if (wherry_file_read(dirfd, path, limit, &text, &length, err) < 0)
        return NULL;
    return wherry_json_parse(text, length, path, err);
}

void wherry_json_name(char name[WHERRY_JSON_WHERE_MAX], const char *where, const char *key)
{
    snprintf(name, WHERRY_JSON_WHERE_MAX, "%s%s%s", where, where[0] != '\0' ? "." : "", key);
}

int wherry_json_refuse(struct json_object *object, const char *where, const char *const *refused, size_t count,
                       struct wherry_error *err)
{
    char name[WHERRY_JSON_WHERE_MAX];

    if (!json_object_is_type(object, json_type_object))
        return wherry_error_set(err, 0, "%s: must be an object", where);
    for (size_t i = 0; i < count; i++) {
        /* A field that is spelled out as null says nothing, so there is nothing to refuse. */
        if (json_object_object_get(object, refused[i]) == NULL)
            continue;
        wherry_json_name(name, where, refused[i]);
        return wherry_error_set(err, 0, "%s: not supported by this runtime", name);
    }
    return 0;
}

/* Sets *value when the key is present and not null: 1, else 0; -EINVAL when it is of another type. */
static int lookup(struct json_object *object, const char *where, const char *key, enum json_type type, const char *noun,
                  struct json_object **value, struct wherry_error *err)
{
    char name[WHERRY_JSON_WHERE_MAX];

    if (object == NULL || !json_object_object_get_ex(object, key, value) || *value == NULL)
        return 0;
    if (json_object_is_type(*value, type))
        return 1;
    wherry_json_name(name, where, key);
    return wherry_error_set(err, 0, "%s: must be %s", name, noun);
}

/* A string with a NUL inside would be read as a shorter one by every C function after this: refuse it at the door. */
static int take_string(struct json_object *value, const char *name, const char **out, struct wherry_error *err)
{
    const char *text;

    if (!json_object_is_type(value, json_type_string))
        return wherry_error_set(err, 0, "%s: must be a string", name);
    text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value))
        return wherry_error_set(err, 0, "%s: must not contain NUL", name);
    *out = text;
    return 1;
}

int wherry_json_string(struct json_object *object, const char *where, const char *key, const char **out,
                       struct wherry_error *err)
{
    char name[WHERRY_JSON_WHERE_MAX];
    struct json_object *value = NULL;
    int found = lookup(object, where, key, json_type_string, "a string", &value, err);

    if (found <= 0)
        return found;
    wherry_json_name(name, where, key);
    return take_string(value, name, out, err);
}

int wherry_json_bool(struct json_object *object, const char *where, const char *key, bool *out,
                     struct wherry_error *err)
{
    struct json_object *value = NULL;
    int found = lookup(object, where, key, json_type_boolean, "true or false", &value, err);

    if (found > 0)
        *out = json_object_get_boolean(value);
    return found;
}

int wherry_json_integer(struct json_object *object, const char *where, const char *key, int64_t least, int64_t most,
                        int64_t *out, struct wherry_error *err)
{
    char name[WHERRY_JSON_WHERE_MAX];
    struct json_object *value = NULL;
    int found = lookup(object, where, key, json_type_int, "an integer", &value, err);
    int64_t number;

    if (found <= 0)
        return found;
    /* json-c clamps what does not fit: the clamped value is outside of every range that is asked for but the full one.
     */
    number = json_object_get_int64(value);
    if (number < least || number > most) {
        wherry_json_name(name, where, key);
        return wherry_error_set(err, 0, "%s: %s: must be an integer from %lld to %lld", name,
                                json_object_get_string(value), (long long)least, (long long)most);
    }
    *out = number;
    return 1;
}

int wherry_json_object(struct json_object *object, const char *where, const char *key, struct json_object **out,
                       struct wherry_error *err)
{
    struct json_object *value = NULL;
    int found = lookup(object, where, key, json_type_object, "an object", &value, err);

    if (found > 0)
        *out = value;
    return found;
}

int wherry_json_array(struct json_object *object, const char *where, const char *key, struct json_object **out,
                      struct wherry_error *err)
{
    struct json_object *value = NULL;
    int found = lookup(object, where, key, json_type_array, "an array", &value, err);

    if (found > 0)
        *out = value;
    return found;
}

int wherry_json_strings(struct json_object *object, const char *where, const char *key, struct wherry_arena *arena,
                        const char ***out, size_t *count, struct wherry_error *err)
{
    struct json_object *array = NULL;
    char name[WHERRY_JSON_WHERE_MAX];
    const char **strings;
    size_t length;
    int found;

    found = wherry_json_array(object, where, key, &array, err);
    if (found <= 0)
        return found;
    length = json_object_array_length(array);
    strings = wherry_arena_array(arena, length + 1, sizeof(*strings));
    if (strings == NULL)
        return wherry_error_set(err, ENOMEM, "%s.%s", where, key);
    for (size_t i = 0; i < length; i++) {
        char item[WHERRY_JSON_WHERE_MAX];

        snprintf(item, sizeof(item), "%s[%zu]", key, i);
        wherry_json_name(name, where, item);
        if (take_string(json_object_array_get_idx(array, i), name, &strings[i], err) < 0)
            return -EINVAL;
    }
    *out = strings;
    *count = length;
    return 1;
}

/* "A, B or C" */
static void describe_choices(const struct wherry_json_choice *choices, size_t count, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0           ? ""
                                 : i + 1 == count ? " or "
                                                  : ", ",
                                 choices[i].name);
}

static int find_choice(const char *name, const char *value, const struct wherry_json_choice *choices, size_t count,
                       uint64_t *out, struct wherry_error *err)
{
    char allowed[512];

    for (size_t i = 0; i < count; i++) {
        if (strcmp(choices[i].name, value) == 0) {
            *out = choices[i].value;
            return 1;
        }
    }
    describe_choices(choices, count, allowed, sizeof(allowed));
    return wherry_error_set(err, 0, "%s: \"%s\": must be %s", name, value, allowed);
}

int wherry_json_choose(struct json_object *object, const char *where, const char *key,
                       const struct wherry_json_choice *choices, size_t count, uint64_t *out, struct wherry_error *err)
{
    char name[WHERRY_JSON_WHERE_MAX];
    const char *value = NULL;
    int found = wherry_json_string(object, where, key, &value, err);

    if (found <= 0)
        return found;
    wherry_json_name(name, where, key);
    return find_choice(name, value, choices, count, out, err);
}

int wherry_json_flags(struct json_object *object, const char *where, const char *key,
                      const struct wherry_json_choice *choices, size_t count, uint64_t *out, struct wherry_error *err)
{
    struct json_object *array = NULL;
    int found = wherry_json_array(object, where, key, &array, err);

    if (found <= 0)
        return found;
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        char item[WHERRY_JSON_WHERE_MAX], name[WHERRY_JSON_WHERE_MAX];
        const char *value = NULL;
        uint64_t flag = 0;

        snprintf(item, sizeof(item), "%s[%zu]", key, i);
        wherry_json_name(name, where, item);
        if (take_string(json_object_array_get_idx(array, i), name, &value, err) < 0 ||
            find_choice(name, value, choices, count, &flag, err) < 0)
            return -EINVAL;
        *out |= flag;
    }
    return 1;
}
