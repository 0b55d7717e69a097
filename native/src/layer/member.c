/*
 * See member.h. The order of the last steps is the kernel's: a change of owner takes away set-user-ID bits and file
 * capabilities, so the mode and the attributes come after it (chown(2)), and the time comes last.
 *
 * Small files are most of a layer, and system calls most of what they cost: what the kernel has done already when it
 * made the file (owner, mode) is not done again.
 */
#include "layer/member.h"

#include "layer/whiteout.h"
#include "layer/xattr.h"
#include "wherry/cleanup.h"
#include "wherry/remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define PRIVATE_MODE 0600
#define PERMISSIONS 0777

/* How a member shall be on disk, and what of it was had for nothing. */
struct outcome {
    const struct wherry_tar_entry *entry;
    uint32_t uid, gid;
    mode_t made_with; /* the mode to make it with */
    bool owner_is_set, mode_is_set;
};

static int plan(const struct wherry_place *place, const struct wherry_tar_entry *entry, struct outcome *outcome,
                struct wherry_error *err)
{
    const struct stat *parent = &place->parent.before;
    bool is_directory = entry->type == WHERRY_TAR_DIRECTORY;
    bool inherits = (parent->st_mode & S_ISGID) != 0;

    *outcome = (struct outcome){.entry = entry, .made_with = is_directory ? PRIVATE_MODE | S_IXUSR : PRIVATE_MODE};
    if (wherry_place_owner(place, entry->uid, entry->gid, &outcome->uid, &outcome->gid, err) < 0)
        return -EOVERFLOW;
    /* Some file systems can be told to take the group from the directory (mount(8), "grpid"). */
    outcome->owner_is_set = place->is_layer && outcome->uid == place->uid && outcome->gid == place->gid && !inherits &&
                            parent->st_gid == place->gid;
    outcome->mode_is_set = place->sets_modes && outcome->owner_is_set && (entry->mode & ~(mode_t)PERMISSIONS) == 0;
    if (outcome->mode_is_set)
        outcome->made_with = entry->mode;
    return 0;
}

static int set_xattrs(struct wherry_place *place, int fd, const struct wherry_tar_entry *entry,
                      struct wherry_error *err)
{
    uint8_t value[WHERRY_XATTR_VALUE_MAX];

    for (size_t i = 0; i < entry->xattr_count; i++) {
        const struct wherry_tar_xattr *xattr = &entry->xattrs[i];
        size_t length = 0;
        int ret;

        if (!wherry_xattr_is_kept(xattr->name))
            continue;
        ret = wherry_xattr_shift(xattr->name, xattr->value, xattr->length, &place->options->ids, WHERRY_TO_OUTSIDE,
                                 value, &length, err);
        if (ret < 0)
            return ret;
        if (strcmp(xattr->name, "system.posix_acl_default") == 0)
            place->sets_modes = false; /* it would have a say in the modes of what is made below */
        if (fsetxattr(fd, xattr->name, value, length, 0) == 0)
            continue;
        /* A file system without them; capabilities are needed to work, the others are not. */
        if (errno == ENOTSUP && strcmp(xattr->name, WHERRY_XATTR_CAPABILITY) != 0)
            continue;
        return wherry_error_set(err, errno, "set attribute %.64s", xattr->name);
    }
    return 0;
}

static void times_of(const struct wherry_tar_entry *entry, struct timespec times[2])
{
    times[0] = times[1] = (struct timespec){.tv_sec = entry->mtime, .tv_nsec = entry->mtime_nanoseconds};
}

static int refuse_owner(const struct outcome *outcome, struct wherry_error *err)
{
    return wherry_error_set(err, errno, "set the owner %u:%u", outcome->uid, outcome->gid);
}

/* Of a file or directory that is open. */
static int settle(struct wherry_place *place, int fd, const struct outcome *outcome, struct wherry_error *err)
{
    const struct wherry_tar_entry *entry = outcome->entry;
    struct timespec times[2];
    int ret;

    if (!outcome->owner_is_set && fchown(fd, outcome->uid, outcome->gid) < 0)
        return refuse_owner(outcome, err);
    if (!outcome->mode_is_set && fchmod(fd, entry->mode) < 0)
        return wherry_error_set(err, errno, "set the mode");
    ret = set_xattrs(place, fd, entry, err);
    if (ret < 0)
        return ret;
    times_of(entry, times);
    return futimens(fd, times) < 0 ? wherry_error_set(err, errno, "set the time") : 0;
}

