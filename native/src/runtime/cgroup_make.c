/* Making directories: parents, cpuset's inheritance on v1, and delegation of controllers on v2. */
#include "runtime/cgroup_make.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define CPUSET_TEXT_MAX 4096
#define CONTROLLERS_TEXT_MAX 512
/* A parent can be removed by its owner while the child is made. */
#define MAKE_TRIES 5

/*
 * A group that all can pass through, whatever the umask of who started this process: root of a user namespace is nobody
 * here, and the kernel looks its group up by its rights when it mounts the hierarchy.
 */
static int make_group(const char *path)
{
    if (mkdir(path, 0755) < 0)
        return -errno;
    return chmod(path, 0755) < 0 && errno != ENOENT ? -errno : 0;
}

static int make_parents(const char *path)
{
    cleanup_free char *copy = strdup(path);

    if (copy == NULL)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        int result;

        *slash = '\0';
        result = make_group(copy);
        if (result < 0 && result != -EEXIST && result != -EROFS)
            return result;
        *slash = '/';
    }
    return 0;
}

/* A group with processes belongs to somebody who lives; an empty one is what a crash left behind. */
static int take_over(struct wherry_cgroup_directory *directory, struct wherry_error *err)
{
    char text[32];
    int result = cgroup_directory_open(directory, err);

    if (result < 0)
        return result;
    result = cgroup_file_read(directory->fd, "cgroup.procs", text, sizeof(text));
    if (result < 0)
        return wherry_error_set(err, -result, "read %s/cgroup.procs", directory->path);
    if (result > 0)
        return wherry_error_set(err, EBUSY, "linux.cgroupsPath: %s: container's cgroup is not empty: process %.*s",
                                directory->path, (int)strcspn(text, "\n"), text);
    return 0;
}

/* Of a scope (`unit`) systemd has made some, with its keeper inside. */
static int make_one(struct wherry_cgroup_directory *directory, bool unit, struct wherry_error *err)
{
    for (int i = 0; i < MAKE_TRIES; i++) {
        int result;

        result = make_group(directory->path);
        if (result == 0) {
            directory->made = true;
            return 0;
        }
        if (result == -EEXIST)
            return unit ? 0 : take_over(directory, err);
        if (result != -ENOENT)
            return wherry_error_set(err, -result, "make %s", directory->path);
        result = make_parents(directory->path);
        if (result < 0)
            return wherry_error_set(err, -result, "make the parents of %s", directory->path);
    }
    return wherry_error_set(err, ENOENT, "make %s", directory->path);
}

/* Copies a cpuset file from the parent where it is empty. Returns whether it was, or -errno. */
static int inherit_file(int parent, int child, const char *file)
{
    char text[CPUSET_TEXT_MAX];
    int result = cgroup_file_read(child, file, text, sizeof(text));

    if (result != 0)
        return result < 0 ? result : 0;
    result = cgroup_file_read(parent, file, text, sizeof(text));
    if (result > 0)
        result = cgroup_file_write(child, file, text);
    return result < 0 ? result : 1;
}

static bool has_cpuset(int directory)
{
    char text[CPUSET_TEXT_MAX];

    return cgroup_file_read(directory, "cpuset.cpus", text, sizeof(text)) > 0 &&
           cgroup_file_read(directory, "cpuset.mems", text, sizeof(text)) > 0;
}

/* Gives a group its parent's CPUs and memory nodes where it has none. */
static int inherit_from(int parent, int child, const char *path, bool leaf, struct wherry_error *err)
{
    int cpus = inherit_file(parent, child, "cpuset.cpus");
    int mems = cpus < 0 ? 0 : inherit_file(parent, child, "cpuset.mems");

    if (cpus < 0 || mems < 0)
        return wherry_error_set(err, cpus < 0 ? -cpus : -mems, "initialise the cpuset %s", path);
    if (!leaf && (cpus > 0 || mems > 0))
        (void)cgroup_file_write(child, "cgroup.clone_children", "1");
    return 0;
}

/*
 * On v1 a new cpuset is empty and takes no process (ENOSPC) until its CPUs and memory nodes are written. From the first
 * group above that has any (the root of the hierarchy is never empty) down to `path`, each gets its parent's, and
 * clone_children, so that the kernel itself does it for those that come later: then two reads tell that there is
 * nothing to do. The length of `path`, which is changed meanwhile, bounds the depth.
 */
static int fill_cpuset(int directory, char *path, bool leaf, struct wherry_error *err)
{
    cleanup_close int parent = -1;
    char *slash = strrchr(path, '/');
    int result;

    if (has_cpuset(directory) || slash == NULL || slash == path)
        return 0;
    *slash = '\0';
    parent = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    result = parent < 0 ? wherry_error_set(err, errno, "open %s", path) : fill_cpuset(parent, path, false, err);
    *slash = '/';
    return result < 0 ? result : inherit_from(parent, directory, path, leaf, err);
}

