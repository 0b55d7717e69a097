/* See place.h. */
#include "layer/place.h"

#include "layer/whiteout.h"
#include "wherry/cleanup.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Of a directory that the archive does not mention. */
#define IMPLIED_MODE 0755

static void leave(struct wherry_place_directory *directory)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, directory->before.st_mtim};

    if (directory->fd < 0)
        return;
    futimens(directory->fd, times);
    close(directory->fd);
    directory->fd = -1;
}

#define cleanup_leave __attribute__((cleanup(leave)))

/* Takes an open directory over. */
static int enter(struct wherry_place_directory *directory, int fd, struct wherry_error *err)
{
    if (fstat(fd, &directory->before) < 0) {
        int code = errno;

        close(fd);
        return wherry_error_set(err, code, "look at a directory");
    }
    directory->fd = fd;
    return 0;
}

static int open_directory(const struct wherry_place *place, const char *path, struct wherry_error *err)
{
    char whole[2 * PATH_MAX];

    if (place->base[0] == '\0')
        return wherry_paths_open_in_root(place->root, path, O_RDONLY | O_DIRECTORY, err);
    snprintf(whole, sizeof(whole), "%s/%s", place->base, path);
    return wherry_paths_open_in_root(place->root, whole, O_RDONLY | O_DIRECTORY, err);
}

void wherry_place_init(struct wherry_place *place, int root, const char *base,
                       const struct wherry_unpack_options *options)
{
    *place = (struct wherry_place){.root = root, .base = base, .options = options, .parent.fd = -1};
    place->uid = geteuid();
    place->gid = getegid();
}

void wherry_place_close(struct wherry_place *place)
{
    leave(&place->parent);
    if (place->root >= 0)
        close(place->root);
}

int wherry_place_clean(const char *name, char clean[PATH_MAX], struct wherry_error *err)
{
    size_t length = 0;

    for (const char *at = name; *at != '\0';) {
        size_t part = strcspn(at, "/");

        if (part == 2 && at[0] == '.' && at[1] == '.') {
            if (length == 0)
                return wherry_error_set(err, EPERM, "%.256s: the name leaves the layer", name);
            while (length > 0 && clean[length - 1] != '/')
                length--;
            length -= length > 0;
        } else if (part > 0 && !(part == 1 && at[0] == '.')) {
            if (length + part + 2 > PATH_MAX)
                return wherry_error_set(err, ENAMETOOLONG, "%.256s…", name);
            if (length > 0)
                clean[length++] = '/';
            memcpy(clean + length, at, part);
            length += part;
        }
        at += part;
        at += strspn(at, "/");
    }
    clean[length] = '\0';
    return 0;
}

int wherry_place_owner(const struct wherry_place *place, uint32_t uid, uint32_t gid, uint32_t *uid_out,
                       uint32_t *gid_out, struct wherry_error *err)
{
    const struct wherry_unpack_options *options = place->options;
    int ret = wherry_id_to_outside(&options->ids.uids, options->has_owner ? options->uid : uid, uid_out, err);

    return ret < 0 ? ret
                   : wherry_id_to_outside(&options->ids.gids, options->has_owner ? options->gid : gid, gid_out, err);
}

/* Makes one directory in `parent`, in the place of a whiteout when there is one: it then hides what is below. */
static int make_directory(const struct wherry_place *place, int parent, const char *name, bool over_whiteout,
                          struct wherry_error *err)
{
    cleanup_close int fd = -1;
    uint32_t uid = 0, gid = 0;

    if (over_whiteout && unlinkat(parent, name, 0) < 0)
        return wherry_error_set(err, errno, "replace a whiteout");
    if (mkdirat(parent, name, IMPLIED_MODE) < 0) {
        if (errno == EEXIST) /* and it cannot be opened */
            return wherry_error_set(err, ELOOP, "its directory is a symbolic link to nothing");
        return wherry_error_set(err, errno, "make the directory");
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, IMPLIED_MODE) < 0)
        return wherry_error_set(err, errno, "set the directory's mode");
    if (wherry_place_owner(place, 0, 0, &uid, &gid, err) < 0)
        return -EOVERFLOW;
    if ((uid != place->uid || gid != place->gid) && fchown(fd, uid, gid) < 0)
        return wherry_error_set(err, errno, "set the directory's owner");
    return over_whiteout ? wherry_whiteout_set_opaque(fd, place->options->user_xattr, err) : 0;
}

/* Opens `path`, whose parents are there and of which `above` is the last, or makes it. */
static int open_or_make(const struct wherry_place *place, int above, const char *path, struct wherry_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    int fd = open_directory(place, path, err);
    bool over_whiteout = place->is_layer && fd == -ENOTDIR && wherry_whiteout_is_at(above, name);
    int ret;

    if (fd >= 0 || (fd != -ENOENT && !over_whiteout))
        return fd;
    ret = make_directory(place, above, name, over_whiteout, err);
    return ret < 0 ? ret : open_directory(place, path, err);
}

/* Goes down the path and makes what is missing. Returns the last directory's descriptor. */
static int make_path(const struct wherry_place *place, const char *path, struct wherry_error *err)
{
    struct wherry_place_directory above cleanup_leave = {.fd = -1};
    char prefix[PATH_MAX];
    int fd = open_directory(place, "", err);

    strcpy(prefix, path);
    for (char *end = prefix; fd >= 0 && *end != '\0';) {
        char kept;

        leave(&above);
        if (enter(&above, fd, err) < 0)
            return -EIO;
        end += strspn(end, "/");
        end += strcspn(end, "/");
        kept = *end;
        *end = '\0';
        fd = open_or_make(place, above.fd, prefix, err);
        *end = kept;
    }
    return fd;
}

/* The part before the last component into `parent`; returns the last component. */
static const char *split(const char *path, char parent[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash != NULL ? (size_t)(slash - path) : 0;

    memcpy(parent, path, length);
    parent[length] = '\0';
    return slash != NULL ? slash + 1 : path;
}

int wherry_place_parent(struct wherry_place *place, const char *path, const char **name, struct wherry_error *err)
{
    char parent[PATH_MAX];
    int fd, ret;

    *name = split(path, parent);
    if (place->parent.fd >= 0 && strcmp(place->parent_path, parent) == 0)
        return place->parent.fd;
    leave(&place->parent);
    fd = open_directory(place, parent, err);
    if (fd == -ENOENT || (fd == -ENOTDIR && place->is_layer))
        fd = make_path(place, parent, err);
    if (fd < 0)
        return fd;
    ret = enter(&place->parent, fd, err);
    if (ret < 0)
        return ret;
    strcpy(place->parent_path, parent);
    return fd;
}

int wherry_place_existing_parent(const struct wherry_place *place, const char *path, const char **name,
                                 struct wherry_error *err)
{
    char parent[PATH_MAX];

    *name = split(path, parent);
    return open_directory(place, parent, err);
}

void wherry_place_forget(struct wherry_place *place, const struct stat *directory)
{
    if (place->parent.fd >= 0 && place->parent.before.st_ino == directory->st_ino &&
        place->parent.before.st_dev == directory->st_dev)
        leave(&place->parent);
}
