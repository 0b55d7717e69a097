/*
 * Sets of small numbers written as the kernel writes lists of CPUs and memory nodes: "0-3,7" (cpuset(7), "List
 * format").
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>

/* More CPUs and nodes than any kernel is built for (8192 and 1024). */
#define WHERRY_ID_SET_MAX 8192
#define WHERRY_ID_SET_WORD_BITS (8 * sizeof(unsigned long))

/* As sched_setaffinity(2) and set_mempolicy(2) take them: number n is bit n, the lowest word first. */
struct wherry_id_set {
    unsigned long words[WHERRY_ID_SET_MAX / WHERRY_ID_SET_WORD_BITS];
};

/* Reads a list; blanks around numbers are allowed, an empty text is the empty set. `where` names the field in errors.
 */
int wherry_id_set_parse(const char *text, const char *where, struct wherry_id_set *set, struct wherry_error *err);

bool wherry_id_set_is_empty(const struct wherry_id_set *set);
bool wherry_id_set_has(const struct wherry_id_set *set, unsigned number);

/* All numbers that there are. */
void wherry_id_set_fill(struct wherry_id_set *set);
