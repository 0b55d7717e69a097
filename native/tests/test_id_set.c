/* Lists of CPUs and memory nodes. */
#include "check.h"
#include "wherry/id_set.h"

static void ranges_and_numbers_become_bits(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_id_set set;

    CHECK_OK(wherry_id_set_parse(" 0-2 , 64,8191-8191 ", "x", &set, &err), err);
    CHECK(set.words[0] == 7 && set.words[1] == 1);
    CHECK(wherry_id_set_has(&set, 2) && !wherry_id_set_has(&set, 3) && wherry_id_set_has(&set, 8191));
    CHECK(!wherry_id_set_has(&set, 8192) && !wherry_id_set_is_empty(&set));
    CHECK_OK(wherry_id_set_parse("  ", "x", &set, &err), err);
    CHECK(wherry_id_set_is_empty(&set));
    wherry_id_set_fill(&set);
    CHECK(wherry_id_set_has(&set, 0) && wherry_id_set_has(&set, 8191));
}

static void what_is_no_list_is_refused(void)
{
    static const char *const texts[] = {"a",  "1-", "-1", "3-1", "1,", ",1", "1 2", "8192", "99999999999999999999",
                                        "0x1"};
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_id_set set;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CHECK_FAILS(wherry_id_set_parse(texts[i], "x.cpus", &set, &err), err, "x.cpus: \"");
}

int main(void)
{
    RUN(ranges_and_numbers_become_bits);
    RUN(what_is_no_list_is_refused);
    return check_result();
}
