/* See wherry/changes.h. */
#include "wherry/changes.h"

#include "layer/compare.h"
#include "layer/walk.h"
#include "layer/whiteout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct comparison {
    struct wherry_lowers lowers;
    struct wherry_lower_stack stack; /* as deep as the walk; `done`: the directory is listed */
    struct wherry_walk walk;
    struct wherry_changes *changes;
    size_t room;
};

static int append(struct comparison *comparison, enum wherry_change_kind kind, const char *path, size_t length,
                  struct wherry_error *err)
{
    struct wherry_changes *changes = comparison->changes;

    if (comparison->room - changes->length < length + 3) {
        size_t room = 2 * comparison->room + length + 1024;
        char *grown = realloc(changes->text, room);

        if (grown == NULL)
            return wherry_error_set(err, ENOMEM, "changes");
        changes->text = grown;
        comparison->room = room;
    }
    changes->text[changes->length++] = (char)kind;
    changes->text[changes->length++] = '/';
    memcpy(changes->text + changes->length, path, length);
    changes->length += length;
    changes->text[changes->length++] = '\0';
    changes->count++;
    return 0;
}

/* Lists one change, and the directory that it is in when that became another by it. The root is never listed. */
static int list(struct comparison *comparison, enum wherry_change_kind kind, const char *path, struct wherry_error *err)
{
    size_t depth = comparison->stack.depth;
    struct wherry_lower_set *parent = &comparison->stack.sets[depth - 1];

    if (kind != WHERRY_CHANGE_MODIFIED && depth > 1 && !parent->done) {
        int ret = append(comparison, WHERRY_CHANGE_MODIFIED, path, (size_t)(strrchr(path, '/') - path), err);

        if (ret < 0)
            return ret;
        parent->done = true;
    }
    return append(comparison, kind, path, strlen(path), err);
}

/* What an opaque directory hides and has not itself. */
static int list_hidden(struct comparison *comparison, const char *directory, struct wherry_error *err)
{
    const struct wherry_lower_set *set = &comparison->stack.sets[comparison->stack.depth - 1];
    struct wherry_names names = {.text = NULL};
    int ret = wherry_lowers_list(&comparison->lowers, set, directory, &names, err);

    for (size_t i = 0; i < names.count && ret == 0 && names.items != NULL; i++) {
        struct wherry_lower lower;
        char path[2 * PATH_MAX];

        if (wherry_walk_has(&comparison->walk, names.items[i]))
            continue;
        snprintf(path, sizeof(path), "%s/%s", directory, names.items[i]);
        ret = wherry_lowers_find(&comparison->lowers, set, path, &lower, err);
        if (ret < 0)
            break;
        wherry_lower_set_free(&lower.set);
        ret = lower.found ? list(comparison, WHERRY_CHANGE_DELETED, path, err) : 0;
    }
    wherry_names_free(&names);
    return ret;
}

/* Goes into a directory that is the last item. */
static int enter(struct comparison *comparison, const struct wherry_walk_item *item, struct wherry_lower *lower,
                 bool is_listed, struct wherry_error *err)
{
    const struct wherry_lower_set *parent = &comparison->stack.sets[comparison->stack.depth - 1];
    cleanup_close int fd = openat(item->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char directory[PATH_MAX];
    int ret;

    if (fd < 0)
        return wherry_error_set(err, errno, "%.256s", item->path);
    lower->set.opaque = parent->opaque || wherry_whiteout_is_opaque(fd, comparison->lowers.user_xattr);
    lower->set.done = is_listed;
    strcpy(directory, item->path);
    ret = wherry_walk_enter(&comparison->walk, wherry_steal_fd(&fd), err);
    if (ret == 0)
        ret = wherry_lower_stack_push(&comparison->stack, &lower->set, err);
    if (ret == 0 && comparison->stack.sets[comparison->stack.depth - 1].opaque)
        ret = list_hidden(comparison, directory, err);
    return ret;
}

static int compare_item(struct comparison *comparison, const struct wherry_walk_item *item, struct wherry_lower *lower,
                        struct wherry_error *err)
{
    enum wherry_change_kind kind = lower->found ? WHERRY_CHANGE_MODIFIED : WHERRY_CHANGE_ADDED;
    bool is_directory = S_ISDIR(item->status.st_mode);
    int same = 0, ret = 0;

    if (wherry_whiteout_is(&item->status))
        return lower->found ? list(comparison, WHERRY_CHANGE_DELETED, item->path, err) : 0;
    if (is_directory)
        same = wherry_compare_lower(&comparison->lowers, lower, item->fd, &item->status, item->path, err);
    if (same < 0)
        return same;
    if (!same)
        ret = list(comparison, kind, item->path, err);
    return ret == 0 && is_directory ? enter(comparison, item, lower, !same, err) : ret;
}

static int compare_all(struct comparison *comparison, struct wherry_error *err)
{
    struct wherry_walk_item item;
    int ret;

    while ((ret = wherry_walk_next(&comparison->walk, &item, err)) > 0) {
        struct wherry_lower lower;

        wherry_lower_stack_cut(&comparison->stack, comparison->walk.depth);
        ret = wherry_lowers_find(&comparison->lowers, &comparison->stack.sets[comparison->stack.depth - 1], item.path,
                                 &lower, err);
        if (ret == 0) {
            ret = compare_item(comparison, &item, &lower, err);
            wherry_lower_set_free(&lower.set);
        }
        if (ret < 0)
            return ret;
    }
    return ret;
}

int wherry_changes_list(const char *upper, const char *const *lower, size_t count, bool user_xattr,
                        struct wherry_changes *changes, struct wherry_error *err)
{
    struct comparison comparison = {.changes = changes, .walk.item = -1};
    struct wherry_lower_set root = {.done = true};
    int top = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int ret;

    *changes = (struct wherry_changes){.text = NULL};
    if (top < 0)
        return wherry_error_set(err, errno, "upper directory %s", upper);
    ret = wherry_walk_open(&comparison.walk, top, false, err);
    if (ret == 0)
        ret = wherry_lowers_open(&comparison.lowers, lower, count, user_xattr, err);
    if (ret == 0)
        ret = wherry_lowers_root(&comparison.lowers, &root, err);
    if (ret == 0)
        ret = wherry_lower_stack_push(&comparison.stack, &root, err);
    if (ret == 0)
        ret = compare_all(&comparison, err);
    wherry_lower_stack_free(&comparison.stack);
    wherry_lowers_close(&comparison.lowers);
    wherry_walk_close(&comparison.walk);
    if (ret < 0) {
        free(changes->text);
        *changes = (struct wherry_changes){.text = NULL};
    }
    return ret;
}
