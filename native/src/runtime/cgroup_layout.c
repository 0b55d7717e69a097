/* Finding the mounted hierarchies, and a container's place in them; see cgroup_layout.h. */
#include "runtime/cgroup_layout.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define MOUNTINFO_MAX ((size_t)64 << 20)
#define OWN_GROUPS_MAX ((size_t)64 << 10)

static const struct {
    const char *v1;
    const char *v2; /* NULL: as on v1 */
} controller_names[CGROUP_CONTROLLERS] = {
    [CGROUP_CPU] = {"cpu", NULL},           [CGROUP_CPUACCT] = {"cpuacct", NULL},
    [CGROUP_CPUSET] = {"cpuset", NULL},     [CGROUP_MEMORY] = {"memory", NULL},
    [CGROUP_DEVICES] = {"devices", NULL},   [CGROUP_FREEZER] = {"freezer", NULL},
    [CGROUP_BLKIO] = {"blkio", "io"},       [CGROUP_PIDS] = {"pids", NULL},
    [CGROUP_HUGETLB] = {"hugetlb", NULL},   [CGROUP_NET_CLS] = {"net_cls", NULL},
    [CGROUP_NET_PRIO] = {"net_prio", NULL}, [CGROUP_PERF_EVENT] = {"perf_event", NULL},
    [CGROUP_RDMA] = {"rdma", NULL},         [CGROUP_MISC] = {"misc", NULL},
    [CGROUP_DMEM] = {"dmem", NULL},         [CGROUP_NAMED] = {"named", NULL},
    [CGROUP_CORE] = {"cgroup", NULL},
};

const char *cgroup_controller_name(enum cgroup_controller controller, bool unified)
{
    if (unified && controller_names[controller].v2 != NULL)
        return controller_names[controller].v2;
    return controller_names[controller].v1;
}

static bool same(const char *name, const char *text, size_t length)
{
    return name != NULL && strlen(name) == length && memcmp(name, text, length) == 0;
}

int cgroup_controller_find(const char *name, size_t length)
{
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (same(controller_names[i].v1, name, length) || same(controller_names[i].v2, name, length))
            return i;
    }
    return -1;
}

/* Reads "rw,cpu,cpuacct" or "name=systemd": the bits of the controllers in it, and the name where there is one. */
static unsigned parse_controllers(const char *list, char name[64])
{
    unsigned bits = 0;

    name[0] = '\0';
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        int controller = cgroup_controller_find(list, length);

        if (length > 5 && strncmp(list, "name=", 5) == 0) {
            snprintf(name, 64, "%.*s", (int)length - 5, list + 5);
            bits |= CGROUP_BIT(CGROUP_NAMED);
        } else if (controller >= 0 && controller < CGROUP_NAMED) {
            bits |= CGROUP_BIT(controller);
        }
        list += length + (list[length] == ',');
    }
    return bits;
}

/* mountinfo writes space, tab, newline and backslash as \040 and the like. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
            from[3] <= '7') {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* The same hierarchy can be mounted at many places; the first is taken. */
static bool known(const struct cgroup_layout *layout, const struct cgroup_mount *mount)
{
    for (size_t i = 0; i < layout->count; i++) {
        const struct cgroup_mount *other = &layout->at[i];

        if (other->unified == mount->unified && other->controllers == mount->controllers &&
            strcmp(other->name, mount->name) == 0)
            return true;
    }
    return false;
}

