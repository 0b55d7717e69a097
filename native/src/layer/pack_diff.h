/* A whole tree held against the layers below: what is the same is left out, what is missing becomes a whiteout. */
#pragma once

#include "layer/lowers.h"
#include "layer/pack_file.h"
#include "layer/walk.h"

struct wherry_pack_diff {
    struct wherry_lowers lowers;
    struct wherry_lower_stack stack; /* as deep as the walk; `done`: the directory is a member */
    bool item_is_same;               /* the last item is no change in itself */
    struct wherry_lower_set pending; /* of the last item, when it is a directory */
};

int wherry_pack_diff_open(struct wherry_pack_diff *diff, const struct wherry_pack_options *options,
                          struct wherry_error *err);
void wherry_pack_diff_close(struct wherry_pack_diff *diff);

/* Compares an item, and sees to it that the directories above it are members when it becomes one. */
int wherry_pack_diff_item(struct wherry_pack_diff *diff, struct wherry_walk *walk, const struct wherry_walk_item *item,
                          struct wherry_pack_writer *writer, struct wherry_error *err);

/* After the walk has entered the last item: writes whiteouts of what is missing in it. */
int wherry_pack_diff_entered(struct wherry_pack_diff *diff, struct wherry_walk *walk, struct wherry_pack_writer *writer,
                             struct wherry_error *err);

#define cleanup_pack_diff __attribute__((cleanup(wherry_pack_diff_close)))
