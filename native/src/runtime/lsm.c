/* Labels of the kernel's security modules; see wherry/lsm.h. */
#include "wherry/lsm.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The list of file systems is short; a profile's name is a path at the most. */
#define FILESYSTEMS_MAX 16384
#define LABEL_MAX 4096

static const char *const names[WHERRY_LSM_KINDS] = {
    [WHERRY_LSM_APPARMOR] = "AppArmor",
    [WHERRY_LSM_SELINUX] = "SELinux",
};

const char *wherry_lsm_name(enum wherry_lsm lsm)
{
    return names[lsm];
}

static bool starts_with(int root, const char *path, const char *prefix)
{
    cleanup_close int fd = openat(root, path, O_RDONLY | O_CLOEXEC);
    char text[16];
    ssize_t got = fd >= 0 ? read(fd, text, sizeof(text)) : -1;

    return got >= (ssize_t)strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

/* The module registers its file system when it is switched on at boot, and only then. */
static bool has_filesystem(int root, const char *name)
{
    cleanup_free char *text = NULL;
    size_t length = 0;
    char line[64];

    if (wherry_file_read(root, "proc/filesystems", FILESYSTEMS_MAX, &text, &length, NULL) < 0)
        return false;
    snprintf(line, sizeof(line), "\t%s\n", name);
    return strstr(text, line) != NULL;
}

bool wherry_lsm_is_enabled(enum wherry_lsm lsm, int root)
{
    if (lsm == WHERRY_LSM_APPARMOR)
        return starts_with(root, "sys/module/apparmor/parameters/enabled", "Y");
    return has_filesystem(root, "selinuxfs");
}

int wherry_lsm_open(enum wherry_lsm lsm, int proc, pid_t pid, struct wherry_error *err)
{
    char path[64];
    int fd = -1;

    /* The file of the module's own first (Linux 5.8): with several modules the common one belongs to another. */
    if (lsm == WHERRY_LSM_APPARMOR) {
        snprintf(path, sizeof(path), "%d/attr/apparmor/exec", (int)pid);
        fd = wherry_paths_open_beneath(proc, path, O_WRONLY, err);
        if (fd >= 0 || fd != -ENOENT)
            return fd;
    }
    snprintf(path, sizeof(path), "%d/attr/exec", (int)pid);
    return wherry_paths_open_beneath(proc, path, O_WRONLY, err);
}

int wherry_lsm_write(enum wherry_lsm lsm, int fd, const char *label, struct wherry_error *err)
{
    char text[LABEL_MAX + 8];
    int length = snprintf(text, sizeof(text), "%s%s", lsm == WHERRY_LSM_APPARMOR ? "exec " : "", label);

    if (length >= (int)sizeof(text))
        return wherry_error_set(err, ENAMETOOLONG, "a label of %zu bytes", strlen(label));
    /* One write is one label. */
    if (write(fd, text, (size_t)length) != length)
        return wherry_error_set(err, errno, "%s", label);
    return 0;
}
