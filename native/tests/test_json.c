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

static void words_that_json_does_not_have_are_refused(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{'a':1}", "line 1: not a word of JSON"},
        {"{\"a\":'x'}", "not a word of JSON"},
        {"{\n\"a\":\nNaN}", "line 3: not a word of JSON"},
        {"{\"a\":Infinity}", "not a word of JSON"},
        {"{\"a\":-Infinity}", "not a number of JSON"},
        {"{\"a\":TRUE}", "not a word of JSON"},
        {"{\"a\":1 /* no */}", "not a word of JSON"},
        {"{\"a\":01}", "not a number of JSON"},
        {"{\"a\":+1}", "not a word of JSON"},
        {"{\"a\":1.}", "not a number of JSON"},
        {"{\"a\":.5}", "not a word of JSON"},
        {"{\"a\":1e}", "not a number of JSON"},
        {"{\"a\":\"\t\"}", "a control character in a string"},
        {"{\"a\":\"\\x\"}", "an escape that JSON does not have"},
        {"{\"a\":\"", "a string without an end"},
        {"{\"a\":\"\\", "an escape that JSON does not have"},
        {"{\"a\\u0000b\" : 1}", "a key with NUL in it"},
    };
    struct wherry_error err = WHERRY_ERROR_INIT;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_object *object = wherry_json_parse(cases[i].text, strlen(cases[i].text), "text", &err);

        if (object != NULL || strstr(err.message, cases[i].message) == NULL)
            printf("%s: %s\n", cases[i].text, err.message);
        CHECK(object == NULL && strstr(err.message, cases[i].message) != NULL);
        json_object_put(object);
    }
}

static void words_that_json_has_are_taken(void)
{
    cleanup_json struct json_object *object = parse(" {\"a\" : [ -0 , 1.5e+3, 10E-2 , true, false, null ] "
                                                    ",\r\n\t\"b'\\u00e9\\\"\\/\" : \"'\\u0000\" , \"\xc3\xa9\":{}} ");

    CHECK(object != NULL && json_object_object_length(object) == 3);
}

static void a_choice_is_one_of_the_words_that_the_error_names(void)
{
    static const struct wherry_json_choice choices[] = {{"A", 1}, {"B", 4}, {"C", 2}};
    cleanup_json struct json_object *object =
        parse("{\"one\":\"B\",\"odd\":\"D\",\"some\":[\"C\",\"A\"],\"bad\":[\"A\",\"D\"]}");
    struct wherry_error err = WHERRY_ERROR_INIT;
    uint64_t value = 0;

    CHECK(wherry_json_choose(object, "", "one", choices, 3, &value, &err) == 1 && value == 4);
    CHECK(wherry_json_choose(object, "", "none", choices, 3, &value, &err) == 0 && value == 4);
    CHECK_FAILS(wherry_json_choose(object, "x", "odd", choices, 3, &value, &err), err,
                "x.odd: \"D\": must be A, B or C");
    value = 8;
    CHECK(wherry_json_flags(object, "", "some", choices, 3, &value, &err) == 1 && value == 11);
    CHECK_FAILS(wherry_json_flags(object, "x", "bad", choices, 3, &value, &err), err,
                "x.bad[1]: \"D\": must be A, B or C");
}

static void an_object_is_left_as_its_text(void)
{
    static const char plain[] = "{\"a\":1,\"linux\":{\"b\":[{\"seccomp\":2}],\"seccomp\" : {\"c\":[\"}\"]} ,\"d\":3}}";
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_json_part part;
    cleanup_json struct json_object *object =
        wherry_json_parse_apart(plain, strlen(plain), "text", "linux", "seccomp", &part, &err);

    CHECK(object != NULL && part.text != NULL && part.length == 11 && strncmp(part.text, "{\"c\":[\"}\"]}", 11) == 0);
    CHECK(strcmp(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
                 "{\"a\":1,\"linux\":{\"b\":[{\"seccomp\":2}],\"seccomp\":null,\"d\":3}}") == 0);
}

/* What could be read in two ways is read in json-c's alone. */
static void an_object_is_left_only_where_it_is_certain(void)
{
    static const char *const texts[] = {
        "{\"linux\":{}}",
        "{\"seccomp\":{}}",
        "{\"linux\":{\"seccomp\":[]}}",
        "{\"linux\":[{\"seccomp\":{}}]}",
        "{\"other\":{\"linux\":{\"seccomp\":{}}}}",
        "{\"linux\":{\"seccomp\":{},\"seccomp\":{}}}",
        "{\"linux\":{\"seccomp\":{},\"secc\\u006fmp\":{}}}",
        "{\"linux\":{\"seccomp\":{}},\"linux\":{}}",
        "{\"linux\":{\"seccomp\":{}},\"lin\\u0075x\":{}}",
    };
    struct wherry_error err = WHERRY_ERROR_INIT;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct wherry_json_part part;
        cleanup_json struct json_object *object =
            wherry_json_parse_apart(texts[i], strlen(texts[i]), "text", "linux", "seccomp", &part, &err);

        CHECK(object != NULL && part.text == NULL);
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
    RUN(words_that_json_does_not_have_are_refused);
    RUN(words_that_json_has_are_taken);
    RUN(a_choice_is_one_of_the_words_that_the_error_names);
    RUN(an_object_is_left_as_its_text);
    RUN(an_object_is_left_only_where_it_is_certain);
    RUN(nesting_is_bounded);
    RUN(absent_and_null_leave_the_value);
    RUN(integers_are_held_to_their_range);
    RUN(a_string_with_a_nul_is_refused);
    RUN(an_unsupported_key_is_named_and_an_unknown_one_ignored);
    return check_result();
}
