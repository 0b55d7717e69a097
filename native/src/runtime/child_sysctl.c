/* Step of the child: kernel parameters of the container's namespaces; see child.h. */
#include "child.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* A container without /proc in its mounts: a procfs that is mounted nowhere. */
static int open_private_proc(struct wherry_error *err)
{
    cleanup_close int context = fsopen("proc", FSOPEN_CLOEXEC);
    int fd;

    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return wherry_error_set(err, errno, "open a procfs for linux.sysctl");
    fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return fd >= 0 ? fd : wherry_error_set(err, errno, "open a procfs for linux.sysctl");
}

int wherry_child_set_sysctl(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_sysctl *sysctl = subject;
    cleanup_close int fd = -1;
    int result;

    if (child->proc_fd < 0)
        child->proc_fd = open_private_proc(err);
    if (child->proc_fd < 0)
        return -1;
    /* Neither a link nor something mounted over the file may turn this write to another one (CVE-2025-52881). */
    fd = wherry_paths_open_beneath(child->proc_fd, sysctl->path, O_WRONLY, err);
    if (fd < 0)
        return wherry_error_prefix(err, "linux.sysctl.%s", sysctl->name);
    result = wherry_write_all(fd, sysctl->value, strlen(sysctl->value));
    if (result < 0)
        return wherry_error_set(err, -result, "linux.sysctl.%s: %s", sysctl->name, sysctl->value);
    return 0;
}
