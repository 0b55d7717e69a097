/* Strict reading of JSON: types, ranges, names in errors. */
#include "check.h"
#include "wherry/json.h"

static struct json_object *parse(const char *text)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct json_object *object = wherry_json_parse(text, strlen(text), "text", &err);

    if (object == NULL)
        printf("%s\n", err.message);
    return object;
}

static void documents_that_are_no_objects_are_refused(void)
{
    static const char *const texts[] = {"", "[]", "null", "1", "{", "{} x", "{\"a\":01}", "{\"a\":1,}"};
    struct wherry_error err = WHERRY_ERROR_INIT;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct json_object *object = wherry_json_parse(texts[i], strlen(texts[i]), "text", &err);

        CHECK(object == NULL);
        CHECK(strncmp(err.message, "text: ", 6) == 0);
        json_object_put(object);
    }
}

static void nesting_is_bounded(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    char text[2002];

    memset(text, '[', 2000);
    memcpy(text, "{\"a\":", 5);
    text[2000] = '\0';
    CHECK(wherry_json_parse(text, strlen(text), "text", &err) == NULL);
}

static void absent_and_null_leave_the_value(void)
{
    cleanup_json struct json_object *object = parse("{\"a\":null}");
    struct wherry_error err = WHERRY_ERROR_INIT;
    int64_t number = 7;

    CHECK(wherry_json_integer(object, "", "a", 0, 9, &number, &err) == 0);
    CHECK(wherry_json_integer(object, "", "b", 0, 9, &number, &err) == 0);
    CHECK(wherry_json_integer(NULL, "", "b", 0, 9, &number, &err) == 0);
    CHECK(number == 7);
}

static void integers_are_held_to_their_range(void)
{
    cleanup_json struct json_object *object = parse(
        "{\"ok\":4294967294,\"wide\":4294967295,\"huge\":99999999999999999999,\"neg\":-1,\"real\":1.0,\"text\":\"1\"}");
    struct wherry_error err = WHERRY_ERROR_INIT;
    int64_t number = 0;

    CHECK(wherry_json_integer(object, "user", "ok", 0, 4294967294, &number, &err) == 1);
    CHECK(number == 4294967294);
    CHECK_FAILS(wherry_json_integer(object, "user", "wide", 0, 4294967294, &number, &err), err,
                "user.wide: 4294967295: must be an integer from 0 to 4294967294");
    CHECK_FAILS(wherry_json_integer(object, "user", "huge", 0, 4294967294, &number, &err), err, "user.huge");
    CHECK_FAILS(wherry_json_integer(object, "user", "neg", 0, 4294967294, &number, &err), err, "user.neg: -1");
    CHECK_FAILS(wherry_json_integer(object, "user", "real", 0, 9, &number, &err), err, "must be an integer");
    CHECK_FAILS(wherry_json_integer(object, "user", "text", 0, 9, &number, &err), err, "must be an integer");
}

static void a_string_with_a_nul_is_refused(void)
{
    cleanup_json struct json_object *object = parse("{\"a\":\"x\\u0000y\",\"b\":[\"x\",\"\\u0000\"]}");
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_arena arena = WHERRY_ARENA_INIT;
    const char *text = NULL;
    const char **list = NULL;
    size_t count = 0;

    CHECK_FAILS(wherry_json_string(object, "", "a", &text, &err), err, "a: must not contain NUL");
    CHECK_FAILS(wherry_json_strings(object, "p", "b", &arena, &list, &count, &err), err,
                "p.b[1]: must not contain NUL");
    wherry_arena_free(&arena);
}

static void an_unsupported_key_is_named_and_an_unknown_one_ignored(void)
{
    static const char *const refused[] = {"rdt"};
    cleanup_json struct json_object *object = parse("{\"a\":1,\"rdt\":{}}");
    cleanup_json struct json_object *nothing = parse("{\"a\":1,\"rdt\":null,\"odd\":2}");
    struct wherry_error err = WHERRY_ERROR_INIT;

    CHECK_FAILS(wherry_json_refuse(object, "linux", refused, 1, &err), err, "linux.rdt: not supported by this runtime");
    CHECK_OK(wherry_json_refuse(nothing, "linux", refused, 1, &err), err);
}

int main(void)
{
    RUN(documents_that_are_no_objects_are_refused);
    RUN(nesting_is_bounded);
    RUN(absent_and_null_leave_the_value);
    RUN(integers_are_held_to_their_range);
    RUN(a_string_with_a_nul_is_refused);
    RUN(an_unsupported_key_is_named_and_an_unknown_one_ignored);
    return check_result();
}
