/* Probes of file systems: whether overlay mounts, whether loop devices can be made. */
#include "kernel/kernel_probe.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* In the child's own mount namespace: everything happens on a tmpfs that nobody else sees. */
static int mount_overlay(void)
{
    static const char *const directories[] = {"/tmp/lower", "/tmp/upper", "/tmp/work", "/tmp/merged"};

    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=700") < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        if (mkdir(directories[i], 0700) < 0)
            return -errno;
    }
    if (mount("overlay", "/tmp/merged", "overlay", 0, "lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work") < 0)
        return -errno;
    /* A file that can be made is what a container needs of it. */
    return mkdir("/tmp/merged/made", 0700) < 0 ? -errno : 0;
}

static const struct kernel_probe overlay = {
    .group = "storage: overlay",
    .name = "overlay mount",
    .option = "CONFIG_OVERLAY_FS",
    .module = "overlay",
    .required = true,
    .breaks = "the file systems of containers",
    .remedy = "modprobe overlay, or build the kernel with CONFIG_OVERLAY_FS",
    .namespaces = CLONE_NEWNS,
    .attempt = mount_overlay,
};

/* Opened, the node would load the module: only that it is there can be asked. */
static int probe_loop(struct wherry_kernel_report *report, struct wherry_error *err)
{
    struct wherry_kernel_finding finding = {
        .group = "storage: loop",
        .name = "/dev/loop-control",
        .module = "loop",
        .breaks = "volumes and images in files",
        .state = WHERRY_KERNEL_OK,
    };
    struct stat status;

    if (stat(finding.name, &status) == 0 && S_ISCHR(status.st_mode))
        return kernel_report_add(report, err, &finding, "%s", "");
    finding.state = WHERRY_KERNEL_FAILED;
    return kernel_report_add(report, err, &finding, "modprobe loop; where /dev is not a devtmpfs: mknod %s c 10 237",
                             finding.name);
}

int kernel_probe_storage(const struct kernel_view *view, struct wherry_kernel_report *report, struct wherry_error *err)
{
    int result = kernel_probe_run(&overlay, view, report, err);

    return result < 0 ? result : probe_loop(report, err);
}
