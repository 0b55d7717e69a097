/*
 * See member.h. The order of the last steps is the kernel's: a change of owner takes away set-user-ID bits and file
 * capabilities, so the mode and the attributes come after it (chown(2)), and the time comes last.
 */
#include "layer/member.h"

#include "layer/remove.h"
#include "layer/whiteout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define PRIVATE_MODE 0600

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Attributes that belong to a file's content or rights. Those of overlayfs would redirect whole directories, those of a
 * security module belong to the host's policy. */
static bool is_restored(const char *name)
{
    return (begins(name, "user.") && !begins(name, "user.overlay.")) || strcmp(name, "security.capability") == 0 ||
           strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

static int set_xattrs(int fd, const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    for (size_t i = 0; i < entry->xattr_count; i++) {
        const struct wherry_tar_xattr *xattr = &entry->xattrs[i];

        if (!is_restored(xattr->name) || fsetxattr(fd, xattr->name, xattr->value, xattr->length, 0) == 0)
            continue;
        /* A file system without them; capabilities are needed to work, the others are not. */
        if (errno == ENOTSUP && strcmp(xattr->name, "security.capability") != 0)
            continue;
        return wherry_error_set(err, errno, "set attribute %.64s", xattr->name);
    }
    return 0;
}

static void times_of(const struct wherry_tar_entry *entry, struct timespec times[2])
{
    times[0] = times[1] = (struct timespec){.tv_sec = entry->mtime, .tv_nsec = entry->mtime_nanoseconds};
}

/* Of a file or directory that is open. */
static int settle(int fd, const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    struct timespec times[2];
    int ret;

    if (fchown(fd, entry->uid, entry->gid) < 0)
        return wherry_error_set(err, errno, "set the owner %u:%u", entry->uid, entry->gid);
    if (fchmod(fd, entry->mode) < 0)
        return wherry_error_set(err, errno, "set the mode");
    ret = set_xattrs(fd, entry, err);
    if (ret < 0)
        return ret;
    times_of(entry, times);
    return futimens(fd, times) < 0 ? wherry_error_set(err, errno, "set the time") : 0;
}

/* Of a link or node that cannot be opened; it was just made, so its name is no link to elsewhere unless it is one
 * itself, and that is not followed. */
static int settle_name(int parent, const char *name, const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    struct timespec times[2];

    if (fchownat(parent, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return wherry_error_set(err, errno, "set the owner %u:%u", entry->uid, entry->gid);
    if (entry->type != WHERRY_TAR_SYMLINK && fchmodat(parent, name, entry->mode, 0) < 0)
        return wherry_error_set(err, errno, "set the mode");
    times_of(entry, times);
    if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return wherry_error_set(err, errno, "set the time");
    return 0;
}

static int make_file(int parent, const char *name, struct wherry_tar *tar, const struct wherry_tar_entry *entry,
                     struct wherry_error *err)
{
    cleanup_close int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, PRIVATE_MODE);
    int ret;

    if (fd < 0)
        return wherry_error_set(err, errno, "make the file");
    ret = wherry_tar_extract(tar, fd, err);
    /* Whatever the error, the name is taken: EEXIST is for what was there before. */
    if (ret < 0)
        return ret == -EEXIST ? -EIO : ret;
    return settle(fd, entry, err);
}

static int settle_directory(struct wherry_place *place, int parent, const char *name, bool over_whiteout,
                            const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    cleanup_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat there;

    if (fd < 0 || fstat(fd, &there) < 0)
        return wherry_error_set(err, errno, "open the directory");
    if (over_whiteout && wherry_whiteout_set_opaque(fd, err) < 0)
        return -EPERM;
    wherry_place_forget(place, &there);
    return settle(fd, entry, err);
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

static int make_node(int parent, const char *name, const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    mode_t kind = entry->type == WHERRY_TAR_FIFO ? S_IFIFO : entry->type == WHERRY_TAR_CHARACTER ? S_IFCHR : S_IFBLK;

    if (mknodat(parent, name, kind | PRIVATE_MODE, makedev(entry->device_major, entry->device_minor)) < 0)
        return wherry_error_set(err, errno, "make the device or fifo");
    return settle_name(parent, name, entry, err);
}

static int make_symlink(int parent, const char *name, const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    if (symlinkat(entry->link, parent, name) < 0)
        return wherry_error_set(err, errno, "make the symbolic link");
    return settle_name(parent, name, entry, err);
}

/* -EEXIST when something is in the way, before anything of the member was read or made. */
static int make(struct wherry_place *place, int parent, const char *name, struct wherry_tar *tar,
                const struct wherry_tar_entry *entry, struct wherry_error *err)
{
    switch (entry->type) {
    case WHERRY_TAR_FILE:
        return make_file(parent, name, tar, entry, err);
    case WHERRY_TAR_HARD_LINK:
        return make_hard_link(place, parent, name, entry, err);
    case WHERRY_TAR_SYMLINK:
        return make_symlink(parent, name, entry, err);
    case WHERRY_TAR_DIRECTORY:
        if (mkdirat(parent, name, PRIVATE_MODE | S_IXUSR) < 0)
            return wherry_error_set(err, errno, "make the directory");
        return settle_directory(place, parent, name, false, entry, err);
    default:
        return make_node(parent, name, entry, err);
    }
}

/* Takes away what has the name. 1 when it is a directory and stays, since the member is one too. */
static int make_way(int parent, const char *name, bool for_directory, bool *was_whiteout, struct wherry_error *err)
{
    struct stat there;

    if (fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return wherry_error_set(err, errno, "look at what is there");
    if (S_ISDIR(there.st_mode))
        return for_directory ? 1 : wherry_remove_tree(parent, name, err);
    *was_whiteout = wherry_whiteout_is_at(parent, name);
    return unlinkat(parent, name, 0) < 0 ? wherry_error_set(err, errno, "replace what is there") : 0;
}

int wherry_member_make(struct wherry_place *place, struct wherry_tar *tar, const struct wherry_tar_entry *entry,
                       const char *path, struct wherry_error *err)
{
    bool is_directory = entry->type == WHERRY_TAR_DIRECTORY;
    bool was_whiteout = false;
    const char *name = NULL;
    int parent = wherry_place_parent(place, path, &name, err);
    int ret;

    if (parent < 0)
        return parent;
    ret = make(place, parent, name, tar, entry, err);
    if (ret != -EEXIST)
        return ret;
    ret = make_way(parent, name, is_directory, &was_whiteout, err);
    if (ret < 0)
        return ret;
    if (ret == 0) {
        ret = make(place, parent, name, tar, entry, err);
        if (ret < 0 || !is_directory || !was_whiteout)
            return ret;
    }
    return settle_directory(place, parent, name, was_whiteout, entry, err);
}
