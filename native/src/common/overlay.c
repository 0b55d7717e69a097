/* See wherry/overlay.h. */
#include "wherry/overlay.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
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

/* Directories that layers share: everything up to the last slash before which all names agree. */
static size_t common_prefix(const char *const *names, size_t count)
{
    size_t length = 0;

    for (size_t at = 0;; at++) {
        for (size_t i = 0; i < count; i++)
            if (names[i][at] != names[0][at] || names[i][at] == '\0')
                return length;
        if (names[0][at] == '/')
            length = at + 1;
    }
}

/* Joins the layers as `lowerdir` wants them, relative to the working directory, ":" and "\" escaped. */
static char *join_layers(const char *const *lower, size_t count, size_t skip)
{
    size_t room = 1;
    char *joined, *end;

    for (size_t i = 0; i < count; i++)
        room += 2 * strlen(lower[i]) + 1;
    joined = malloc(room);
    if (joined == NULL)
        return NULL;
    end = joined;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *end++ = ':';
        for (const char *from = lower[i] + skip; *from != '\0'; from++) {
            if (*from == ':' || *from == '\\')
                *end++ = '\\';
            *end++ = *from;
        }
    }
    *end = '\0';
    return joined;
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

struct classic {
    const char *target, *base;
    char options[OPTIONS_MAX];
};

/* In a child of its own: the working directory, to which the layers' names are relative, is the process's. */
static int mount_in_child(const struct classic *request)
{
    pid_t pid = vfork();
    int status;

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        if (chdir(request->base) < 0)
            _exit(errno);
        _exit(mount("overlay", request->target, "overlay", 0, request->options) < 0 ? errno : 0);
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static int mount_by_options(const char *target, const char *const *lower, size_t count, const char *upper,
                            const char *work, struct wherry_error *err)
{
    struct classic request = {.target = target};
    size_t skip = common_prefix(lower, count);
    cleanup_free char *base = strndup(skip > 0 ? lower[0] : "/", skip > 0 ? skip : 1);
    cleanup_free char *layers = join_layers(lower, count, skip);
    int written, ret;

    if (base == NULL || layers == NULL)
        return wherry_error_set(err, ENOMEM, "overlay %s", target);
    request.base = base;
    written = upper == NULL
                  ? snprintf(request.options, OPTIONS_MAX, "lowerdir=%s", layers)
                  : snprintf(request.options, OPTIONS_MAX, "lowerdir=%s,upperdir=%s,workdir=%s", layers, upper, work);
    if (written >= OPTIONS_MAX)
        return wherry_error_set(err, E2BIG, "overlay %s: %zu layers are more than this kernel's mount options hold",
                                target, count);
    ret = mount_in_child(&request);
    if (ret < 0)
        return wherry_error_set(err, -ret, "overlay %s: mount", target);
    return 0;
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
