/* The names in one directory, sorted by their bytes. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>

struct wherry_names {
    char *text;   /* one after the other, each behind a byte that is its type (readdir(3), d_type); owned */
    char **items; /* owned */
    size_t count, length, room, item_room;
};

/* Adds what is in the directory `fd`, from its start, without "." and "..". Types are always known. */
int wherry_names_read(struct wherry_names *names, int fd, struct wherry_error *err);

/* Sorts, and drops what is there twice. With `nodes_first` character devices come before all others. */
int wherry_names_sort(struct wherry_names *names, bool nodes_first, struct wherry_error *err);
void wherry_names_free(struct wherry_names *names);

static inline unsigned char wherry_names_type(const char *item)
{
    return (unsigned char)item[-1];
}
