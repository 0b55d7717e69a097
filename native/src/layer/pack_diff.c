/* See pack_diff.h. */
#include "layer/pack_diff.h"

#include "layer/compare.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int wherry_pack_diff_open(struct wherry_pack_diff *diff, const struct wherry_pack_options *options,
                          struct wherry_error *err)
{
    int ret = wherry_lowers_open(&diff->lowers, options->lower, options->lower_count, options->user_xattr, err);

    diff->item_is_same = true; /* the root is no member */
    return ret < 0 ? ret : wherry_lowers_root(&diff->lowers, &diff->pending, err);
}

void wherry_pack_diff_close(struct wherry_pack_diff *diff)
{
    wherry_lower_stack_free(&diff->stack);
    wherry_lower_set_free(&diff->pending);
    wherry_lowers_close(&diff->lowers);
}

static const struct wherry_lower_set *top_of(const struct wherry_pack_diff *diff)
{
    return &diff->stack.sets[diff->stack.depth - 1];
}

/* Directories that are the same in themselves become members because of what is in them: without its own attributes a
 * directory would get those of nobody when the layer is unpacked. */
static int write_parents(struct wherry_pack_diff *diff, struct wherry_walk *walk, struct wherry_pack_writer *writer,
                         struct wherry_error *err)
{
    for (size_t level = 1; level < diff->stack.depth; level++) {
        struct wherry_xattr_set xattrs;
        char path[PATH_MAX];
        struct stat status;
        size_t length = 0;
        int fd, ret;

        if (diff->stack.sets[level].done)
            continue;
        fd = wherry_walk_directory(walk, level, &length);
        if (fd < 0 || fstat(fd, &status) < 0)
            return wherry_error_set(err, ESTALE, "%.256s: a directory above it was moved meanwhile", walk->path);
        memcpy(path, walk->path, length);
        path[length] = '\0';
        ret = wherry_xattr_read(fd, &writer->options->ids, &xattrs, err);
        if (ret == 0) {
            ret = wherry_pack_write(writer, fd, path, &status, &xattrs, err);
            wherry_xattr_clear(&xattrs);
        }
        if (ret < 0)
            return ret;
        diff->stack.sets[level].done = true;
    }
    return 0;
}

int wherry_pack_diff_item(struct wherry_pack_diff *diff, struct wherry_walk *walk, const struct wherry_walk_item *item,
                          struct wherry_pack_writer *writer, struct wherry_error *err)
{
    struct wherry_lower lower;
    int ret;

    wherry_lower_stack_cut(&diff->stack, walk->depth);
    wherry_lower_set_free(&diff->pending);
    ret = wherry_lowers_find(&diff->lowers, top_of(diff), item->path, &lower, err);
    if (ret < 0)
        return ret;
    diff->pending = lower.set;
    ret = wherry_compare_lower(&diff->lowers, &lower, item->fd, &item->status, item->path, err);
    if (ret < 0)
        return ret;
    diff->item_is_same = ret > 0;
    return diff->item_is_same ? 0 : write_parents(diff, walk, writer, err);
}

/* Writes a whiteout unless the name was hidden below already. */
static int hide(struct wherry_pack_diff *diff, struct wherry_walk *walk, const char *directory, const char *name,
                struct wherry_pack_writer *writer, struct wherry_error *err)
{
    struct wherry_lower lower;
    char path[PATH_MAX];
    int ret;

    if ((size_t)snprintf(path, sizeof(path), "%s%s%s", directory, directory[0] != '\0' ? "/" : "", name) >=
        sizeof(path))
        return wherry_error_set(err, ENAMETOOLONG, "%.256s…", path);
    ret = wherry_lowers_find(&diff->lowers, top_of(diff), path, &lower, err);
    if (ret < 0)
        return ret;
    wherry_lower_set_free(&lower.set);
    if (!lower.found)
        return 0;
    ret = write_parents(diff, walk, writer, err);
    return ret < 0 ? ret : wherry_pack_whiteout(writer, directory, name, err);
}

int wherry_pack_diff_entered(struct wherry_pack_diff *diff, struct wherry_walk *walk, struct wherry_pack_writer *writer,
                             struct wherry_error *err)
{
    struct wherry_names names = {.text = NULL};
    char directory[PATH_MAX];
    size_t length = 0;
    int ret;

    diff->pending.done = !diff->item_is_same;
    ret = wherry_lower_stack_push(&diff->stack, &diff->pending, err);

    if (ret < 0)
        return ret;
    wherry_walk_directory(walk, walk->depth - 1, &length);
    memcpy(directory, walk->path, length);
    directory[length] = '\0';
    ret = wherry_lowers_list(&diff->lowers, top_of(diff), directory, &names, err);
    for (size_t i = 0; i < names.count && ret == 0 && names.items != NULL; i++)
        if (!wherry_walk_has(walk, names.items[i]))
            ret = hide(diff, walk, directory, names.items[i], writer, err);
    wherry_names_free(&names);
    return ret;
}
