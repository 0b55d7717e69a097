/* See compare.h. */
#include "layer/compare.h"

#include "layer/xattr.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static bool same_status(const struct stat *one, const struct stat *other)
{
    bool is_node = S_ISCHR(one->st_mode) || S_ISBLK(one->st_mode);

    return one->st_mode == other->st_mode && one->st_uid == other->st_uid && one->st_gid == other->st_gid &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec &&
           (!is_node || one->st_rdev == other->st_rdev) && (S_ISDIR(one->st_mode) || one->st_size == other->st_size);
}

static bool same_target(int one, int other)
{
    char targets[2][PATH_MAX];
    ssize_t length = readlinkat(one, "", targets[0], PATH_MAX);

    return length >= 0 && readlinkat(other, "", targets[1], PATH_MAX) == length &&
           memcmp(targets[0], targets[1], (size_t)length) == 0;
}

static bool same_set(const struct wherry_xattr_set *one, const struct wherry_xattr_set *other)
{
    if (one->count != other->count)
        return false;
    for (size_t i = 0; i < one->count; i++)
        if (strcmp(one->items[i].name, other->items[i].name) != 0 || one->items[i].length != other->items[i].length ||
            memcmp(one->items[i].value, other->items[i].value, one->items[i].length) != 0)
            return false;
    return true;
}

static int same_xattrs(int one, int other, struct wherry_error *err)
{
    static const struct wherry_id_maps unshifted;
    struct wherry_xattr_set sets[2];
    int ret = wherry_xattr_read(one, &unshifted, &sets[0], err);

    if (ret == 0)
        ret = wherry_xattr_read(other, &unshifted, &sets[1], err);
    else
        memset(&sets[1], 0, sizeof(sets[1]));
    if (ret == 0)
        ret = same_set(&sets[0], &sets[1]);
    wherry_xattr_clear(&sets[0]);
    wherry_xattr_clear(&sets[1]);
    return ret;
}

int wherry_compare_lower(const struct wherry_lowers *lowers, const struct wherry_lower *lower, int fd,
                         const struct stat *status, const char *path, struct wherry_error *err)
{
    cleanup_close int other = -1;

    if (!lower->found || !same_status(status, &lower->status))
        return 0;
    other = wherry_paths_open_no_links(lowers->fds[lower->layer], path, O_PATH | O_NOFOLLOW, err);
    if (other < 0)
        return other;
    if (S_ISLNK(status->st_mode))
        return same_target(fd, other);
    return same_xattrs(fd, other, err);
}
