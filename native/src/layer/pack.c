/* The loop over the files of a tree; see wherry/pack.h. */
#include "wherry/pack.h"

#include "layer/pack_diff.h"
#include "layer/pack_file.h"
#include "layer/walk.h"
#include "layer/whiteout.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static bool is_named_like_a_whiteout(const char *name)
{
    return strncmp(name, ".wh.", 4) == 0;
}

/* Attributes by which overlayfs says that content is elsewhere. */
static int refuse_redirects(const struct wherry_pack_writer *writer, const char *path,
                            const struct wherry_xattr_set *xattrs, struct wherry_error *err)
{
    static const char *const names[2][2] = {{"trusted.overlay.redirect", "trusted.overlay.metacopy"},
                                            {"user.overlay.redirect", "user.overlay.metacopy"}};

    for (int i = 0; i < 2; i++) {
        const char *name = names[writer->options->user_xattr][i];

        if (wherry_xattr_has_name(xattrs, name))
            return wherry_error_set(err, EINVAL, "%.256s: %s: the upper directory does not hold all of it", path, name);
    }
    return 0;
}

/* Whether an item is only there because something was mounted on it: that is no part of what the container wrote. */
static bool is_place_of_mount(const struct wherry_pack_options *options, const struct wherry_walk_item *item)
{
    if (!S_ISDIR(item->status.st_mode) && !(S_ISREG(item->status.st_mode) && item->status.st_size == 0))
        return false;
    for (size_t i = 0; i < options->place_count; i++) {
        if (strcmp(options->places[i], item->path) == 0)
            return true;
    }
    return false;
}

