/* The loop over the members of a layer or another archive; see wherry/layer.h. */
#include "wherry/layer.h"

#include "layer/member.h"
#include "layer/place.h"
#include "layer/stream.h"
#include "layer/tar.h"
#include "layer/whiteout.h"
#include "wherry/cleanup.h"
#include "wherry/fs_user.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

struct unpacking {
    struct wherry_place place;
    struct wherry_tar *tar;
    uint64_t entries;
};

static int unpack_whiteout(struct wherry_place *place, const char *path, enum wherry_whiteout_kind kind,
                           struct wherry_error *err)
{
    bool user_xattr = place->options->user_xattr;
    const char *name = NULL;
    int parent;

    if (kind == WHERRY_WHITEOUT_IGNORE)
        return 0;
    parent = wherry_place_parent(place, path, &name, err);
    if (parent < 0)
        return parent;
    if (kind == WHERRY_WHITEOUT_OPAQUE)
        return wherry_whiteout_set_opaque(parent, user_xattr, err);
    return wherry_whiteout_hide(parent, wherry_whiteout_hidden_name(name), user_xattr, err);
}

static int unpack_entry(struct wherry_place *place, struct wherry_tar *tar, const struct wherry_tar_entry *entry,
                        struct wherry_error *err)
{
    enum wherry_whiteout_kind kind = WHERRY_WHITEOUT_NONE;
    char path[PATH_MAX];
    int ret = wherry_place_clean(entry->path, path, err);

    if (ret < 0)
        return ret;
    if (path[0] == '\0') {
        /* A layer's root shows the attributes of the container's own directory on top; elsewhere the directory is
         * there already and nobody asked to change it. */
        if (entry->type == WHERRY_TAR_DIRECTORY)
            return 0;
        return wherry_error_set(err, EBADMSG, "\"%.256s\": names the root and is no directory", entry->path);
    }
    ret = place->is_layer ? wherry_whiteout_kind(path, &kind, err) : 0;
    if (ret < 0)
        return ret;
    ret = kind == WHERRY_WHITEOUT_NONE ? wherry_member_make(place, tar, entry, path, err)
                                       : unpack_whiteout(place, path, kind, err);
    return ret < 0 ? wherry_error_prefix(err, "%.256s", path) : 0;
}

static int check_limits(const struct wherry_place *place, const struct wherry_tar_entry *entry, uint64_t entries,
                        struct wherry_error *err)
{
    const struct wherry_layer_limits *limits = &place->options->limits;
    uint64_t most = wherry_place_most_entries(place);

    if (entries > most)
        return wherry_error_set(err, E2BIG, "layer: more than the %llu members that are allowed",
                                (unsigned long long)most);
    /* A sparse file can be larger than the archive that it is in. */
    if (limits->max_bytes > 0 && entry->size > limits->max_bytes)
        return wherry_error_set(err, EFBIG, "%.256s: larger than the %llu bytes that are allowed", entry->path,
                                (unsigned long long)limits->max_bytes);
    return 0;
}

/* Into a container with users of its own: what is made on the way is root's of the container. */
static int become_owner(struct wherry_place *place, struct wherry_error *err)
{
    uint32_t uid, gid;

    if (place->is_layer || !wherry_id_maps_shift(&place->options->ids))
        return 0;
    if (wherry_id_to_outside(&place->options->ids.uids, 0, &uid, err) < 0 ||
        wherry_id_to_outside(&place->options->ids.gids, 0, &gid, err) < 0)
        return -EOVERFLOW;
    place->uid = uid;
    place->gid = gid;
    return wherry_fs_user_become(uid, gid, err);
}

static int unpack_all(struct wherry_stream *stream, void *context, struct wherry_error *err)
{
    struct unpacking *unpacking = context;
    struct wherry_place *place = &unpacking->place;
    struct wherry_tar_entry entry;
    int ret = become_owner(place, err);

    if (ret < 0)
        return ret;
    place->sets_modes = place->is_layer && wherry_stream_has_umask(stream) &&
                        fgetxattr(place->root, "system.posix_acl_default", NULL, 0) < 0;
    while ((ret = wherry_tar_next(unpacking->tar, &entry, err)) > 0) {
        unpacking->entries++;
        ret = check_limits(place, &entry, unpacking->entries, err);
        if (ret == 0)
            ret = unpack_entry(place, unpacking->tar, &entry, err);
        if (ret < 0)
            return ret;
    }
    return ret;
}

/* Takes the open directory `root` over. */
static int unpack(int source, int root, const char *base, bool is_layer, const struct wherry_unpack_options *options,
                  struct wherry_layer_result *result, struct wherry_error *err)
{
    struct unpacking unpacking = {.entries = 0};
    struct wherry_stream *stream cleanup_stream = NULL;
    struct wherry_tar *tar cleanup_tar = NULL;
    int ret;

    wherry_place_init(&unpacking.place, root, base, options);
    unpacking.place.is_layer = is_layer;
    stream = wherry_stream_open(source, options->limits.max_bytes, err);
    tar = unpacking.tar = stream != NULL ? wherry_tar_open(stream, err) : NULL;
    ret = tar != NULL   ? wherry_stream_run(stream, unpack_all, &unpacking, result, err)
          : err != NULL ? -err->code
                        : -EIO;
    wherry_place_close(&unpacking.place);
    result->entries = unpacking.entries;
    return ret;
}

int wherry_layer_unpack(int source, const char *target, const struct wherry_unpack_options *options,
                        struct wherry_layer_result *result, struct wherry_error *err)
{
    int root = open(target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    memset(result, 0, sizeof(*result));
    if (root < 0)
        return wherry_error_set(err, errno, "layer directory %s", target);
    return unpack(source, root, "", true, options, result, err);
}

int wherry_archive_unpack(int source, int root, const char *path, const struct wherry_unpack_options *options,
                          struct wherry_layer_result *result, struct wherry_error *err)
{
    cleanup_close int directory = wherry_paths_open_in_root(root, path, O_PATH | O_DIRECTORY, err);
    int own;

    memset(result, 0, sizeof(*result));
    if (directory < 0)
        return directory;
    own = fcntl(root, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return wherry_error_set(err, errno, "%s", path);
    return unpack(source, own, path, false, options, result, err);
}
