/* The loop over the members of a layer; see wherry/layer.h. */
#include "wherry/layer.h"

#include "layer/member.h"
#include "layer/place.h"
#include "layer/stream.h"
#include "layer/tar.h"
#include "layer/whiteout.h"

#include <errno.h>
#include <string.h>

#define ENTRIES_MAX 4000000

static int unpack_whiteout(struct wherry_place *place, const char *path, enum wherry_whiteout_kind kind,
                           struct wherry_error *err)
{
    const char *name = NULL;
    int parent;

    if (kind == WHERRY_WHITEOUT_IGNORE)
        return 0;
    parent = wherry_place_parent(place, path, &name, err);
    if (parent < 0)
        return parent;
    if (kind == WHERRY_WHITEOUT_OPAQUE)
        return wherry_whiteout_set_opaque(parent, err);
    return wherry_whiteout_hide(parent, wherry_whiteout_hidden_name(name), err);
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
        /* The root shows the attributes of the container's own directory on top, not a layer's. */
        if (entry->type == WHERRY_TAR_DIRECTORY)
            return 0;
        return wherry_error_set(err, EBADMSG, "\"%.256s\": names the root and is no directory", entry->path);
    }
    ret = wherry_whiteout_kind(path, &kind, err);
    if (ret < 0)
        return ret;
    ret = kind == WHERRY_WHITEOUT_NONE ? wherry_member_make(place, tar, entry, path, err)
                                       : unpack_whiteout(place, path, kind, err);
    return ret < 0 ? wherry_error_prefix(err, "%.256s", path) : 0;
}

static int check_limits(const struct wherry_layer_limits *limits, const struct wherry_tar_entry *entry,
                        uint64_t entries, struct wherry_error *err)
{
    uint64_t most = limits->max_entries > 0 ? limits->max_entries : ENTRIES_MAX;

    if (entries > most)
        return wherry_error_set(err, E2BIG, "layer: more than the %llu members that are allowed",
                                (unsigned long long)most);
    /* A sparse file can be larger than the archive that it is in. */
    if (limits->max_bytes > 0 && entry->size > limits->max_bytes)
        return wherry_error_set(err, EFBIG, "%.256s: larger than the %llu bytes that are allowed", entry->path,
                                (unsigned long long)limits->max_bytes);
    return 0;
}

static int unpack_all(struct wherry_place *place, struct wherry_tar *tar, const struct wherry_layer_limits *limits,
                      uint64_t *entries, struct wherry_error *err)
{
    struct wherry_tar_entry entry;
    int ret;

    while ((ret = wherry_tar_next(tar, &entry, err)) > 0) {
        ++*entries;
        ret = check_limits(limits, &entry, *entries, err);
        if (ret == 0)
            ret = unpack_entry(place, tar, &entry, err);
        if (ret < 0)
            return ret;
    }
    return ret;
}

int wherry_layer_unpack(int source, const char *target, const struct wherry_layer_limits *limits,
                        struct wherry_layer_result *result, struct wherry_error *err)
{
    struct wherry_stream *stream cleanup_stream = wherry_stream_open(source, limits->max_bytes, err);
    struct wherry_tar *tar cleanup_tar = stream != NULL ? wherry_tar_open(stream, err) : NULL;
    struct wherry_place place;
    int ret;

    memset(result, 0, sizeof(*result));
    if (tar == NULL)
        return err != NULL ? -err->code : -EIO;
    ret = wherry_place_init(&place, target, err);
    if (ret < 0)
        return ret;
    ret = unpack_all(&place, tar, limits, &result->entries, err);
    wherry_place_close(&place);
    return ret < 0 ? ret : wherry_stream_finish(stream, result, err);
}
