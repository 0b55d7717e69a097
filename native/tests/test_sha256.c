/* SHA-256 against the examples of FIPS 180-4 and in every split of the input. */
#include "check.h"

#include "wherry/sha256.h"

static void digest_is(const void *data, size_t length, size_t split, const char *expected)
{
    struct wherry_sha256 sha;
    uint8_t digest[WHERRY_SHA256_SIZE];
    char text[WHERRY_SHA256_TEXT_SIZE];

    for (int plain = 0; plain < 2; plain++) {
        wherry_sha256_init(&sha);
        sha.accelerated = sha.accelerated && !plain;
        wherry_sha256_update(&sha, data, split);
        wherry_sha256_update(&sha, (const char *)data + split, length - split);
        wherry_sha256_final(&sha, digest);
        wherry_sha256_text(digest, text);
        CHECK_TEXT(text, expected);
    }
}

static void the_standards_examples_hold(void)
{
    static char million[1000000];

    memset(million, 'a', sizeof(million));
    digest_is("", 0, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_is("abc", 3, 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_is(million, sizeof(million), 63, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void every_split_gives_the_same_digest(void)
{
    const char *text =
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopqabcdbcdecdefdefgefghfghighijhijkijkljklmk"
        "lmnlmnomnopnopqabcdbcdecdefdefgefghfghighijhijkijkl";
    struct wherry_sha256 sha;
    uint8_t digest[WHERRY_SHA256_SIZE];
    char whole[WHERRY_SHA256_TEXT_SIZE];

    for (size_t length = 0; length <= strlen(text); length++) {
        wherry_sha256_init(&sha);
        wherry_sha256_update(&sha, text, length);
        wherry_sha256_final(&sha, digest);
        wherry_sha256_text(digest, whole);
        for (size_t split = 0; split <= length; split += 5)
            digest_is(text, length, split, whole);
    }
}

int main(void)
{
    RUN(the_standards_examples_hold);
    RUN(every_split_gives_the_same_digest);
    return check_result();
}
