/* Files with several names: under which the archive has each of them already. */
#pragma once

#include "wherry/error.h"

#include <stddef.h>
#include <sys/stat.h>

struct wherry_link;

struct wherry_links {
    struct wherry_link *slots; /* owned; a hash table */
    size_t count, room;
};

/* *first is set to the path under which the file came first, or to NULL when this one is the first. */
int wherry_links_find(struct wherry_links *links, const struct stat *status, const char *path, const char **first,
                      struct wherry_error *err);
void wherry_links_free(struct wherry_links *links);