static int inherit_cpuset(struct wherry_cgroup_directory *directory, struct wherry_error *err)
{
    cleanup_free char *path = NULL;
    int result = cgroup_directory_open(directory, err);

    if (result < 0)
        return result;
    path = strdup(directory->path);
    if (path == NULL)
        return wherry_error_set(err, ENOMEM, "%s", directory->path);
    return fill_cpuset(directory->fd, path, true, err);
}

int cgroup_make_directories(struct wherry_cgroup *cg, struct wherry_error *err)
{
    int result = 0;

    for (size_t i = 0; i < cg->count && result >= 0; i++) {
        result = make_one(&cg->at[i], cg->unit != NULL, err);
        if (result >= 0 && !cg->at[i].unified && (cg->at[i].controllers & CGROUP_BIT(CGROUP_CPUSET)) != 0)
            result = inherit_cpuset(&cg->at[i], err);
    }
    return result < 0 ? result : cgroup_refuse_frozen(cg, err);
}

/* The controllers named in a file like cgroup.controllers, as bits. */
static int read_controllers(int directory, const char *file, unsigned *bits)
{
    char text[CONTROLLERS_TEXT_MAX];
    int result = cgroup_file_read(directory, file, text, sizeof(text));

    *bits = 0;
    if (result < 0)
        return result;
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, " ");
        int controller = cgroup_controller_find(at, length);

        if (controller >= 0)
            *bits |= CGROUP_BIT(controller);
        at += length + (at[length] == ' ');
    }
    return 0;
}

/* Delegates to the children of `directory` what it has and they lack. One controller that is refused (cpu, while
 * realtime processes run) does not keep the others back. Returns the first error, which matters only to who needs it.
 */
static int delegate(int directory)
{
    unsigned available, enabled;
    int first = 0, result = read_controllers(directory, "cgroup.controllers", &available);

    if (result >= 0)
        result = read_controllers(directory, "cgroup.subtree_control", &enabled);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < CGROUP_NAMED; i++) {
        char word[64];

        if ((available & ~enabled & CGROUP_BIT(i)) == 0)
            continue;
        snprintf(word, sizeof(word), "+%s", cgroup_controller_name(i, true));
        result = cgroup_file_write(directory, "cgroup.subtree_control", word);
        if (result < 0 && first == 0)
            first = result;
    }
    return first;
}

/* Walks from the mount down to the container's parent. `*refused` and its path tell where a delegation failed. */
static int delegate_down(const char *path, int *refused, char refused_path[PATH_MAX], struct wherry_error *err)
{
    cleanup_free char *copy = strdup(path);

    if (copy == NULL)
        return wherry_error_set(err, ENOMEM, "%s", path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        cleanup_close int directory = -1;

        *slash = '\0';
        directory = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
            return wherry_error_set(err, errno, "open %s", copy);
        if (faccessat(directory, "cgroup.subtree_control", F_OK, 0) == 0) {
            int result = delegate(directory);

            if (result < 0 && *refused == 0) {
                *refused = result;
                snprintf(refused_path, PATH_MAX, "%s", copy);
            }
        }
        *slash = '/';
    }
    return 0;
}

static int check_settings(const struct wherry_cgroup_directory *directory, const struct cgroup_settings *settings,
                          int refused, const char *refused_path, struct wherry_error *err)
{
    unsigned available;
    int result = read_controllers(directory->fd, "cgroup.controllers", &available);

    if (result < 0)
        return wherry_error_set(err, -result, "read %s/cgroup.controllers", directory->path);
    for (size_t i = 0; i < settings->count; i++) {
        const struct cgroup_setting *setting = &settings->list[i];

        if (setting->controller == CGROUP_CORE || setting->unlimited ||
            (available & CGROUP_BIT(setting->controller)) != 0)
            continue;
        if (refused != 0)
            return wherry_error_set(err, -refused, "linux.resources.%s: the %s controller cannot be enabled in %s",
                                    setting->field, cgroup_controller_name(setting->controller, true), refused_path);
        return wherry_error_set(err, ENOTSUP,
                                "linux.resources.%s: the %s controller is not available below %s: this kernel lacks "
                                "it, or it was not delegated",
                                setting->field, cgroup_controller_name(setting->controller, true), directory->path);
    }
    return 0;
}

int cgroup_make_controllers(struct wherry_cgroup *cg, const struct cgroup_settings *settings, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_CORE);
    char refused_path[PATH_MAX] = "";
    int refused = 0, result;

    if (cg->layout != WHERRY_CGROUP_V2 || directory == NULL)
        return 0;
    result = cgroup_directory_open(directory, err);
    if (result >= 0)
        result = delegate_down(directory->path, &refused, refused_path, err);
    return result < 0 ? result : check_settings(directory, settings, refused, refused_path, err);
}
