/*
 * The words of JSON (RFC 8259, sections 2 to 7): what json-c takes beyond them is refused before it sees the text:
 * strings and keys in single quotes, NaN and Infinity, numbers such as "01" and "1.", control characters in strings.
 * That the words stand in the right order is left to json-c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* NULL when all words are in order; else what is wrong, with its place in *offset. */
const char *json_syntax_check(const char *text, size_t length, size_t *offset);

/*
 * Where in a document, whose words are in order, the object stands that the key `inner` has in the object that the key
 * `outer` has at the top: from *start up to *end. False when there is none, and when it could be meant to be another:
 * when a key stands twice, or is spelt with escapes.
 */
bool json_syntax_find(const char *text, size_t length, const char *outer, const char *inner, size_t *start,
                      size_t *end);