/* Opens a directory that is an item, writes it unless it is unchanged, and goes into it. */
static int pack_directory(struct wherry_pack_writer *writer, struct wherry_walk *walk,
                          const struct wherry_walk_item *item, struct wherry_pack_diff *diff, struct wherry_error *err)
{
    cleanup_close int fd = openat(item->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct wherry_xattr_set xattrs;
    int ret;

    if (fd < 0)
        return errno == ENOENT ? 0 : wherry_error_set(err, errno, "%.256s", item->path);
    ret = wherry_xattr_read(fd, &writer->options->ids, &xattrs, err);
    if (ret < 0)
        return wherry_error_prefix(err, "%.256s", item->path);
    if (writer->options->form == WHERRY_PACK_UPPER)
        ret = refuse_redirects(writer, item->path, &xattrs, err);
    if (ret == 0 && (diff == NULL || !diff->item_is_same) && !is_place_of_mount(writer->options, item))
        ret = wherry_pack_write(writer, fd, item->path, &item->status, &xattrs, err);
    if (ret == 0 && writer->options->form == WHERRY_PACK_UPPER &&
        wherry_whiteout_is_opaque(fd, writer->options->user_xattr))
        ret = wherry_pack_whiteout(writer, item->path, NULL, err);
    wherry_xattr_clear(&xattrs);
    if (ret < 0)
        return ret;
    ret = wherry_walk_enter(walk, wherry_steal_fd(&fd), err);
    return ret == 0 && diff != NULL ? wherry_pack_diff_entered(diff, walk, writer, err) : ret;
}

static int pack_other(struct wherry_pack_writer *writer, const struct wherry_walk_item *item, struct wherry_error *err)
{
    struct wherry_xattr_set xattrs;
    int ret;

    if (is_place_of_mount(writer->options, item))
        return 0;
    ret = wherry_xattr_read(item->fd, &writer->options->ids, &xattrs, err);
    if (ret < 0)
        return wherry_error_prefix(err, "%.256s", item->path);
    if (writer->options->form == WHERRY_PACK_UPPER)
        ret = refuse_redirects(writer, item->path, &xattrs, err);
    if (ret == 0)
        ret = wherry_pack_write(writer, item->fd, item->path, &item->status, &xattrs, err);
    wherry_xattr_clear(&xattrs);
    return ret;
}

static int pack_item(struct wherry_pack_writer *writer, struct wherry_walk *walk, const struct wherry_walk_item *item,
                     struct wherry_pack_diff *diff, struct wherry_error *err)
{
    enum wherry_pack_form form = writer->options->form;
    int ret;

    if (S_ISSOCK(item->status.st_mode))
        return 0;
    if (form == WHERRY_PACK_UPPER && wherry_whiteout_is(&item->status)) {
        size_t directory = (size_t)(item->path + strlen(item->path) - strlen(item->name) - item->path);
        char parent[PATH_MAX];

        memcpy(parent, item->path, directory);
        parent[directory > 0 ? directory - 1 : 0] = '\0';
        return wherry_pack_whiteout(writer, parent, item->name, err);
    }
    if (form != WHERRY_PACK_TREE && is_named_like_a_whiteout(item->name))
        return wherry_error_set(err, EINVAL, "%.256s: a layer cannot hold this name, it means a whiteout there",
                                item->path);
    if (diff != NULL) {
        ret = wherry_pack_diff_item(diff, walk, item, writer, err);
        if (ret < 0 || (diff->item_is_same && !S_ISDIR(item->status.st_mode)))
            return ret;
    }
    return S_ISDIR(item->status.st_mode) ? pack_directory(writer, walk, item, diff, err)
                                         : pack_other(writer, item, err);
}

/* All that is below `top`, which is taken over. */
static int pack_tree(struct wherry_pack_writer *writer, int top, struct wherry_pack_diff *diff,
                     struct wherry_error *err)
{
    struct wherry_walk walk;
    struct wherry_walk_item item;
    int ret = wherry_walk_open(&walk, top, writer->options->form == WHERRY_PACK_UPPER, err);

    if (ret == 0 && diff != NULL)
        ret = wherry_pack_diff_entered(diff, &walk, writer, err);
    while (ret == 0 && (ret = wherry_walk_next(&walk, &item, err)) > 0)
        ret = pack_item(writer, &walk, &item, diff, err);
    wherry_walk_close(&walk);
    return ret;
}

int wherry_pack_directory(const char *source, int target, const struct wherry_pack_options *options,
                          struct wherry_layer_result *result, struct wherry_error *err)
{
    struct wherry_pack_writer writer cleanup_pack_writer = {.options = options};
    struct wherry_pack_diff diff cleanup_pack_diff = {.item_is_same = true};
    int top = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int ret;

    memset(result, 0, sizeof(*result));
    if (top < 0)
        return wherry_error_set(err, errno, "pack %s", source);
    ret = wherry_pack_writer_open(&writer, target, "", err);
    if (ret == 0 && options->form == WHERRY_PACK_DIFF)
        ret = wherry_pack_diff_open(&diff, options, err);
    if (ret < 0) {
        close(top);
        return ret;
    }
    ret = pack_tree(&writer, top, options->form == WHERRY_PACK_DIFF ? &diff : NULL, err);
    return ret < 0 ? ret : wherry_pack_writer_finish(&writer, result, err);
}

/* One file or directory, of which `fd` is an O_PATH descriptor. */
static int pack_one(struct wherry_pack_writer *writer, int fd, const char *path, struct wherry_error *err)
{
    struct wherry_walk_item item = {.path = "", .name = "", .fd = fd};
    int top, ret;

    if (fstat(fd, &item.status) < 0)
        return wherry_error_set(err, errno, "%s", path);
    if (writer->prefix[0] == '\0' && !S_ISDIR(item.status.st_mode))
        return wherry_error_set(err, EINVAL, "%s: only a directory can be packed without a name", path);
    ret = writer->prefix[0] != '\0' ? pack_other(writer, &item, err) : 0;
    if (ret < 0 || !S_ISDIR(item.status.st_mode))
        return ret;
    top = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return wherry_error_set(err, errno, "%s", path);
    return pack_tree(writer, top, NULL, err);
}

int wherry_pack_path(int root, const char *path, const char *name, int target,
                     const struct wherry_pack_options *options, struct wherry_layer_result *result,
                     struct wherry_error *err)
{
    struct wherry_pack_writer writer cleanup_pack_writer = {.options = options};
    cleanup_close int fd = -1;
    int ret;

    memset(result, 0, sizeof(*result));
    if (options->form != WHERRY_PACK_TREE)
        return wherry_error_set(err, EINVAL, "%s: a path can only be packed as it is", path);
    fd = wherry_paths_open_in_root(root, path, O_PATH | O_NOFOLLOW, err);
    if (fd < 0)
        return fd;
    ret = wherry_pack_writer_open(&writer, target, name, err);
    if (ret == 0)
        ret = pack_one(&writer, fd, path, err);
    return ret < 0 ? ret : wherry_pack_writer_finish(&writer, result, err);
}