/* Of a symbolic link, which has no mode. */
static int settle_symlink(int parent, const char *name, const struct outcome *outcome, struct wherry_error *err)
{
    struct timespec times[2];

    if (!outcome->owner_is_set && fchownat(parent, name, outcome->uid, outcome->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return refuse_owner(outcome, err);
    times_of(outcome->entry, times);
    if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return wherry_error_set(err, errno, "set the time");
    return 0;
}

/* Of a device or fifo. It is not opened but held by O_PATH: where others can change the directory, the name may be a
 * link to elsewhere by now, and a change of mode by name would follow it. */
static int settle_node(int parent, const char *name, mode_t kind, const struct outcome *outcome,
                       struct wherry_error *err)
{
    cleanup_close int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct timespec times[2];
    struct stat there;
    char path[32];

    if (fd < 0 || fstat(fd, &there) < 0)
        return wherry_error_set(err, errno, "look at the device or fifo");
    if ((there.st_mode & S_IFMT) != kind)
        return wherry_error_set(err, ESTALE, "replaced by somebody else");
    if (fchownat(fd, "", outcome->uid, outcome->gid, AT_EMPTY_PATH) < 0)
        return refuse_owner(outcome, err);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (chmod(path, outcome->entry->mode) < 0)
        return wherry_error_set(err, errno, "set the mode");
    times_of(outcome->entry, times);
    return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? wherry_error_set(err, errno, "set the time") : 0;
}

static int make_file(struct wherry_place *place, int parent, const char *name, struct wherry_tar *tar,
                     const struct outcome *outcome, struct wherry_error *err)
{
    cleanup_close int fd =
        openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, outcome->made_with);
    int ret;

    if (fd < 0)
        return wherry_error_set(err, errno, "make the file");
    ret = wherry_tar_extract(tar, fd, err);
    /* Whatever the error, the name is taken: EEXIST is for what was there before. */
    if (ret < 0)
        return ret == -EEXIST ? -EIO : ret;
    return settle(place, fd, outcome, err);
}

static int settle_directory(struct wherry_place *place, int parent, const char *name, bool over_whiteout,
                            const struct outcome *outcome, struct wherry_error *err)
{
    cleanup_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat there;

    if (fd < 0 || fstat(fd, &there) < 0)
        return wherry_error_set(err, errno, "open the directory");
    if (over_whiteout && wherry_whiteout_set_opaque(fd, place->options->user_xattr, err) < 0)
        return -EPERM;
    wherry_place_forget(place, &there);
    return settle(place, fd, outcome, err);
}

static int make_directory(struct wherry_place *place, int parent, const char *name, const struct outcome *outcome,
                          struct wherry_error *err)
{
    struct timespec times[2];

    if (mkdirat(parent, name, outcome->made_with) < 0)
        return wherry_error_set(err, errno, "make the directory");
    if (!outcome->owner_is_set || !outcome->mode_is_set || outcome->entry->xattr_count > 0)
        return settle_directory(place, parent, name, false, outcome, err);
    times_of(outcome->entry, times);
    return utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? wherry_error_set(err, errno, "set the time") : 0;
}

static int make_hard_link(struct wherry_place *place, int parent, const char *name,
                          const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    char path[PATH_MAX];
    const char *source_name = NULL;
    struct stat source, there;
    cleanup_close int source_parent = -1;
    int ret = wherry_place_clean(entry->link, path, err);

    if (ret < 0)
        return wherry_error_prefix(err, "hard link to");
    source_parent = wherry_place_existing_parent(place, path, &source_name, err);
    if (source_parent < 0)
        return wherry_error_prefix(err, "hard link to %.256s", entry->link);
    if (linkat(source_parent, source_name, parent, name, 0) == 0)
        return 0;
    ret = errno;
    if (ret == EEXIST && fstatat(source_parent, source_name, &source, AT_SYMLINK_NOFOLLOW) == 0 &&
        fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && source.st_ino == there.st_ino &&
        source.st_dev == there.st_dev)
        return 0; /* it is that already; making way for it would remove both */
    return wherry_error_set(err, ret, "hard link to %.256s", entry->link);
}

static int make_node(int parent, const char *name, const struct outcome *outcome, struct wherry_error *err)
{
    const struct wherry_tar_entry *entry = outcome->entry;
    mode_t kind = entry->type == WHERRY_TAR_FIFO ? S_IFIFO : entry->type == WHERRY_TAR_CHARACTER ? S_IFCHR : S_IFBLK;

    if (mknodat(parent, name, kind | PRIVATE_MODE, makedev(entry->device_major, entry->device_minor)) < 0)
        return wherry_error_set(err, errno, "make the device or fifo");
    return settle_node(parent, name, kind, outcome, err);
}

static int make_symlink(int parent, const char *name, const struct outcome *outcome, struct wherry_error *err)
{
    if (symlinkat(outcome->entry->link, parent, name) < 0)
        return wherry_error_set(err, errno, "make the symbolic link");
    return settle_symlink(parent, name, outcome, err);
}

/* -EEXIST when something is in the way, before anything of the member was read or made. */
static int make(struct wherry_place *place, int parent, const char *name, struct wherry_tar *tar,
                const struct outcome *outcome, struct wherry_error *err)
{
    switch (outcome->entry->type) {
    case WHERRY_TAR_FILE:
        return make_file(place, parent, name, tar, outcome, err);
    case WHERRY_TAR_HARD_LINK:
        return make_hard_link(place, parent, name, outcome->entry, err);
    case WHERRY_TAR_SYMLINK:
        return make_symlink(parent, name, outcome, err);
    case WHERRY_TAR_DIRECTORY:
        return make_directory(place, parent, name, outcome, err);
    default:
        return make_node(parent, name, outcome, err);
    }
}

/* Takes away what has the name. 1 when it is a directory and stays, since the member is one too. */
static int make_way(const struct wherry_place *place, int parent, const char *name, bool for_directory,
                    bool *was_whiteout, struct wherry_error *err)
{
    struct stat there;

    if (fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return wherry_error_set(err, errno, "look at what is there");
    if (place->options->no_overwrite_dir_non_dir && S_ISDIR(there.st_mode) != for_directory)
        return wherry_error_set(err, EEXIST, "cannot overwrite %s",
                                for_directory ? "non-directory with directory" : "directory with non-directory");
    if (S_ISDIR(there.st_mode))
        return for_directory ? 1 : wherry_remove_tree(parent, name, wherry_place_most_entries(place), err);
    *was_whiteout = place->is_layer && wherry_whiteout_is(&there);
    return unlinkat(parent, name, 0) < 0 ? wherry_error_set(err, errno, "replace what is there") : 0;
}

int wherry_member_make(struct wherry_place *place, struct wherry_tar *tar, const struct wherry_tar_entry *entry,
                       const char *path, struct wherry_error *err)
{
    bool is_directory = entry->type == WHERRY_TAR_DIRECTORY;
    bool was_whiteout = false;
    const char *name = NULL;
    struct outcome outcome;
    int parent = wherry_place_parent(place, path, &name, err);
    int ret;

    if (parent < 0)
        return parent;
    ret = plan(place, entry, &outcome, err);
    if (ret == 0)
        ret = make(place, parent, name, tar, &outcome, err);
    if (ret != -EEXIST)
        return ret;
    ret = make_way(place, parent, name, is_directory, &was_whiteout, err);
    if (ret < 0)
        return ret;
    if (ret == 0) {
        ret = make(place, parent, name, tar, &outcome, err);
        if (ret < 0 || !is_directory || !was_whiteout)
            return ret;
    }
    /* It was there before, with an owner and a mode of its own. */
    outcome.owner_is_set = outcome.mode_is_set = false;
    return settle_directory(place, parent, name, was_whiteout, &outcome, err);
}
