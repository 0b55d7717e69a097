/* See log_json.h. */
#include "monitor/log_json.h"

#include <stdbool.h>
#include <string.h>

static const char REPLACEMENT[] = "\\ufffd";

/* Length of the well-formed UTF-8 sequence at `at` (RFC 3629: no overlong form, no surrogate, at most U+10FFFF), 0 when
 * there is none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] <= 0xdf)
        length = 2;
    else if ((at[0] & 0xf0) == 0xe0)
        length = 3;
    else if (at[0] >= 0xf0 && at[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (left < length || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* <, > and & are escaped as Go's encoder does, so that our files equal Docker's byte by byte. */
static bool is_plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\' && byte != '<' && byte != '>' && byte != '&';
}

static size_t escape_ascii(char *out, unsigned char byte)
{
    static const char HEX[] = "0123456789abcdef";
    static const char SHORT[] = "\"\"\\\\\nn\rr\tt";

    for (const char *pair = SHORT; *pair != '\0'; pair += 2)
        if ((unsigned char)pair[0] == byte) {
            out[0] = '\\';
            out[1] = pair[1];
            return 2;
        }
    memcpy(out, "\\u00", 4);
    out[4] = HEX[byte >> 4];
    out[5] = HEX[byte & 0xf];
    return JSON_ESCAPED_MAX;
}

size_t log_json_escape(char *out, const char *data, size_t length)
{
    size_t written = 0;

    for (size_t at = 0; at < length;) {
        const unsigned char *byte = (const unsigned char *)data + at;
        size_t sequence;

        if (is_plain(*byte)) {
            out[written++] = (char)*byte;
            at++;
            continue;
        }
        sequence = utf8_length(byte, length - at);
        if (sequence == 1) {
            written += escape_ascii(out + written, *byte);
        } else if (sequence == 0) {
            memcpy(out + written, REPLACEMENT, sizeof(REPLACEMENT) - 1);
            written += sizeof(REPLACEMENT) - 1;
            sequence = 1;
        } else {
            memcpy(out + written, byte, sequence);
            written += sequence;
        }
        at += sequence;
    }
    return written;
}
