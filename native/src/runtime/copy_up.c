/* Copying what lies under a tmpfs into it; see copy_up.h. */
#include "copy_up.h"

#include "wherry/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Directories nest at most this deep: each level keeps two descriptors and one buffer on the stack. */
#define DEPTH_MAX 64
#define CHUNK (1u << 20)

struct directory_entry {
    unsigned long long inode;
    long long offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

static int copy_directory(int from, int to, int depth, dev_t device);

static int copy_content(int from, int to)
{
    ssize_t copied;

    do {
        copied = sendfile(to, from, NULL, CHUNK);
    } while (copied > 0 || (copied < 0 && errno == EINTR));
    return copied < 0 ? -errno : 0;
}

/* Owner before mode, because a change of owner takes the set-user-ID bit away; times last, when nothing is written any
 * more. */
static int copy_metadata(int to, const struct stat *status)
{
    const struct timespec times[] = {status->st_atim, status->st_mtim};

    if (fchown(to, status->st_uid, status->st_gid) < 0 || fchmod(to, status->st_mode & 07777) < 0 ||
        futimens(to, times) < 0)
        return -errno;
    return 0;
}

static int copy_file(int from, int to, const char *name, const struct stat *status)
{
    cleanup_close int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    cleanup_close int target = -1;
    int result;

    if (source < 0)
        return -errno;
    target = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (target < 0)
        return -errno;
    result = copy_content(source, target);
    return result < 0 ? result : copy_metadata(target, status);
}

static int copy_link(int from, int to, const char *name, const struct stat *status)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(from, name, target, sizeof(target) - 1);

    if (length < 0)
        return -errno;
    target[length] = '\0';
    if (symlinkat(target, to, name) < 0 || fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return 0;
}

static int copy_subdirectory(int from, int to, const char *name, int depth, const struct stat *status)
{
    cleanup_close int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_close int target = -1;
    int result;

    if (source < 0)
        return -errno;
    if (mkdirat(to, name, 0700) < 0)
        return -errno;
    target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0)
        return -errno;
    result = copy_directory(source, target, depth + 1, status->st_dev);
    return result < 0 ? result : copy_metadata(target, status);
}

static int copy_entry(int from, int to, const char *name, int depth, dev_t device)
{
    struct stat status;

    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    switch (status.st_mode & S_IFMT) {
    case S_IFDIR:
        /* What another file system has mounted there is not part of this directory. */
        return status.st_dev == device ? copy_subdirectory(from, to, name, depth, &status) : 0;
    case S_IFREG:
        return copy_file(from, to, name, &status);
    case S_IFLNK:
        return copy_link(from, to, name, &status);
    case S_IFSOCK:
        return 0;
    default:
        if (mknodat(to, name, status.st_mode, status.st_rdev) < 0 ||
            fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
        return 0;
    }
}

static int copy_directory(int from, int to, int depth, dev_t device)
{
    _Alignas(struct directory_entry) char buffer[4096];
    long length;

    if (depth > DEPTH_MAX)
        return -ELOOP;
    while ((length = syscall(SYS_getdents64, from, buffer, sizeof(buffer))) > 0) {
        for (long at = 0; at < length;) {
            const struct directory_entry *entry = (const void *)(buffer + at);
            int result = 0;

            if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0)
                result = copy_entry(from, to, entry->name, depth, device);
            if (result < 0)
                return result;
            at += entry->length;
        }
    }
    return length < 0 ? -errno : 0;
}

int wherry_child_copy_up(int from, int to, const char *path, struct wherry_error *err)
{
    cleanup_close int source = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat status;
    int result;

    if (source < 0 || fstat(source, &status) < 0)
        return wherry_error_set(err, errno, "copy %s into its tmpfs", path);
    if (fchownat(to, "", status.st_uid, status.st_gid, AT_EMPTY_PATH) < 0)
        return wherry_error_set(err, errno, "copy %s into its tmpfs", path);
    result = copy_directory(source, to, 0, status.st_dev);
    return result < 0 ? wherry_error_set(err, -result, "copy %s into its tmpfs", path) : 0;
}