/* One line: "36 35 98:0 ROOT POINT OPTIONS [FIELDS…] - TYPE SOURCE SUPER_OPTIONS". */
static int parse_line(char *line, struct cgroup_layout *layout, struct wherry_error *err)
{
    struct cgroup_mount mount = {.controllers = 0};
    char *tail = strstr(line, " - "), *rest = line, *field[5], *type, *options;

    if (tail == NULL)
        return 0;
    *tail = '\0';
    rest = tail + 3;
    type = strsep(&rest, " ");
    (void)strsep(&rest, " ");
    options = rest;
    mount.unified = strcmp(type, "cgroup2") == 0;
    if (options == NULL || (!mount.unified && strcmp(type, "cgroup") != 0))
        return 0;
    rest = line;
    for (size_t i = 0; i < 5; i++)
        field[i] = strsep(&rest, " ");
    if (field[4] == NULL)
        return 0;
    if (!mount.unified)
        mount.controllers = parse_controllers(options, mount.name);
    if ((!mount.unified && mount.controllers == 0) || known(layout, &mount))
        return 0;
    if (layout->count == WHERRY_CGROUP_HIERARCHIES_MAX)
        return wherry_error_set(err, E2BIG, "/proc/self/mountinfo: more than %d cgroup hierarchies",
                                WHERRY_CGROUP_HIERARCHIES_MAX);
    unescape(field[3]);
    unescape(field[4]);
    mount.root = strdup(field[3]);
    mount.point = strdup(field[4]);
    layout->at[layout->count++] = mount;
    if (mount.root == NULL || mount.point == NULL)
        return wherry_error_set(err, ENOMEM, "read /proc/self/mountinfo");
    return 0;
}

int cgroup_layout_parse(char *mountinfo, struct cgroup_layout *layout, struct wherry_error *err)
{
    bool v1 = false, v2 = false;

    for (char *line = strsep(&mountinfo, "\n"); line != NULL; line = strsep(&mountinfo, "\n")) {
        int result = parse_line(line, layout, err);

        if (result < 0)
            return result;
    }
    for (size_t i = 0; i < layout->count; i++) {
        v2 |= layout->at[i].unified;
        /* systemd's named hierarchy alone beside v2 carries no limit: that is a v2 host. */
        v1 |= (layout->at[i].controllers & ~CGROUP_BIT(CGROUP_NAMED)) != 0;
    }
    if (v1)
        layout->kind = v2 ? WHERRY_CGROUP_HYBRID : WHERRY_CGROUP_V1;
    else
        layout->kind = v2 ? WHERRY_CGROUP_V2 : WHERRY_CGROUP_NONE;
    return 0;
}

int cgroup_layout_read(struct cgroup_layout *layout, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    size_t length = 0;
    int result = wherry_file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, &length, err);

    return result < 0 ? result : cgroup_layout_parse(text, layout, err);
}

void cgroup_layout_free(struct cgroup_layout *layout)
{
    for (size_t i = 0; i < layout->count; i++) {
        free(layout->at[i].root);
        free(layout->at[i].point);
    }
    layout->count = 0;
}

/* A path that could leave its parent, or that names the root itself, is refused before anything is made. */
static int check_path(const char *path, struct wherry_error *err)
{
    size_t names = 0;

    if (path == NULL)
        return wherry_error_set(err, EINVAL, "linux.cgroupsPath: must be given");
    if (strlen(path) > PATH_MAX / 2)
        return wherry_error_set(err, ENAMETOOLONG, "linux.cgroupsPath");
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, "/");

        if ((length == 2 && memcmp(at, "..", 2) == 0) || (length == 1 && *at == '.'))
            return wherry_error_set(err, EINVAL, "linux.cgroupsPath: \"%s\": must not contain \".\" or \"..\"", path);
        if (length > NAME_MAX || memchr(at, '\n', length) != NULL)
            return wherry_error_set(err, EINVAL, "linux.cgroupsPath: \"%s\": not a name for a directory", path);
        names += length > 0;
        at += length + (at[length] == '/');
    }
    if (names == 0)
        return wherry_error_set(err, EINVAL, "linux.cgroupsPath: \"%s\": must name a group below the root", path);
    return 0;
}

/* Finds "ID:CONTROLLERS:PATH" of `mount` in /proc/self/cgroup; sets *path and its length. */
static bool own_group(const char *groups, const struct cgroup_mount *mount, const char **path, int *length)
{
    while (*groups != '\0') {
        size_t line = strcspn(groups, "\n");
        const char *list = memchr(groups, ':', line);
        const char *end = list == NULL ? NULL : memchr(list + 1, ':', line - (size_t)(list + 1 - groups));

        if (end != NULL) {
            char controllers[256], name[64];
            unsigned bits;

            snprintf(controllers, sizeof(controllers), "%.*s", (int)(end - list - 1), list + 1);
            bits = parse_controllers(controllers, name);
            if (bits == mount->controllers && strcmp(name, mount->name) == 0) {
                *path = end + 1;
                *length = (int)(line - (size_t)(end + 1 - groups));
                return true;
            }
        }
        groups += line + (groups[line] == '\n');
    }
    return false;
}

