/* Paths inside a container's file system; see wherry/paths.h. */
#include "wherry/paths.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define LINKS_MAX 16
/* The kernel answers EAGAIN when a rename elsewhere raced with a ".." (openat2(2)); such a lookup is simply repeated.
 */
#define RACES_MAX 128

static int open_resolved(int directory, const char *path, int flags, unsigned long long resolve)
{
    struct open_how how = {.flags = (unsigned long long)(flags | O_CLOEXEC), .resolve = resolve};

    if ((flags & O_PATH) == 0)
        how.flags |= O_NOCTTY;
    for (int race = 0; race < RACES_MAX; race++) {
        long fd = syscall(SYS_openat2, directory, path, &how, sizeof(how));

        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return -errno;
}

static int open_in_root(int root, const char *path, int flags)
{
    return open_resolved(root, path[0] == '\0' ? "/" : path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int wherry_paths_open_in_root(int root, const char *path, int flags, struct wherry_error *err)
{
    int fd = open_in_root(root, path, flags);

    return fd >= 0 ? fd : wherry_error_set(err, -fd, "open %s in the container's root", path);
}

int wherry_paths_open_beneath(int directory, const char *path, int flags, struct wherry_error *err)
{
    int fd = open_resolved(directory, path, flags,
                           RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);

    return fd >= 0 ? fd : wherry_error_set(err, -fd, "open %s", path);
}

int wherry_paths_open_no_links(int directory, const char *path, int flags, struct wherry_error *err)
{
    int fd = open_resolved(directory, path, flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);

    return fd >= 0 ? fd : wherry_error_set(err, -fd, "open %s", path);
}

/* The last component of a path without trailing slashes, or NULL when there is none to create ("", "/", "..", "a/.").
 */
static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return NULL;
    return name;
}

/* Copies a path and removes the slashes at its end. */
static int trim(char *out, const char *path)
{
    size_t length = strlen(path);

    if (length >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(out, path, length + 1);
    while (length > 0 && out[length - 1] == '/')
        out[--length] = '\0';
    return 0;
}

static int make_directory(int root, const char *path, mode_t mode, int links);

/* `path` names a dangling symbolic link in `parent`: the path that it points to. */
static int follow_link(int parent, const char *path, const char *name, char joined[PATH_MAX])
{
    char target[PATH_MAX];
    size_t prefix;
    ssize_t length = readlinkat(parent, name, target, sizeof(target) - 1);

    if (length < 0)
        return -errno;
    target[length] = '\0';
    prefix = target[0] == '/' ? 0 : (size_t)(name - path);
    if (prefix + (size_t)length >= PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(joined, path, prefix);
    memcpy(joined + prefix, target, (size_t)length + 1);
    return 0;
}

static int make_link_target(int root, int parent, const char *path, const char *name, mode_t mode, int links)
{
    char joined[PATH_MAX];
    int result = follow_link(parent, path, name, joined);

    return result < 0 ? result : make_directory(root, joined, mode, links + 1);
}

/* Makes the last component of `path`, which is missing while its parents exist: -ENOENT when they do not. */
static int make_missing(int root, char *path, mode_t mode, int links)
{
    const char *name = last_component(path);
    cleanup_close int parent = -1;
    char *cut, first;
    int fd;

    if (name == NULL)
        return -ENOENT;
    cut = path + (name - path);
    first = *cut;
    *cut = '\0';
    parent = open_in_root(root, path, O_PATH | O_DIRECTORY);
    *cut = first;
    if (parent < 0)
        return parent;
    if (mkdirat(parent, name, mode) < 0) {
        if (errno != EEXIST)
            return -errno;
        fd = open_in_root(root, path, O_PATH | O_DIRECTORY);
        return fd == -ENOENT ? make_link_target(root, parent, path, name, mode, links) : fd;
    }
    return open_in_root(root, path, O_PATH | O_DIRECTORY);
}

/* The same unless it is there. */
static int make_last(int root, char *path, mode_t mode, int links)
{
    int fd = open_in_root(root, path, O_PATH | O_DIRECTORY);

    return fd != -ENOENT ? fd : make_missing(root, path, mode, links);
}

static int make_directory(int root, const char *path, mode_t mode, int links)
{
    char buffer[PATH_MAX];
    int fd;

    if (links > LINKS_MAX)
        return -ELOOP;
    fd = trim(buffer, path);
    if (fd < 0)
        return fd;
    /* The common cases: it is there, or its parent is. */
    fd = make_last(root, buffer, mode, links);
    if (fd != -ENOENT)
        return fd;
    for (char *at = buffer; *at != '\0';) {
        char *end = at + strcspn(at, "/");
        char kept = *end;

        *end = '\0';
        fd = make_last(root, buffer, mode, links);
        *end = kept;
        if (fd < 0 || kept == '\0')
            return fd;
        close(fd);
        at = end + strspn(end, "/");
    }
    return open_in_root(root, buffer, O_PATH | O_DIRECTORY);
}

int wherry_paths_mkdir_in_root(int root, const char *path, mode_t mode, struct wherry_error *err)
{
    int fd = make_directory(root, path, mode, 0);

    return fd >= 0 ? fd : wherry_error_set(err, -fd, "make directory %s in the container's root", path);
}

/* The directory of the last component of `path`, made when it is missing; -EINVAL when there is no such component. */
static int make_parent(int root, const char *path, const char **name, int links)
{
    char parent[PATH_MAX];
    size_t length;

    *name = last_component(path);
    if (*name == NULL)
        return -EINVAL;
    length = (size_t)(*name - path);
    if (length >= sizeof(parent))
        return -ENAMETOOLONG;
    memcpy(parent, path, length);
    parent[length] = '\0';
    return make_directory(root, parent, 0755, links);
}

int wherry_paths_parent_in_root(int root, const char *path, const char **name, struct wherry_error *err)
{
    int fd = make_parent(root, path, name, 0);

    if (fd == -EINVAL && *name == NULL)
        return wherry_error_set(err, EINVAL, "%s: names no file", path);
    return fd >= 0 ? fd : wherry_error_set(err, -fd, "make the directory of %s in the container's root", path);
}

static int make_file(int root, const char *path, mode_t mode, int links)
{
    cleanup_close int parent = -1;
    char joined[PATH_MAX];
    const char *name = NULL;
    int fd, result;

    fd = open_in_root(root, path, O_PATH);
    if (fd != -ENOENT)
        return fd;
    if (links > LINKS_MAX)
        return -ELOOP;
    parent = make_parent(root, path, &name, links);
    if (parent < 0)
        return parent;
    /* mknodat makes the file without opening it and never follows a link in the last component. */
    if (mknodat(parent, name, S_IFREG | mode, 0) < 0 && errno != EEXIST)
        return -errno;
    fd = open_in_root(root, path, O_PATH);
    if (fd != -ENOENT)
        return fd;
    /* Images have links to what only a running system has, /etc/resolv.conf above all. */
    result = follow_link(parent, path, name, joined);
    return result < 0 ? result : make_file(root, joined, mode, links + 1);
}

int wherry_paths_touch_in_root(int root, const char *path, mode_t mode, struct wherry_error *err)
{
    int fd = make_file(root, path, mode, 0);

    return fd >= 0 ? fd : wherry_error_set(err, -fd, "create %s in the container's root", path);
}
