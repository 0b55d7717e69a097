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

#define ENTRIES_MAX 4000000

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

uint64_t wherry_place_most_entries(const struct wherry_place *place)
{
    return place->options->limits.max_entries > 0 ? place->options->limits.max_entries : ENTRIES_MAX;
}

int wherry_place_owner(const struct wherry_place *place, uint32_t uid, uint32_t gid, uint32_t *uid_out,
                       uint32_t *gid_out, struct wherry_error *err)
{
    const struct wherry_unpack_options *options = place->options;
    int ret = wherry_id_to_outside(&options->ids.uids, options->has_owner ? options->uid : uid, uid_out, err);

    return ret < 0 ? ret
                   : wherry_id_to_outside(&options->ids.gids, options->has_owner ? options->gid : gid, gid_out, err);
}

/* Makes one directory in `parent`, in the place of a whiteout when there is one: it then hides what is below. Returns
 * its descriptor. */
static int make_directory(const struct wherry_place *place, int parent, const char *name, bool over_whiteout,
                          struct wherry_error *err)
{
    cleanup_close int fd = -1;
    uint32_t uid = 0, gid = 0;

    if (over_whiteout && unlinkat(parent, name, 0) < 0)
        return wherry_error_set(err, errno, "replace a whiteout");
    if (mkdirat(parent, name, IMPLIED_MODE) < 0)
        return wherry_error_set(err, errno, "make the directory %.64s", name);
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, IMPLIED_MODE) < 0)
        return wherry_error_set(err, errno, "set the directory's mode");
    if (wherry_place_owner(place, 0, 0, &uid, &gid, err) < 0)
        return -EOVERFLOW;
    if ((uid != place->uid || gid != place->gid) && fchown(fd, uid, gid) < 0)
        return wherry_error_set(err, errno, "set the directory's owner");
    if (over_whiteout && wherry_whiteout_set_opaque(fd, place->options->user_xattr, err) < 0)
        return -EPERM;
    return wherry_steal_fd(&fd);
}

/* Ends of the components of a path. */
struct parts {
    size_t count;
    uint16_t ends[PATH_MAX / 2];
};

static int open_part(const struct wherry_place *place, const char *path, const struct parts *parts, size_t count,
                     struct wherry_error *err)
{
    char prefix[PATH_MAX];
    size_t length = count > 0 ? parts->ends[count - 1] : 0;

    memcpy(prefix, path, length);
    prefix[length] = '\0';
    return open_directory(place, prefix, err);
}

/* Opens the longest part of the path that is there, of which *known components are set. Each look at a path costs as
 * much as it has components, links included, so that all of them one by one would be an attack. *why is what is wrong
 * with the next component. */
static int open_longest(const struct wherry_place *place, const char *path, const struct parts *parts, size_t *known,
                        int *why, struct wherry_error *err)
{
    cleanup_close int found = open_part(place, path, parts, 0, err);
    size_t missing = parts->count;

    *known = 0;
    while (found >= 0 && missing - *known > 1) {
        size_t middle = *known + (missing - *known) / 2;
        int fd = open_part(place, path, parts, middle, err);

        if (fd >= 0) {
            close(found);
            found = fd;
            *known = middle;
        } else if (fd == -ENOENT || fd == -ENOTDIR) {
            missing = middle;
            *why = fd;
        } else {
            return fd;
        }
    }
    return wherry_steal_fd(&found);
}

/* Goes down the path and makes what is missing; `why` it could not be opened. Returns the last directory's descriptor.
 */
static int make_path(const struct wherry_place *place, const char *path, int why, struct wherry_error *err)
{
    struct wherry_place_directory above cleanup_leave = {.fd = -1};
    struct parts parts = {.count = 0};
    size_t known = 0;
    int fd;

    for (const char *at = path; *at != '\0'; at += *at == '/') {
        at += strcspn(at, "/");
        parts.ends[parts.count++] = (uint16_t)(at - path);
    }
    fd = open_longest(place, path, &parts, &known, &why, err);
    for (size_t i = known; fd >= 0 && i < parts.count; i++) {
        char name[NAME_MAX + 1];
        size_t begin = i > 0 ? parts.ends[i - 1] + 1u : 0, length = parts.ends[i] - begin;
        bool over_whiteout;

        leave(&above);
        if (enter(&above, fd, err) < 0)
            return -EIO;
        if (length > NAME_MAX)
            return wherry_error_set(err, ENAMETOOLONG, "make the directory");
        memcpy(name, path + begin, length);
        name[length] = '\0';
        over_whiteout = place->is_layer && i == known && why == -ENOTDIR && wherry_whiteout_is_at(above.fd, name);
        fd = make_directory(place, above.fd, name, over_whiteout, err);
        if (fd == -EEXIST && i == known) /* and it cannot be opened */
            return why == -ENOTDIR ? wherry_error_set(err, ENOTDIR, "%.64s", name)
                                   : wherry_error_set(err, ELOOP, "its directory is a symbolic link to nothing");
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
        fd = make_path(place, parent, fd, err);
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
