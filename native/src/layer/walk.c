/* See walk.h. */
#include "layer/walk.h"

#include "layer/names.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct wherry_walk_level {
    int fd; /* -1: to be opened again */
    dev_t device;
    ino_t inode;
    size_t path_length; /* of the directory's own path */
    size_t at;
    struct wherry_names names;
};

static struct wherry_walk_level *top_of(const struct wherry_walk *walk)
{
    return &walk->levels[walk->depth - 1];
}

static void drop_item(struct wherry_walk *walk)
{
    if (walk->item >= 0)
        close(walk->item);
    walk->item = -1;
}

static void leave(struct wherry_walk *walk)
{
    struct wherry_walk_level *level = top_of(walk);

    wherry_names_free(&level->names);
    if (level->fd >= 0)
        close(level->fd);
    walk->depth--;
}

void wherry_walk_close(struct wherry_walk *walk)
{
    drop_item(walk);
    while (walk->depth > 0)
        leave(walk);
    free(walk->levels);
    walk->levels = NULL;
}

static int make_room(struct wherry_walk *walk, struct wherry_error *err)
{
    struct wherry_walk_level *grown;

    if (walk->depth < walk->room)
        return 0;
    walk->room = 2 * walk->room + 16;
    grown = realloc(walk->levels, walk->room * sizeof(*grown));
    if (grown == NULL)
        return wherry_error_set(err, ENOMEM, "walk a tree");
    walk->levels = grown;
    return 0;
}

/* Takes `fd` over. */
static int push(struct wherry_walk *walk, int fd, struct wherry_error *err)
{
    cleanup_close int owned = fd;
    struct wherry_walk_level *level;
    struct stat status;
    int ret = make_room(walk, err);

    if (ret < 0)
        return ret;
    if (fstat(fd, &status) < 0)
        return wherry_error_set(err, errno, "look at a directory");
    level = &walk->levels[walk->depth];
    *level = (struct wherry_walk_level){.fd = -1, .device = status.st_dev, .inode = status.st_ino};
    level->path_length = strlen(walk->path);
    ret = wherry_names_read(&level->names, fd, err);
    if (ret == 0)
        ret = wherry_names_sort(&level->names, walk->nodes_first, err);
    if (ret < 0) {
        wherry_names_free(&level->names);
        return wherry_error_prefix(err, "%.256s", walk->path);
    }
    level->fd = wherry_steal_fd(&owned);
    /* The first one stays: it is the way to all others. */
    if (walk->depth > WHERRY_WALK_OPEN_MAX) {
        struct wherry_walk_level *far = &walk->levels[walk->depth - WHERRY_WALK_OPEN_MAX];

        if (far->fd >= 0)
            close(far->fd);
        far->fd = -1;
    }
    walk->depth++;
    return 0;
}

int wherry_walk_open(struct wherry_walk *walk, int top, bool nodes_first, struct wherry_error *err)
{
    *walk = (struct wherry_walk){.nodes_first = nodes_first, .item = -1};
    return push(walk, top, err);
}

int wherry_walk_enter(struct wherry_walk *walk, int fd, struct wherry_error *err)
{
    drop_item(walk);
    return push(walk, fd, err);
}

/* Opens the directory again that is now the last one. Whoever moved it meanwhile loses what is left of it. */
static bool is_open(struct wherry_walk *walk, struct wherry_walk_level *level)
{
    char *end = walk->path + level->path_length;
    char kept = *end;
    struct stat status;

    if (level->fd >= 0)
        return true;
    *end = '\0';
    level->fd = wherry_paths_open_no_links(walk->levels[0].fd, walk->path, O_RDONLY | O_DIRECTORY, NULL);
    *end = kept;
    if (level->fd < 0)
        return false;
    return fstat(level->fd, &status) == 0 && status.st_dev == level->device && status.st_ino == level->inode;
}

static int name_item(struct wherry_walk *walk, const struct wherry_walk_level *level, const char *name,
                     struct wherry_error *err)
{
    size_t length = strlen(name);

    if (level->path_length + 1 + length + 1 >= sizeof(walk->path)) {
        walk->path[level->path_length] = '\0';
        return wherry_error_set(err, ENAMETOOLONG, "%.256s…/%.64s", walk->path, name);
    }
    if (level->path_length > 0)
        walk->path[level->path_length] = '/';
    memcpy(walk->path + level->path_length + (level->path_length > 0), name, length + 1);
    return 0;
}

int wherry_walk_next(struct wherry_walk *walk, struct wherry_walk_item *item, struct wherry_error *err)
{
    drop_item(walk);
    while (walk->depth > 0) {
        struct wherry_walk_level *level = top_of(walk);
        const char *name;
        int ret;

        if (level->at == level->names.count || !is_open(walk, level)) {
            leave(walk);
            continue;
        }
        name = level->names.items[level->at++];
        ret = name_item(walk, level, name, err);
        if (ret < 0)
            return ret;
        walk->item = openat(level->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (walk->item < 0 && errno == ENOENT)
            continue; /* gone meanwhile */
        if (walk->item < 0 || fstat(walk->item, &item->status) < 0)
            return wherry_error_set(err, errno, "%.256s", walk->path);
        item->path = walk->path;
        item->name = name;
        item->fd = walk->item;
        return 1;
    }
    return 0;
}

int wherry_walk_directory(struct wherry_walk *walk, size_t level, size_t *path_length)
{
    struct wherry_walk_level *wanted = &walk->levels[level];

    *path_length = wanted->path_length;
    return is_open(walk, wanted) ? wanted->fd : -1;
}

bool wherry_walk_has(const struct wherry_walk *walk, const char *name)
{
    const struct wherry_names *names = &top_of(walk)->names;

    for (size_t from = 0, to = names->count; from < to;) {
        size_t middle = from + (to - from) / 2;
        int order = strcmp(name, names->items[middle]);

        if (order == 0)
            return true;
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return false;
}
