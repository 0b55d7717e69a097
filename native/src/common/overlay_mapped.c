/*
 * An overlay whose layers are seen through the ID map of a user namespace (mount_setattr(2), "ID-mapped mounts"; Linux
 * 5.19 for overlayfs): on disk stand the owners as a container knows them, and the mount shows those of its namespace.
 *
 * Layers have to be mounted somewhere while the overlay is made (clone_private_mount in the kernel). That happens in a
 * mount namespace of a thread's own, which ends with the thread: nothing is left over, whenever the process is killed.
 */
#include "wherry/cleanup.h"
#include "wherry/fs_user.h"
#include "wherry/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct task {
    const struct wherry_mapped_overlay *wanted;
    struct wherry_error *err;
    int mounted; /* the overlay, not yet attached anywhere */
};

/* A mount of the directory alone, its owners mapped, at `place`, which is made. */
static int mount_mapped(const char *source, const char *place, int user_fd, struct wherry_error *err)
{
    struct mount_attr map = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_fd};
    cleanup_close int tree = (int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (tree < 0)
        return wherry_error_set(err, errno, "open %s", source);
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &map, sizeof(map)) < 0)
        return wherry_error_set(err, errno, "map the owners of %s", source);
    if (mkdir(place, 0700) < 0 || syscall(SYS_move_mount, tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return wherry_error_set(err, errno, "mount %s at %s", source, place);
    return 0;
}

/* The thread's own mounts: what is mounted here shows nowhere else. The target carries a tmpfs with places for layers.
 */
static int prepare(const char *target, struct wherry_error *err)
{
    if (unshare(CLONE_FS | CLONE_NEWNS) < 0)
        return wherry_error_set(err, errno, "unshare mounts");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return wherry_error_set(err, errno, "make mounts private");
    if (mount("tmpfs", target, "tmpfs", 0, "mode=700") < 0)
        return wherry_error_set(err, errno, "mount a tmpfs");
    return 0;
}

struct places {
    char **layers;
    size_t count;
    char merged[PATH_MAX], data[PATH_MAX], upper[PATH_MAX], work[PATH_MAX];
};

static void free_places(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        free(places->layers[i]);
    free(places->layers);
}

#define cleanup_places __attribute__((cleanup(free_places)))

static int map_layers(const struct wherry_mapped_overlay *wanted, struct places *places, int user_fd,
                      struct wherry_error *err)
{
    places->layers = calloc(wanted->lower_count, sizeof(*places->layers));
    if (places->layers == NULL)
        return wherry_error_set(err, ENOMEM, "layers");
    for (size_t i = 0; i < wanted->lower_count; i++) {
        if (asprintf(&places->layers[i], "%s/%zu", wanted->target, i) < 0)
            return wherry_error_set(err, ENOMEM, "layers");
        places->count++;
        if (mount_mapped(wanted->lower[i], places->layers[i], user_fd, err) < 0)
            return -1;
    }
    return 0;
}

/* Upper and work directory have to be on one mount, so the directory that holds both is mapped. */
static int map_upper(const struct wherry_mapped_overlay *wanted, struct places *places, int user_fd,
                     struct wherry_error *err)
{
    snprintf(places->data, sizeof(places->data), "%s/data", wanted->target);
    snprintf(places->upper, sizeof(places->upper), "%s/data/%s", wanted->target, wanted->upper);
    snprintf(places->work, sizeof(places->work), "%s/data/%s", wanted->target, wanted->work);
    snprintf(places->merged, sizeof(places->merged), "%s/merged", wanted->target);
    if (mount_mapped(wanted->data, places->data, user_fd, err) < 0)
        return -1;
    return mkdir(places->merged, 0700) < 0 ? wherry_error_set(err, errno, "make %s", places->merged) : 0;
}

static int make(struct task *task)
{
    const struct wherry_mapped_overlay *wanted = task->wanted;
    struct places places cleanup_places = {0};
    cleanup_close int user_fd = open(wanted->user_namespace, O_RDONLY | O_CLOEXEC);

    if (user_fd < 0)
        return wherry_error_set(task->err, errno, "open user namespace %s", wanted->user_namespace);
    /* What overlayfs makes for itself, whiteouts and its scratch directory, belongs to whoever mounts it. */
    if (prepare(wanted->target, task->err) < 0 || map_layers(wanted, &places, user_fd, task->err) < 0 ||
        map_upper(wanted, &places, user_fd, task->err) < 0 ||
        wherry_fs_user_become(wanted->uid, wanted->gid, task->err) < 0 ||
        wherry_overlay_mount(places.merged, (const char *const *)places.layers, places.count, places.upper, places.work,
                             task->err) < 0)
        return -1;
    task->mounted = (int)syscall(SYS_open_tree, AT_FDCWD, places.merged, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return task->mounted < 0 ? wherry_error_set(task->err, errno, "open the overlay") : 0;
}

static void *run(void *argument)
{
    make(argument);
    return NULL;
}

int wherry_overlay_mount_mapped(const struct wherry_mapped_overlay *wanted, struct wherry_error *err)
{
    struct task task = {.wanted = wanted, .err = err, .mounted = -1};
    cleanup_close int mounted = -1;
    pthread_t thread;
    int failed;

    if (wanted->lower_count == 0)
        return wherry_error_set(err, EINVAL, "overlay %s: needs a layer", wanted->target);
    failed = pthread_create(&thread, NULL, run, &task);
    if (failed != 0)
        return wherry_error_set(err, failed, "overlay %s: start a thread", wanted->target);
    pthread_join(thread, NULL);
    mounted = task.mounted;
    if (mounted < 0)
        return wherry_error_prefix(err, "overlay %s", wanted->target);
    if (syscall(SYS_move_mount, mounted, "", AT_FDCWD, wanted->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return wherry_error_set(err, errno, "overlay %s: move_mount", wanted->target);
    return 0;
}
