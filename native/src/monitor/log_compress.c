/* See log_compress.h. The format is RFC 1952's, as zlib writes it. */
#include "monitor/log_compress.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define PATH_ROOM 4096
#define CHUNK (32 * 1024)
#define GZIP_WINDOW (15 + 16) /* zlib.h: 16 more than the window's bits asks for a gzip header */
#define LEVEL 5
#define NICE 10

extern char **environ;

int log_compress_start(const char *path)
{
    char *const argv[] = {(char *)"wherry-monitor", (char *)LOG_COMPRESS_OPTION, (char *)path, NULL};
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid;
    int failed = posix_spawnattr_init(&attributes);

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (failed == 0)
        failed = posix_spawn(&pid, "/proc/self/exe", NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    return failed != 0 ? -failed : (int)pid;
}

static void name_parts(const char *path, char result[PATH_ROOM], char temporary[PATH_ROOM])
{
    snprintf(result, PATH_ROOM, "%s.gz", path);
    snprintf(temporary, PATH_ROOM, "%s.gz.tmp", path);
}

bool log_compress_is_busy(const char *path)
{
    char result[PATH_ROOM], temporary[PATH_ROOM];
    cleanup_close int fd = -1;

    name_parts(path, result, temporary);
    fd = open(temporary, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK;
    unlink(temporary);
    return false;
}

static int deflate_all(int from, int to, z_stream *stream, struct wherry_error *err)
{
    static unsigned char in[CHUNK], out[CHUNK];
    ssize_t got;

    do {
        do
            got = read(from, in, sizeof(in));
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return wherry_error_set(err, errno, "read");
        stream->next_in = in;
        stream->avail_in = (unsigned)got;
        do {
            int written;

            stream->next_out = out;
            stream->avail_out = sizeof(out);
            if (deflate(stream, got == 0 ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
                return wherry_error_set(err, 0, "deflate failed");
            written = wherry_write_all(to, out, sizeof(out) - stream->avail_out);
            if (written < 0)
                return wherry_error_set(err, -written, "write");
        } while (stream->avail_out == 0);
    } while (got > 0);
    return 0;
}

static int compress_to(int from, int to, struct wherry_error *err)
{
    z_stream stream = {0};
    int ret;

    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return wherry_error_set(err, ENOMEM, "deflate");
    ret = deflate_all(from, to, &stream, err);
    deflateEnd(&stream);
    return ret;
}

/* Whether the name still belongs to the open file: a rotation may have passed it on. */
static bool is_still(const char *path, int fd)
{
    struct stat named, open;

    return lstat(path, &named) == 0 && fstat(fd, &open) == 0 && named.st_ino == open.st_ino &&
           named.st_dev == open.st_dev;
}

int log_compress_run(const char *path, struct wherry_error *err)
{
    char result[PATH_ROOM], temporary[PATH_ROOM];
    cleanup_close int from = -1, to = -1;
    int ret;

    name_parts(path, result, temporary);
    if (setpriority(PRIO_PROCESS, 0, NICE) < 0)
        return wherry_error_set(err, errno, "setpriority");
    from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (from < 0)
        return wherry_error_set(err, errno, "%s", path);
    to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (to < 0 || flock(to, LOCK_EX | LOCK_NB) < 0)
        return wherry_error_set(err, errno, "%s", temporary);
    ret = compress_to(from, to, err);
    /* The compressed file appears before the plain one goes: a reader finds one of them at any time. */
    if (ret == 0 && is_still(path, from) && rename(temporary, result) == 0) {
        unlink(path);
        return 0;
    }
    unlink(temporary);
    return ret < 0 ? wherry_error_prefix(err, "%s", temporary) : 0;
}
