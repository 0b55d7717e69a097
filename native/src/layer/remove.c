/*
 * See wherry/remove.h. Directories are not descended into: a directory that has directories in it is emptied into the
 * top one by renames, each of them once, until none has any.
 */
#include "wherry/remove.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct removal {
    unsigned long serial; /* of the next name at the top */
    uint64_t left;        /* steps */
};

static DIR *open_list(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (list == NULL && fd >= 0)
        close(fd);
    return list;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Moves a directory to the top under a name that nothing has there. */
static int move_up(int from, const char *name, int top, struct removal *removal)
{
    char free_name[32];

    do {
        snprintf(free_name, sizeof(free_name), ".%lu", removal->serial++);
        if (renameat2(from, name, top, free_name, RENAME_NOREPLACE) == 0)
            return 0;
    } while (errno == EEXIST);
    return -errno;
}

/* Empties one directory of the top: files go, directories move up. */
static int empty(int top, const char *name, struct removal *removal)
{
    cleanup_closedir DIR *list = open_list(top, name);

    if (list == NULL)
        return -errno;
    for (struct dirent *item; (item = readdir(list)) != NULL;) {
        int ret;

        if (removal->left-- == 0)
            return -EBUSY;
        if (is_dots(item->d_name) || unlinkat(dirfd(list), item->d_name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return -errno;
        if (unlinkat(dirfd(list), item->d_name, AT_REMOVEDIR) == 0)
            continue;
        if (errno != ENOTEMPTY)
            return -errno;
        ret = move_up(dirfd(list), item->d_name, top, removal);
        if (ret < 0)
            return ret;
    }
    return 0;
}

/* One pass over the top directory; *again is set when directories may have moved into it. */
static int pass(DIR *list, struct removal *removal, bool *again)
{
    int top = dirfd(list);

    for (struct dirent *item; (item = readdir(list)) != NULL;) {
        int ret;

        if (removal->left-- == 0)
            return -EBUSY;
        if (is_dots(item->d_name) || unlinkat(top, item->d_name, 0) == 0 ||
            unlinkat(top, item->d_name, AT_REMOVEDIR) == 0)
            continue;
        if (errno != ENOTEMPTY)
            return -errno;
        *again = true;
        ret = empty(top, item->d_name, removal);
        if (ret < 0)
            return ret;
        if (unlinkat(top, item->d_name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY)
            return -errno;
    }
    return 0;
}

int wherry_remove_tree(int parent, const char *name, uint64_t most, struct wherry_error *err)
{
    cleanup_closedir DIR *list = open_list(parent, name);
    struct removal removal = {.left = most};
    bool again = true;

    if (list == NULL)
        return wherry_error_set(err, errno, "remove %.256s", name);
    while (again) {
        int ret;

        again = false;
        rewinddir(list);
        ret = pass(list, &removal, &again);
        if (ret < 0)
            return wherry_error_set(err, -ret, "remove %.256s", name);
    }
    if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
        return wherry_error_set(err, errno, "remove %.256s", name);
    return 0;
}
