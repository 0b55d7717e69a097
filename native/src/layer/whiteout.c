/* See whiteout.h; the two forms are those of the OCI image specification (layer.md, "Whiteouts") and of overlayfs
 * (Documentation/filesystems/overlayfs, "whiteouts and opaque directories"). */
#include "layer/whiteout.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define PREFIX ".wh."
#define META_PREFIX ".wh..wh."
#define OPAQUE_NAME ".wh..wh..opq"
#define OPAQUE_XATTR "trusted.overlay.opaque"
#define OPAQUE_USER_XATTR "user.overlay.opaque"

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static enum wherry_whiteout_kind kind_of_name(const char *name)
{
    if (!begins(name, PREFIX))
        return WHERRY_WHITEOUT_NONE;
    if (strcmp(name, OPAQUE_NAME) == 0)
        return WHERRY_WHITEOUT_OPAQUE;
    return begins(name, META_PREFIX) ? WHERRY_WHITEOUT_IGNORE : WHERRY_WHITEOUT_HIDE;
}

const char *wherry_whiteout_hidden_name(const char *name)
{
    return name + strlen(PREFIX);
}

int wherry_whiteout_kind(const char *path, enum wherry_whiteout_kind *kind, struct wherry_error *err)
{
    const char *name = path;

    for (const char *slash; (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        *kind = kind_of_name(name);
        if (*kind == WHERRY_WHITEOUT_IGNORE)
            return 0;
        if (*kind != WHERRY_WHITEOUT_NONE)
            return wherry_error_set(err, EBADMSG, "%.256s: a whiteout cannot be a directory", path);
    }
    *kind = kind_of_name(name);
    if (*kind == WHERRY_WHITEOUT_HIDE) {
        const char *hidden = wherry_whiteout_hidden_name(name);

        if (hidden[0] == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
            return wherry_error_set(err, EBADMSG, "%.256s: a whiteout of no name", path);
    }
    return 0;
}

int wherry_whiteout_set_opaque(int directory, bool user_xattr, struct wherry_error *err)
{
    if (fsetxattr(directory, user_xattr ? OPAQUE_USER_XATTR : OPAQUE_XATTR, "y", 1, 0) < 0)
        return wherry_error_set(err, errno, "make the directory opaque");
    return 0;
}

bool wherry_whiteout_is(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(0, 0);
}

bool wherry_whiteout_is_at(int parent, const char *name)
{
    struct stat there;

    return fstatat(parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && wherry_whiteout_is(&there);
}

bool wherry_whiteout_is_opaque(int fd, bool user_xattr)
{
    char path[32], value[2];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return getxattr(path, user_xattr ? OPAQUE_USER_XATTR : OPAQUE_XATTR, value, sizeof(value)) == 1 && value[0] == 'y';
}

int wherry_whiteout_name(char path[PATH_MAX], size_t length, const char *name, struct wherry_error *err)
{
    int written = name != NULL ? snprintf(path + length, PATH_MAX - length, PREFIX "%s", name)
                               : snprintf(path + length, PATH_MAX - length, OPAQUE_NAME);

    if ((size_t)written >= PATH_MAX - length)
        return wherry_error_set(err, ENAMETOOLONG, "%.256s…", path);
    return 0;
}

int wherry_whiteout_hide(int parent, const char *name, bool user_xattr, struct wherry_error *err)
{
    cleanup_close int fd = -1;

    if (mknodat(parent, name, S_IFCHR, makedev(0, 0)) == 0)
        return 0;
    if (errno != EEXIST)
        return wherry_error_set(err, errno, "make a whiteout");
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? 0 : wherry_error_set(err, errno, "look at what is hidden");
    return wherry_whiteout_set_opaque(fd, user_xattr, err);
}
