/*
 * What the layers below show together, looked up without a mount: the topmost of a name counts, a whiteout hides it,
 * and directories are one unless an opaque one or something else lies between (Documentation/filesystems/overlayfs).
 */
#pragma once

#include "layer/names.h"
#include "wherry/error.h"

#include <stdbool.h>
#include <sys/stat.h>

struct wherry_lowers {
    int *fds; /* the top one first; owned */
    size_t count;
    bool user_xattr;
};

/* The layers that make up one directory, by their index. */
struct wherry_lower_set {
    size_t *layers; /* owned */
    size_t count;
    bool opaque; /* the upper directory, or one above it, hides them all */
    bool done;   /* for whoever goes over the tree: the directory has been dealt with itself */
};

/* The sets of the directories on the way down. */
struct wherry_lower_stack {
    struct wherry_lower_set *sets; /* owned */
    size_t depth, room;
};

/* What a name is in the layers below. */
struct wherry_lower {
    bool found;
    int layer; /* the topmost that has it */
    struct stat status;
    struct wherry_lower_set set; /* of a directory; owned */
};

int wherry_lowers_open(struct wherry_lowers *lowers, const char *const *directories, size_t count, bool user_xattr,
                       struct wherry_error *err);
void wherry_lowers_close(struct wherry_lowers *lowers);

/* All of them, which the root is made of. */
int wherry_lowers_root(const struct wherry_lowers *lowers, struct wherry_lower_set *set, struct wherry_error *err);
void wherry_lower_set_free(struct wherry_lower_set *set);

/* Takes the set over, also on failure. */
int wherry_lower_stack_push(struct wherry_lower_stack *stack, struct wherry_lower_set *set, struct wherry_error *err);
void wherry_lower_stack_cut(struct wherry_lower_stack *stack, size_t depth);
void wherry_lower_stack_free(struct wherry_lower_stack *stack);

/* Looks `path` up, whose parent directory is made of `parent`. */
int wherry_lowers_find(const struct wherry_lowers *lowers, const struct wherry_lower_set *parent, const char *path,
                       struct wherry_lower *lower, struct wherry_error *err);

/* All names that any of `set` has in the directory `path`, hidden ones too, sorted. */
int wherry_lowers_list(const struct wherry_lowers *lowers, const struct wherry_lower_set *set, const char *path,
                       struct wherry_names *names, struct wherry_error *err);
