/*
 * Memory with one lifetime: what a parsed document needs lives in one arena and is given back at once.
 */
#pragma once

#include <stddef.h>

struct wherry_arena_block;

struct wherry_arena {
    struct wherry_arena_block *blocks;
};

#define WHERRY_ARENA_INIT                                                                                              \
    {                                                                                                                  \
        .blocks = NULL                                                                                                 \
    }

/* `count` objects of `size` bytes, zeroed and aligned for any type. NULL when memory is out or the product overflows.
 */
void *wherry_arena_array(struct wherry_arena *arena, size_t count, size_t size);

/* A formatted string. NULL when memory is out. */
char *wherry_arena_format(struct wherry_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Gives everything back; the arena can be used again. */
void wherry_arena_free(struct wherry_arena *arena);
