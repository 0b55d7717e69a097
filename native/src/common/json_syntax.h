/*
 * The words of JSON (RFC 8259, sections 2 to 7): what json-c takes beyond them is refused before it sees the text:
 * strings and keys in single quotes, NaN and Infinity, numbers such as "01" and "1.", control characters in strings.
 * That the words stand in the right order is left to json-c.
 */
#pragma once

#include <stddef.h>

/* NULL when all words are in order; else what is wrong, with its place in *offset. */
const char *json_syntax_check(const char *text, size_t length, size_t *offset);
