/* Steps of the child: the labels of security modules that its program gets; see child.h. */
#include "child.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* Of the root of every procfs, linux/proc_fs.h. */
#define PROC_ROOT_INODE 1

static const char *const fields[WHERRY_LSM_KINDS] = {
    [WHERRY_LSM_APPARMOR] = "process.apparmorProfile",
    [WHERRY_LSM_SELINUX] = "process.selinuxLabel",
};

/* The host's procfs, sure to be one: what a container or an image has put in its place takes no label. */
static int open_proc(struct wherry_error *err)
{
    cleanup_close int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct statfs system;
    struct stat status;

    if (proc < 0 || fstatfs(proc, &system) < 0 || fstat(proc, &status) < 0)
        return wherry_error_set(err, errno, "open /proc");
    if (system.f_type != PROC_SUPER_MAGIC || status.st_ino != PROC_ROOT_INODE)
        return wherry_error_set(err, EINVAL, "/proc is no procfs");
    return wherry_steal_fd(&proc);
}

int wherry_child_open_labels(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_identity *identity = subject;
    cleanup_close int proc = open_proc(err);

    if (proc < 0)
        return -1;
    for (int lsm = 0; lsm < WHERRY_LSM_KINDS; lsm++) {
        if (identity->labels[lsm] == NULL)
            continue;
        child->label_fds[lsm] = wherry_lsm_open((enum wherry_lsm)lsm, proc, child->pid, err);
        if (child->label_fds[lsm] < 0)
            return wherry_error_prefix(err, "%s", fields[lsm]);
    }
    return 0;
}

int wherry_child_write_labels(struct wherry_child *child, const void *subject, struct wherry_error *err)
{
    const struct wherry_identity *identity = subject;

    for (int lsm = 0; lsm < WHERRY_LSM_KINDS; lsm++) {
        if (identity->labels[lsm] != NULL &&
            wherry_lsm_write((enum wherry_lsm)lsm, child->label_fds[lsm], identity->labels[lsm], err) < 0)
            return wherry_error_prefix(err, "%s", fields[lsm]);
    }
    return 0;
}
