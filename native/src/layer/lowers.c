/* See lowers.h. */
#include "layer/lowers.h"

#include "layer/whiteout.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int wherry_lowers_open(struct wherry_lowers *lowers, const char *const *directories, size_t count, bool user_xattr,
                       struct wherry_error *err)
{
    *lowers = (struct wherry_lowers){.fds = calloc(count + 1, sizeof(*lowers->fds)), .user_xattr = user_xattr};
    if (lowers->fds == NULL)
        return wherry_error_set(err, ENOMEM, "lower layers");
    for (; lowers->count < count; lowers->count++) {
        const char *name = directories[lowers->count];
        int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            return wherry_error_set(err, errno, "lower layer %s", name);
        lowers->fds[lowers->count] = fd;
    }
    return 0;
}

void wherry_lowers_close(struct wherry_lowers *lowers)
{
    for (size_t i = 0; i < lowers->count; i++)
        close(lowers->fds[i]);
    free(lowers->fds);
    *lowers = (struct wherry_lowers){.count = 0};
}

void wherry_lower_set_free(struct wherry_lower_set *set)
{
    free(set->layers);
    *set = (struct wherry_lower_set){.count = 0};
}

int wherry_lowers_root(const struct wherry_lowers *lowers, struct wherry_lower_set *set, struct wherry_error *err)
{
    set->layers = calloc(lowers->count + 1, sizeof(*set->layers));
    if (set->layers == NULL)
        return wherry_error_set(err, ENOMEM, "lower layers");
    for (set->count = 0; set->count < lowers->count; set->count++)
        set->layers[set->count] = set->count;
    return 0;
}

/* Takes what one layer has under the name into account. 1 when those below it do not count any more. */
static int take(const struct wherry_lowers *lowers, size_t layer, const char *path, struct wherry_lower *lower,
                struct wherry_error *err)
{
    cleanup_close int fd = wherry_paths_open_no_links(lowers->fds[layer], path, O_PATH | O_NOFOLLOW, err);
    struct stat status;
    bool is_directory;

    if (fd == -ENOENT || fd == -ENOTDIR)
        return 0;
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0)
        return wherry_error_set(err, errno, "%.256s in a lower layer", path);
    is_directory = S_ISDIR(status.st_mode);
    if (wherry_whiteout_is(&status) || (lower->found && !is_directory))
        return 1;
    if (!lower->found) {
        lower->found = true;
        lower->layer = (int)layer;
        lower->status = status;
    }
    if (!is_directory)
        return 1;
    lower->set.layers[lower->set.count++] = layer;
    return wherry_whiteout_is_opaque(fd, lowers->user_xattr);
}

int wherry_lowers_find(const struct wherry_lowers *lowers, const struct wherry_lower_set *parent, const char *path,
                       struct wherry_lower *lower, struct wherry_error *err)
{
    int ret = 0;

    *lower = (struct wherry_lower){.set.layers = calloc(parent->count + 1, sizeof(*parent->layers))};
    if (lower->set.layers == NULL)
        return wherry_error_set(err, ENOMEM, "lower layers");
    for (size_t i = 0; i < parent->count && ret == 0; i++)
        ret = take(lowers, parent->layers[i], path, lower, err);
    if (ret < 0)
        wherry_lower_set_free(&lower->set);
    return ret < 0 ? ret : 0;
}

int wherry_lowers_list(const struct wherry_lowers *lowers, const struct wherry_lower_set *set, const char *path,
                       struct wherry_names *names, struct wherry_error *err)
{
    int ret = 0;

    for (size_t i = 0; i < set->count && ret == 0; i++) {
        const char *name = path[0] != '\0' ? path : ".";
        cleanup_close int fd =
            wherry_paths_open_no_links(lowers->fds[set->layers[i]], name, O_RDONLY | O_DIRECTORY, err);

        ret = fd < 0 ? fd : wherry_names_read(names, fd, err);
    }
    return ret < 0 ? ret : wherry_names_sort(names, false, err);
}

int wherry_lower_stack_push(struct wherry_lower_stack *stack, struct wherry_lower_set *set, struct wherry_error *err)
{
    if (stack->depth == stack->room) {
        size_t room = 2 * stack->room + 16;
        struct wherry_lower_set *grown = realloc(stack->sets, room * sizeof(*grown));

        if (grown == NULL) {
            wherry_lower_set_free(set);
            return wherry_error_set(err, ENOMEM, "lower layers");
        }
        stack->sets = grown;
        stack->room = room;
    }
    stack->sets[stack->depth++] = *set;
    *set = (struct wherry_lower_set){.count = 0};
    return 0;
}

void wherry_lower_stack_cut(struct wherry_lower_stack *stack, size_t depth)
{
    while (stack->depth > depth)
        wherry_lower_set_free(&stack->sets[--stack->depth]);
}

void wherry_lower_stack_free(struct wherry_lower_stack *stack)
{
    wherry_lower_stack_cut(stack, 0);
    free(stack->sets);
    *stack = (struct wherry_lower_stack){.depth = 0};
}
