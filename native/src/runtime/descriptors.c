/* Descriptors that this process has inherited; see descriptors.h. */
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LISTEN_MAX 1024

int wherry_descriptors_close_from(unsigned first, struct wherry_error *err)
{
    /* A closed standard stream would let the next file that is opened become it. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return wherry_error_set(err, errno, "open /dev/null");
    }
    for (unsigned fd = STDERR_FILENO + 1; fd < first; fd++) {
        if (fcntl((int)fd, F_GETFD) < 0)
            return wherry_error_set(err, errno, "preserved-fd %u (of %u), descriptor %u", fd - 3, first - 3, fd);
    }
    if (syscall(SYS_close_range, first, ~0u, 0) < 0)
        return wherry_error_set(err, errno, "close inherited descriptors");
    return 0;
}

static bool read_number(const char *name, unsigned long most, unsigned long *number)
{
    const char *text = getenv(name);
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *number = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *number <= most;
}

unsigned wherry_descriptors_listening(void)
{
    unsigned long count = 0, pid = 0;

    if (!read_number("LISTEN_FDS", LISTEN_MAX, &count))
        return 0;
    if (getenv("LISTEN_PID") != NULL && (!read_number("LISTEN_PID", INT_MAX, &pid) || pid != (unsigned long)getpid()))
        return 0;
    return (unsigned)count;
}
