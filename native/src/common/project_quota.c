/* See wherry/project_quota.h. */
#include "wherry/project_quota.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443 /* the same on every architecture */
#endif
#define QUOTA_COMMAND(command, type) ((int)(((unsigned)(command) << SUBCMDSHIFT) | ((type)&SUBCMDMASK)))
#define BASIC_BLOCK 512

static int open_directory(const char *directory, struct wherry_error *err)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd >= 0 ? fd : wherry_error_set(err, errno, "%s", directory);
}

int wherry_project_assign(const char *directory, uint32_t project, struct wherry_error *err)
{
    struct fsxattr attributes;
    cleanup_close int fd = open_directory(directory, err);

    if (fd < 0)
        return -1;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0)
        return wherry_error_set(err, errno, "%s: read its project", directory);
    attributes.fsx_projid = project;
    attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (ioctl(fd, FS_IOC_FSSETXATTR, &attributes) < 0)
        return wherry_error_set(err, errno, "%s: set its project", directory);
    return 0;
}

int wherry_project_of(const char *directory, uint32_t *project, struct wherry_error *err)
{
    struct fsxattr attributes;
    cleanup_close int fd = open_directory(directory, err);

    *project = 0;
    if (fd < 0)
        return -1;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0)
        *project = attributes.fsx_projid;
    else if (errno != ENOTTY && errno != EOPNOTSUPP)
        return wherry_error_set(err, errno, "%s: read its project", directory);
    return 0;
}

int wherry_project_limit(const char *directory, uint32_t project, uint64_t bytes, struct wherry_error *err)
{
    struct fs_disk_quota quota = {
        .d_version = FS_DQUOT_VERSION,
        .d_id = project,
        .d_flags = FS_PROJ_QUOTA,
        .d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT,
        .d_blk_hardlimit = bytes / BASIC_BLOCK,
        .d_blk_softlimit = bytes / BASIC_BLOCK,
    };
    cleanup_close int fd = open_directory(directory, err);

    if (fd < 0)
        return -1;
    if (syscall(SYS_quotactl_fd, fd, QUOTA_COMMAND(Q_XSETQLIM, PRJQUOTA), project, &quota) < 0)
        return wherry_error_set(err, errno, "%s: limit project %u", directory, project);
    return 0;
}
