/* User namespaces that serve as ID mappings of mounts; see idmap.h. */
#include "idmap.h"

#include "namespaces.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_namespace(pid_t pid, struct wherry_error *err)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? fd : wherry_error_set(err, errno, "open %s", path);
}

int wherry_idmap_open(const struct wherry_id_mappings *uids, const struct wherry_id_mappings *gids,
                      struct wherry_error *err)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof(args));
    int fd = -1;

    if (pid < 0)
        return wherry_error_set(err, errno, "make a user namespace for a mount's IDs");
    if (pid == 0) {
        /* It only has to be there while its namespace is given its mappings. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (wherry_namespaces_map((pid_t)pid, uids, gids, err) == 0)
        fd = open_namespace((pid_t)pid, err);
    kill((pid_t)pid, SIGKILL);
    while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return fd;
}
