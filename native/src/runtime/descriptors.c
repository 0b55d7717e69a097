/* Descriptors that this process has inherited; see descriptors.h. */
#include "descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

int wherry_descriptors_close_from(unsigned first, struct wherry_error *err)
{
    /* A closed standard stream would let the next file that is opened become it. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return wherry_error_set(err, errno, "open /dev/null");
    }
    if (syscall(SYS_close_range, first, ~0u, 0) < 0)
        return wherry_error_set(err, errno, "close inherited descriptors");
    return 0;
}
