/* Filling in the error object; see wherry/error.h. */
#include "wherry/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int negative(int code)
{
    return code > 0 ? -code : -1;
}

/* Ends a message that did not fit with an ellipsis, at the start of a UTF-8 character. */
static void mark_cut(char *message)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    size_t at = WHERRY_ERROR_MAX - sizeof(ellipsis);

    while (at > 0 && ((unsigned char)message[at] & 0xc0) == 0x80)
        at--;
    memcpy(message + at, ellipsis, sizeof(ellipsis));
}

int wherry_error_set(struct wherry_error *err, int code, const char *format, ...)
{
    va_list args;
    int written;

    if (err == NULL)
        return negative(code);
    err->code = code;
    va_start(args, format);
    written = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (written >= 0 && written < WHERRY_ERROR_MAX && code > 0)
        written += snprintf(err->message + written, sizeof(err->message) - (size_t)written, ": %s", strerror(code));
    if (written >= WHERRY_ERROR_MAX)
        mark_cut(err->message);
    return negative(code);
}

int wherry_error_prefix(struct wherry_error *err, const char *format, ...)
{
    char rest[WHERRY_ERROR_MAX];
    va_list args;
    int written;

    if (err == NULL)
        return -1;
    memcpy(rest, err->message, sizeof(rest));
    va_start(args, format);
    written = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (written >= 0 && written < WHERRY_ERROR_MAX)
        written += snprintf(err->message + written, sizeof(err->message) - (size_t)written, ": %s", rest);
    if (written >= WHERRY_ERROR_MAX)
        mark_cut(err->message);
    return negative(err->code);
}
