/* Whole files; see wherry/file.h. */
#include "wherry/file.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_READ 4096

int wherry_write_all(int fd, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        ssize_t written = write(fd, at, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        length -= (size_t)written;
    }
    return 0;
}

int wherry_file_read_fd(int fd, const char *name, size_t limit, char **text, size_t *length, struct wherry_error *err)
{
    cleanup_free char *buffer = NULL;
    size_t size = 0, used = 0;
    struct stat status;

    if (fstat(fd, &status) < 0)
        return wherry_error_set(err, errno, "stat %s", name);
    if (!S_ISREG(status.st_mode))
        return wherry_error_set(err, EINVAL, "%s: not a regular file", name);
    /* One byte more than the size tells end of file in the same read. */
    size = status.st_size > 0 && (size_t)status.st_size <= limit ? (size_t)status.st_size + 2 : FIRST_READ;
    for (;;) {
        ssize_t got;
        char *larger = buffer == NULL || used + 1 >= size ? realloc(buffer, size *= buffer == NULL ? 1 : 2) : buffer;

        if (larger == NULL)
            return wherry_error_set(err, ENOMEM, "read %s", name);
        buffer = larger;
        got = read(fd, buffer + used, size - used - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return wherry_error_set(err, errno, "read %s", name);
        used += (size_t)got;
        if (used > limit)
            return wherry_error_set(err, EFBIG, "%s: larger than %zu bytes", name, limit);
        if (got == 0)
            break;
    }
    buffer[used] = '\0';
    *text = wherry_steal_pointer(&buffer);
    *length = used;
    return 0;
}

int wherry_file_read(int dirfd, const char *path, size_t limit, char **text, size_t *length, struct wherry_error *err)
{
    cleanup_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return wherry_error_set(err, errno, "open %s", path);
    return wherry_file_read_fd(fd, path, limit, text, length, err);
}

int wherry_file_replace(int dirfd, const char *path, const char *text, size_t length, mode_t mode,
                        struct wherry_error *err)
{
    char temporary[NAME_MAX + 1];
    int result;

    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d", path, getpid()) >= sizeof(temporary))
        return wherry_error_set(err, ENAMETOOLONG, "%s", path);
    {
        cleanup_close int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);

        if (fd < 0)
            return wherry_error_set(err, errno, "create %s", temporary);
        result = wherry_write_all(fd, text, length);
    }
    if (result == 0 && renameat(dirfd, temporary, dirfd, path) < 0)
        result = -errno;
    if (result < 0) {
        unlinkat(dirfd, temporary, 0);
        return wherry_error_set(err, -result, "write %s", path);
    }
    return 0;
}

int wherry_file_write(int dirfd, const char *path, const char *text, struct wherry_error *err)
{
    cleanup_close int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    size_t length = strlen(text);
    ssize_t written;

    if (fd < 0)
        return wherry_error_set(err, errno, "open %s", path);
    /* Kernel files take one write as one value: a second one would be another value, so it is never split. */
    do {
        written = write(fd, text, length);
    } while (written < 0 && errno == EINTR);
    if (written < 0)
        return wherry_error_set(err, errno, "write \"%s\" to %s", text, path);
    if ((size_t)written != length)
        return wherry_error_set(err, EIO, "write \"%s\" to %s: %zd of %zu bytes taken", text, path, written, length);
    return 0;
}
