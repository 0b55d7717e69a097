/* Text in JSON strings, as the log and the record need it. */
#pragma once

#include <stddef.h>

#define JSON_ESCAPED_MAX 6 /* bytes that one byte can become: \u00XX */

/* Escapes `length` bytes for a JSON string into `out` (room for JSON_ESCAPED_MAX bytes each); what is not UTF-8
 * becomes U+FFFD. Returns the length. */
size_t log_json_escape(char *out, const char *data, size_t length);
