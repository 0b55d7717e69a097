/* The runtime's record of one container; see wherry/container.h. */
#include "wherry/container.h"

#include "notify.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/json.h"
#include "wherry/moment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define STATE_FILE "state.json"
#define STATE_SIZE_MAX (1u << 20)

static int check_id(const char *id, struct wherry_error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.";
    size_t length = strlen(id);

    if (length == 0 || length > NAME_MAX || id[0] == '.' || strspn(id, allowed) != length)
        return wherry_error_set(
            err, 0,
            "container ID \"%s\": must be 1 to 255 letters, digits, '_', '+', '-' or '.', and not begin "
            "with a dot",
            id);
    return 0;
}

/* ROOT and its parents, as mkdir -p makes them. */
static int open_root(const char *root, bool make, struct wherry_error *err)
{
    char path[PATH_MAX];
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    if (errno != ENOENT || !make)
        return wherry_error_set(err, errno, "open runtime root %s", root);
    if (strlen(root) >= sizeof(path))
        return wherry_error_set(err, ENAMETOOLONG, "runtime root %s", root);
    strcpy(path, root);
    for (char *at = path + 1;; at++) {
        char kept = *at;

        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return wherry_error_set(err, errno, "make runtime root %s", path);
        *at = kept;
        if (kept == '\0')
            break;
    }
    fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : wherry_error_set(err, errno, "open runtime root %s", root);
}

static char *now(void)
{
    struct timespec moment;
    char text[WHERRY_MOMENT_MAX];

    clock_gettime(CLOCK_REALTIME, &moment);
    wherry_moment_text(&moment, text);
    return strdup(text);
}

int wherry_container_reserve(const char *root, const char *id, struct wherry_container *container,
                             struct wherry_error *err)
{
    *container = (struct wherry_container)WHERRY_CONTAINER_INIT;
    if (check_id(id, err) < 0)
        return -EINVAL;
    container->root = open_root(root, true, err);
    if (container->root < 0)
        return -1;
    /* One of two who want the name gets it. */
    if (mkdirat(container->root, id, 0700) < 0) {
        int code = errno;

        wherry_container_close(container);
        return code == EEXIST ? wherry_error_set(err, EEXIST, "container with id %s exists already", id)
                              : wherry_error_set(err, code, "make %s/%s", root, id);
    }
    container->id = strdup(id);
    container->created = now();
    container->directory = openat(container->root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (container->directory < 0 || container->id == NULL || container->created == NULL) {
        int code = errno;

        unlinkat(container->root, id, AT_REMOVEDIR);
        wherry_container_close(container);
        return wherry_error_set(err, code, "open %s/%s", root, id);
    }
    return 0;
}

/* Fills in what state.json says. */
static int take_record(struct wherry_container *container, struct json_object *record, struct wherry_error *err)
{
    const char *bundle = "", *version = "1.0.2", *rootfs = "", *created = "";
    struct json_object *cgroup = NULL, *annotations = NULL;
    int64_t pid = 0, start = 0, namespaces = 0, hooks = 0;

    if (wherry_json_string(record, "", "bundle", &bundle, err) < 0 ||
        wherry_json_string(record, "", "ociVersion", &version, err) < 0 ||
        wherry_json_string(record, "", "rootfs", &rootfs, err) < 0 ||
        wherry_json_string(record, "", "created", &created, err) < 0 ||
        wherry_json_integer(record, "", "pid", 0, INT32_MAX, &pid, err) < 0 ||
        wherry_json_integer(record, "", "pidStart", 0, INT64_MAX, &start, err) < 0 ||
        wherry_json_integer(record, "", "namespaces", 0, INT64_MAX, &namespaces, err) < 0 ||
        wherry_json_integer(record, "", "hooks", 0, UINT32_MAX, &hooks, err) < 0 ||
        wherry_json_bool(record, "", "ready", &container->ready, err) < 0 ||
        wherry_json_bool(record, "", "idle", &container->idle, err) < 0 ||
        wherry_json_object(record, "", "cgroup", &cgroup, err) < 0 ||
        wherry_json_object(record, "", "annotations", &annotations, err) < 0)
        return -EINVAL;
    container->bundle = strdup(bundle);
    container->oci_version = strdup(version);
    container->rootfs = strdup(rootfs);
    container->created = strdup(created);
    container->annotations = json_object_get(annotations);
    container->pid = (pid_t)pid;
    container->pid_start = (uint64_t)start;
    container->namespaces = (int)namespaces;
    container->hooks = (unsigned)hooks;
    if (container->bundle == NULL || container->oci_version == NULL || container->rootfs == NULL ||
        container->created == NULL)
        return wherry_error_set(err, ENOMEM, "%s", STATE_FILE);
    return cgroup != NULL ? wherry_cgroup_load(cgroup, &container->cgroup, err) : 0;
}

static int load(struct wherry_container *container, struct wherry_error *err)
{
    cleanup_json struct json_object *record = NULL;

    record = wherry_json_read(container->directory, STATE_FILE, STATE_SIZE_MAX, err);
    if (record != NULL)
        return take_record(container, record, err);
    /* Reserved a moment ago, or given up by a runtime that was killed: there is a name and nothing else. */
    if (err->code != ENOENT)
        return wherry_error_prefix(err, "container %s", container->id);
    container->bundle = strdup("");
    container->oci_version = strdup("1.0.2");
    container->rootfs = strdup("");
    container->created = strdup("");
    return 0;
}

int wherry_container_open(const char *root, const char *id, struct wherry_container *container,
                          struct wherry_error *err)
{
    int result;

