/* The small files of control group directories; see cgroup_file.h. */
#include "runtime/cgroup_file.h"

#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define WAIT_FIRST 50U
#define WAIT_MOST 20000U

int cgroup_directory_open(struct wherry_cgroup_directory *directory, struct wherry_error *err)
{
    if (directory->fd < 0) {
        directory->fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (directory->fd < 0)
            return wherry_error_set(err, errno, "open %s", directory->path);
    }
    return directory->fd;
}

int cgroup_file_read(int directory, const char *file, char *text, size_t size)
{
    cleanup_close int fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t used = 0;

    if (fd < 0)
        return -errno;
    while (used + 1 < size) {
        ssize_t got = read(fd, text + used, size - 1 - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    while (used > 0 && text[used - 1] == '\n')
        used--;
    text[used] = '\0';
    return (int)used;
}

int cgroup_file_write(int directory, const char *file, const char *text)
{
    cleanup_close int fd = openat(directory, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

struct wherry_cgroup_directory *cgroup_directory_of(struct wherry_cgroup *cg, unsigned controller)
{
    for (size_t i = 0; i < cg->count; i++) {
        if ((cg->at[i].controllers & CGROUP_BIT(controller)) != 0)
            return &cg->at[i];
    }
    return NULL;
}

unsigned cgroup_wait(unsigned round)
{
    unsigned us = round > 8 || WAIT_FIRST << round > WAIT_MOST ? WAIT_MOST : WAIT_FIRST << round;
    struct timespec time = {.tv_nsec = (long)us * 1000};

    nanosleep(&time, NULL);
    return us;
}
