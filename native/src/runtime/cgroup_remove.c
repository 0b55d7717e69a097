/* Removing a container's control groups with all that was made below them. */
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_unit.h"
#include "wherry/cgroup.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define REMOVE_US 5000000U
#define LEAVE_US 1000000U
#define DEPTH_MAX 64

static int remove_below(int parent, const char *name, unsigned depth);

/* Removes the groups inside; the files of a group go with it. */
static int remove_children(int parent, const char *name, unsigned depth)
{
    cleanup_close int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    cleanup_closedir DIR *stream = NULL;
    int result = 0;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    stream = fdopendir(fd);
    if (stream == NULL)
        return -errno;
    (void)wherry_steal_fd(&fd);
    for (struct dirent *entry = readdir(stream); entry != NULL && result == 0; entry = readdir(stream)) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            result = remove_below(dirfd(stream), entry->d_name, depth + 1);
    }
    return result;
}

static int remove_below(int parent, const char *name, unsigned depth)
{
    int result;

    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY && errno != ENOTEMPTY)
        return -errno;
    if (depth >= DEPTH_MAX)
        return -ELOOP;
    result = remove_children(parent, name, depth);
    if (result < 0)
        return result;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

/* A scope ends by itself when nobody is in it any more: that systemd cannot be asked to end it costs nothing but its
 * memory of it. */
static void stop_unit(struct wherry_cgroup *cg)
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    if (cg->unit == NULL || cgroup_unit_stop(cg, &err) >= 0)
        return;
    free(cg->warning);
    cg->warning = strdup(err.message);
}

int wherry_cgroup_remove(struct wherry_cgroup *cg, struct wherry_error *err)
{
    unsigned waited = 0;

    stop_unit(cg);
    for (size_t i = 0; i < cg->count; i++) {
        int result;

        wherry_cleanup_close(&cg->at[i].fd);
        cg->at[i].fd = -1;
        /* A killed process keeps its group busy until it has left it, some time after it stopped running. */
        for (unsigned round = 0; (result = remove_below(AT_FDCWD, cg->at[i].path, 0)) < 0; round++) {
            if (result != -EBUSY || waited >= REMOVE_US)
                return wherry_error_set(err, -result, "remove %s", cg->at[i].path);
            waited += cgroup_wait(round);
        }
    }
    return 0;
}

int wherry_cgroup_remove_abandoned(struct wherry_cgroup *cg, struct wherry_error *err)
{
    unsigned waited = 0;

    for (unsigned round = 0;; round++) {
        cleanup_free pid_t *pids = NULL;
        size_t count = 0;
        int result = wherry_cgroup_pids(cg, &pids, &count, err);

        if (result < 0)
            return result;
        if (count == 0)
            return wherry_cgroup_remove(cg, err);
        if (waited >= LEAVE_US)
            return 0;
        waited += cgroup_wait(round);
    }
}