    *container = (struct wherry_container)WHERRY_CONTAINER_INIT;
    if (check_id(id, err) < 0)
        return -EINVAL;
    container->root = open_root(root, false, err);
    if (container->root >= 0)
        container->directory = openat(container->root, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    else if (err->code == ENOENT)
        errno = ENOENT;
    else
        return -1;
    if (container->directory < 0) {
        int code = errno;

        wherry_container_close(container);
        return code == ENOENT
                   ? (wherry_error_set(err, 0, "container %s does not exist", id), err->code = ENOENT, -ENOENT)
                   : wherry_error_set(err, code, "open %s/%s", root, id);
    }
    container->id = strdup(id);
    result = container->id != NULL ? load(container, err) : wherry_error_set(err, ENOMEM, "container %s", id);
    if (result < 0)
        wherry_container_close(container);
    return result;
}

/* The fields that `state` shows and the record keeps alike. */
/* In the order in which runc has them, by which scripts take lines apart. */
static void add_identity(struct json_object *object, const struct wherry_container *container, pid_t pid)
{
    json_object_object_add(object, "ociVersion", json_object_new_string(container->oci_version));
    json_object_object_add(object, "id", json_object_new_string(container->id));
    json_object_object_add(object, "pid", json_object_new_int(pid));
}

static void add_origin(struct json_object *object, const struct wherry_container *container)
{
    json_object_object_add(object, "bundle", json_object_new_string(container->bundle));
    json_object_object_add(object, "rootfs", json_object_new_string(container->rootfs));
    json_object_object_add(object, "created", json_object_new_string(container->created));
    if (container->annotations != NULL)
        json_object_object_add(object, "annotations", json_object_get(container->annotations));
}

int wherry_container_save(const struct wherry_container *container, struct wherry_error *err)
{
    cleanup_json struct json_object *record = json_object_new_object();
    size_t length = 0;
    const char *text;

    if (record == NULL)
        return wherry_error_set(err, ENOMEM, "%s", STATE_FILE);
    add_identity(record, container, container->pid);
    add_origin(record, container);
    json_object_object_add(record, "pidStart", json_object_new_int64((int64_t)container->pid_start));
    json_object_object_add(record, "namespaces", json_object_new_int64(container->namespaces));
    json_object_object_add(record, "hooks", json_object_new_int64(container->hooks));
    json_object_object_add(record, "ready", json_object_new_boolean(container->ready));
    json_object_object_add(record, "idle", json_object_new_boolean(container->idle));
    if (container->cgroup.layout != WHERRY_CGROUP_NONE)
        json_object_object_add(record, "cgroup", wherry_cgroup_save(&container->cgroup));
    text = json_object_to_json_string_length(record, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
    if (text == NULL)
        return wherry_error_set(err, ENOMEM, "%s", STATE_FILE);
    return wherry_file_replace(container->directory, STATE_FILE, text, length, 0600, err);
}

/* The freezer is v1's own hierarchy or, where that is not mounted, the v2 tree: on a hybrid host too. */
static bool frozen(const struct wherry_container *container)
{
    const char *freezer = wherry_cgroup_path(&container->cgroup, "freezer");
    char path[PATH_MAX], state[32] = "";
    cleanup_close int fd = -1;

    if (freezer == NULL)
        return false;
    snprintf(path, sizeof(path), "%s/freezer.state", freezer);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(path, sizeof(path), "%s/cgroup.freeze", freezer);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 || read(fd, state, sizeof(state) - 1) <= 0)
        return false;
    return state[0] == '1' || strncmp(state, "FR", 2) == 0;
}

enum wherry_status wherry_container_status(const struct wherry_container *container)
{
    uint64_t start;

