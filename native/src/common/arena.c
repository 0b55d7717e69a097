/* Memory with one lifetime; see wherry/arena.h. */
#include "wherry/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Each block is one allocation: AddressSanitizer then sees every overrun, and there is nothing to tune. */
struct wherry_arena_block {
    struct wherry_arena_block *next;
    max_align_t data[];
};

void *wherry_arena_array(struct wherry_arena *arena, size_t count, size_t size)
{
    struct wherry_arena_block *block;

    if (size != 0 && count > (SIZE_MAX - sizeof(*block)) / size)
        return NULL;
    block = calloc(1, sizeof(*block) + count * size);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

char *wherry_arena_format(struct wherry_arena *arena, const char *format, ...)
{
    va_list args;
    int length;
    char *text;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0)
        return NULL;
    text = wherry_arena_array(arena, (size_t)length + 1, 1);
    if (text == NULL)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

void wherry_arena_free(struct wherry_arena *arena)
{
    struct wherry_arena_block *block = arena->blocks;

    while (block != NULL) {
        struct wherry_arena_block *next = block->next;

        free(block);
        block = next;
    }
    arena->blocks = NULL;
}
