/* See wherry/overlay.h. */
#include "wherry/overlay.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OPTIONS_MAX 4096 /* the kernel copies one page of mount data */

static int fs_config(int fd, unsigned int command, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fd, command, key, value, 0);
}

/* One layer a call. Kernels before 6.5 collect any key here and refuse it only when the mount is created. */
static int add_layers(int fd, const char *const *lower, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fs_config(fd, FSCONFIG_SET_STRING, "lowerdir+", lower[i]) < 0)
            return -errno;
    return 0;
}

static int configure_upper(int fd, const char *target, const char *upper, const char *work, struct wherry_error *err)
{
    if (upper == NULL)
        return 0;
    if (fs_config(fd, FSCONFIG_SET_STRING, "upperdir", upper) < 0)
        return wherry_error_set(err, errno, "overlay %s: upper directory %s", target, upper);
    if (fs_config(fd, FSCONFIG_SET_STRING, "workdir", work) < 0)
        return wherry_error_set(err, errno, "overlay %s: work directory %s", target, work);
    return 0;
}

static int attach(int fd, const char *target, struct wherry_error *err)
{
    cleanup_close int mounted = -1;

    if (fs_config(fd, FSCONFIG_CMD_CREATE, NULL, NULL) < 0) {
        int code = errno;
        char reason[512];
        ssize_t length = read(fd, reason, sizeof(reason) - 1); /* the file system's own words, when it has any */

        reason[length > 0 ? length : 0] = '\0';
        return wherry_error_set(err, code, "overlay %s: %s", target, length > 0 ? reason : "mount");
    }
    mounted = (int)syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, 0);
    if (mounted < 0)
        return wherry_error_set(err, errno, "overlay %s: fsmount", target);
    if (syscall(SYS_move_mount, mounted, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return wherry_error_set(err, errno, "overlay %s: move_mount", target);
    return 0;
}

/* 0 when mounted, negative on failure: -EINVAL also when this kernel cannot take layers one by one. */
static int mount_by_layers(const char *target, const char *const *lower, size_t count, const char *upper,
                           const char *work, struct wherry_error *err)
{
    cleanup_close int fd = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    int ret;

    if (fd < 0)
        return wherry_error_set(err, errno, "overlay %s: this kernel has no overlayfs", target);
    ret = add_layers(fd, lower, count);
    if (ret < 0)
        return wherry_error_set(err, -ret, "overlay %s: layers", target);
    ret = configure_upper(fd, target, upper, work, err);
    if (ret < 0)
        return ret;
    return attach(fd, target, err);
}

/*
 * Everything that a classic mount names, as open descriptors: in /proc/self/fd their numbers are names of a few bytes,
 * so that as many layers as overlayfs takes fit into the one page of options, and need no escaping.
 */
struct classic {
    int *fds; /* the layers, then upper and work if there are any, then the target */
    size_t count;
    char options[OPTIONS_MAX];
};

static void classic_close(struct classic *request)
{
    for (size_t i = 0; i < request->count; i++)
        close(request->fds[i]);
    free(request->fds);
}

#define cleanup_classic __attribute__((cleanup(classic_close)))

static int classic_open(struct classic *request, const char *path, const char *target, struct wherry_error *err)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return wherry_error_set(err, errno, "overlay %s: directory %s", target, path);
    request->fds[request->count++] = fd;
    return fd;
}

/* In a child of its own, whose descriptors the numbers are: the working directory is the process's. */
static int classic_mount(const struct classic *request, const char *target)
{
    pid_t pid = vfork();
    int status;

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        if (chdir("/proc/self/fd") < 0)
            _exit(errno);
        _exit(mount("overlay", target, "overlay", 0, request->options) < 0 ? errno : 0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

/* Opens the layers and writes the options. Returns the length of the options. */
static int classic_options(struct classic *request, const char *target, const char *const *lower, size_t count,
                           const char *upper, const char *work, struct wherry_error *err)
{
    int length = 0;

    for (size_t i = 0; i < count && length < OPTIONS_MAX; i++) {
        int fd = classic_open(request, lower[i], target, err);

        if (fd < 0)
            return fd;
        length +=
            snprintf(request->options + length, (size_t)(OPTIONS_MAX - length), "%s%d", i == 0 ? "lowerdir=" : ":", fd);
    }
    if (upper != NULL && length < OPTIONS_MAX) {
        int upper_fd = classic_open(request, upper, target, err);
        int work_fd = upper_fd < 0 ? upper_fd : classic_open(request, work, target, err);

        if (work_fd < 0)
            return work_fd;
        length += snprintf(request->options + length, (size_t)(OPTIONS_MAX - length), ",upperdir=%d,workdir=%d",
                           upper_fd, work_fd);
    }
    if (length >= OPTIONS_MAX)
        return wherry_error_set(err, E2BIG, "overlay %s: %zu layers are more than this kernel's mount options hold",
                                target, count);
    return length;
}

static int mount_by_options(const char *target, const char *const *lower, size_t count, const char *upper,
                            const char *work, struct wherry_error *err)
{
    struct classic request cleanup_classic = {.fds = calloc(count + 3, sizeof(int))};
    char target_number[16];
    int ret;

    if (request.fds == NULL)
        return wherry_error_set(err, ENOMEM, "overlay %s", target);
    ret = classic_options(&request, target, lower, count, upper, work, err);
    if (ret < 0)
        return ret;
    ret = classic_open(&request, target, target, err);
    if (ret < 0)
        return ret;
    snprintf(target_number, sizeof(target_number), "%d", ret);
    ret = classic_mount(&request, target_number);
    return ret < 0 ? wherry_error_set(err, -ret, "overlay %s: mount", target) : 0;
}

int wherry_overlay_mount(const char *target, const char *const *lower, size_t count, const char *upper,
                         const char *work, struct wherry_error *err)
{
    int ret;

    if (count == 0 || (upper == NULL) != (work == NULL))
        return wherry_error_set(err, EINVAL, "overlay %s: needs a layer, and upper and work together", target);
    ret = mount_by_layers(target, lower, count, upper, work, err);
    if (ret == -EINVAL)
        ret = mount_by_options(target, lower, count, upper, work, err);
    return ret;
}

int wherry_unmount(const char *target, bool lazy, struct wherry_error *err)
{
    int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);

    if (umount2(target, flags) < 0 && errno != EINVAL && errno != ENOENT)
        return wherry_error_set(err, errno, "unmount %s", target);
    return 0;
}