    if (container->pid == 0)
        return WHERRY_STATUS_CREATING;
    start = wherry_process_start_time(container->pid);
    if (start == 0 || start != container->pid_start)
        return WHERRY_STATUS_STOPPED;
    if (!container->ready)
        return WHERRY_STATUS_CREATING;
    /* Before all else, for one that waits for its start too: resume is for what is paused. */
    if (frozen(container))
        return WHERRY_STATUS_PAUSED;
    return faccessat(container->directory, WHERRY_CONTAINER_FIFO, F_OK, 0) == 0 ? WHERRY_STATUS_CREATED
                                                                                : WHERRY_STATUS_RUNNING;
}

const char *wherry_status_name(enum wherry_status status)
{
    static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

    return names[status];
}

struct json_object *wherry_container_state(const struct wherry_container *container, enum wherry_status status)
{
    struct json_object *state = json_object_new_object();

    if (state == NULL)
        return NULL;
    add_identity(state, container, status == WHERRY_STATUS_STOPPED ? 0 : container->pid);
    json_object_object_add(state, "status", json_object_new_string(wherry_status_name(status)));
    add_origin(state, container);
    json_object_object_add(state, "owner", json_object_new_string(""));
    return state;
}

/* Every file but state.json: also those that a killed runtime had begun to write under a temporary name. */
static int discard_others(const struct wherry_container *container, struct wherry_error *err)
{
    cleanup_closedir DIR *list = NULL;
    int copy = fcntl(container->directory, F_DUPFD_CLOEXEC, 3);

    list = copy >= 0 ? fdopendir(copy) : NULL;
    if (list == NULL) {
        wherry_error_set(err, errno, "list the record of container %s", container->id);
        if (copy >= 0)
            close(copy);
        return -1;
    }
    wherry_notify_remove(container->directory);
    rewinddir(list);
    for (struct dirent *item; (item = readdir(list)) != NULL;) {
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0 || strcmp(item->d_name, STATE_FILE) == 0)
            continue;
        if (unlinkat(container->directory, item->d_name, 0) < 0 && errno != ENOENT)
            return wherry_error_set(err, errno, "remove %s of container %s", item->d_name, container->id);
    }
    return 0;
}

int wherry_container_discard(struct wherry_container *container, struct wherry_error *err)
{
    if (discard_others(container, err) < 0)
        return -1;
    /* The last, so that one who is killed before it leaves a record that says where everything is. */
    if (unlinkat(container->directory, STATE_FILE, 0) < 0 && errno != ENOENT)
        return wherry_error_set(err, errno, "remove %s of container %s", STATE_FILE, container->id);
    if (unlinkat(container->root, container->id, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return wherry_error_set(err, errno, "remove the record of container %s", container->id);
    return 0;
}

void wherry_container_close(struct wherry_container *container)
{
    if (container->root >= 0)
        close(container->root);
    if (container->directory >= 0)
        close(container->directory);
    free(container->id);
    free(container->bundle);
    free(container->oci_version);
    free(container->rootfs);
    free(container->created);
    if (container->annotations != NULL)
        json_object_put(container->annotations);
    wherry_cgroup_free(&container->cgroup);
    *container = (struct wherry_container)WHERRY_CONTAINER_INIT;
}
