/* Running from a copy of the own program that nobody can change; see sealed_copy.h. */
#include "sealed_copy.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int copy(int from, int to, off_t size)
{
    off_t at = 0;

    while (at < size) {
        ssize_t sent = sendfile(to, from, &at, (size_t)(size - at));

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return sent < 0 ? -errno : -EIO;
    }
    return 0;
}

int wherry_sealed_copy_enter(char *const argv[], char *const envp[], struct wherry_error *err)
{
    cleanup_close int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    cleanup_close int sealed = -1;
    struct stat status;
    int result;

    if (self < 0)
        return wherry_error_set(err, errno, "open own program");
    /* Only a memfd has seals; one with all of them is what this function makes. */
    if (fcntl(self, F_GET_SEALS) == SEALS)
        return 0;
    sealed = memfd_create("wherry-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (sealed < 0 || fstat(self, &status) < 0)
        return wherry_error_set(err, errno, "copy own program");
    result = copy(self, sealed, status.st_size);
    if (result < 0)
        return wherry_error_set(err, -result, "copy own program");
    if (fcntl(sealed, F_ADD_SEALS, SEALS) < 0)
        return wherry_error_set(err, errno, "seal the copy of own program");
    fexecve(sealed, argv, envp);
    return wherry_error_set(err, errno, "execute the copy of own program");
}