/* Where in the mounted part of the hierarchy this process is: its group less the part that is not mounted. */
static void own_prefix(const struct cgroup_mount *mount, const char *groups, const char **prefix, int *length)
{
    size_t root = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);

    *prefix = "";
    *length = 0;
    if (!own_group(groups, mount, prefix, length))
        return;
    if ((size_t)*length < root || strncmp(*prefix, mount->root, root) != 0) {
        *length = 0;
        return;
    }
    *prefix += root;
    *length -= (int)root;
    if (*length == 1)
        *length = 0;
}

static int place_one(const struct cgroup_mount *mount, const char *path, const char *groups, unsigned controllers,
                     struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = &cg->at[cg->count];
    const char *prefix = "", *name = path + strspn(path, "/");
    int length = 0;

    if (path[0] != '/')
        own_prefix(mount, groups, &prefix, &length);
    *directory = (struct wherry_cgroup_directory){.controllers = controllers, .unified = mount->unified, .fd = -1};
    if (asprintf(&directory->path, "%s%.*s/%s", strcmp(mount->point, "/") == 0 ? "" : mount->point, length, prefix,
                 name) < 0) {
        directory->path = NULL;
        return wherry_error_set(err, ENOMEM, "linux.cgroupsPath");
    }
    cg->count++;
    return 0;
}

/* The controllers that the container's directory in `mount` is to carry; 0: it needs none there. */
static unsigned carried(const struct cgroup_layout *layout, const struct cgroup_mount *mount)
{
    unsigned everywhere = CGROUP_BIT(CGROUP_DEVICES) | CGROUP_BIT(CGROUP_FREEZER);

    if (!mount->unified)
        return mount->controllers;
    if (layout->kind == WHERRY_CGROUP_V2)
        return ~CGROUP_BIT(CGROUP_NAMED);
    /* Beside v1 the v2 tree is used only for what it can do without controllers, and v1 lacks. */
    for (size_t i = 0; i < layout->count; i++)
        everywhere &= ~layout->at[i].controllers;
    return everywhere != 0 ? everywhere | CGROUP_BIT(CGROUP_CORE) : 0;
}

int cgroup_layout_place(const struct cgroup_layout *layout, const char *cgroups_path, const char *own_groups,
                        struct wherry_cgroup *cg, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    size_t length = 0;
    int result = check_path(cgroups_path, err);

    if (result < 0)
        return result;
    if (cgroups_path[0] != '/' && own_groups == NULL) {
        result = wherry_file_read(AT_FDCWD, "/proc/self/cgroup", OWN_GROUPS_MAX, &text, &length, err);
        if (result < 0)
            return result;
        own_groups = text;
    }
    cg->layout = layout->kind;
    for (size_t i = 0; i < layout->count; i++) {
        unsigned controllers = carried(layout, &layout->at[i]);

        if (controllers == 0)
            continue;
        result = place_one(&layout->at[i], cgroups_path, own_groups, controllers, cg, err);
        if (result < 0)
            return result;
    }
    return 0;
}

int cgroup_layout_group_of(const struct cgroup_layout *layout, pid_t pid, char path[PATH_MAX], struct wherry_error *err)
{
    cleanup_free char *groups = NULL;
    size_t length = 0;
    char name[64];
    int result;

    snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
    result = wherry_file_read(AT_FDCWD, name, OWN_GROUPS_MAX, &groups, &length, err);
    for (size_t i = 0; i < layout->count && result >= 0; i++) {
        const struct cgroup_mount *mount = &layout->at[i];
        const char *prefix = "";
        int size = 0;

        if (!mount->unified)
            continue;
        own_prefix(mount, groups, &prefix, &size);
        if (snprintf(path, PATH_MAX, "%s%.*s", mount->point, size, prefix) < PATH_MAX)
            return 0;
    }
    return result < 0 ? result : wherry_error_set(err, ENOENT, "the cgroup of process %d", (int)pid);
}
