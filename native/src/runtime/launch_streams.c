/* The streams of a process in a user namespace; see launch.h. */
#include "launch.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* The user outside that is `inside` in the namespace of `pid`; -1 where its map does not have it, or is no shift. */
static int64_t outside_of(pid_t pid, uid_t inside)
{
    char path[64];
    unsigned first, outside, count;
    int64_t found = -1;
    FILE *map;

    snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
    map = fopen(path, "re");
    if (map == NULL)
        return -1;
    while (found < 0 && fscanf(map, "%u %u %u", &first, &outside, &count) == 3)
        if (inside >= first && inside - first < count)
            found = (int64_t)outside + (inside - first);
    fclose(map);
    return found;
}

void wherry_launch_own_streams(pid_t pid, const struct wherry_process *process)
{
    int64_t owner = process->terminal ? -1 : outside_of(pid, process->uid);

    if (owner < 0)
        return;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        struct stat status;

        /* Pipes alone: a file or a device of the host is not this process's to give away. */
        if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && status.st_uid != (uid_t)owner &&
            fchown(fd, (uid_t)owner, (gid_t)-1) < 0)
            continue; /* as on a failure inside (wherry_child_own_streams), it is left as it is */
    }
}
