/* Hearing of it when memory runs out; see oom_watch.h. */
#include "runtime/oom_watch.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

/* The line "oom_kill N" of memory.events. */
static uint64_t read_kills(const struct oom_watch *watch)
{
    char text[512];
    const char *found;

    if (cgroup_file_read(watch->group, "memory.events", text, sizeof(text)) < 0)
        return watch->kills;
    found = strstr(text, "oom_kill ");
    return found != NULL ? strtoull(found + strlen("oom_kill "), NULL, 10) : watch->kills;
}

/* v1 writes to an eventfd for as long as the group exists. */
static int open_v1(struct oom_watch *watch, const char *path, struct wherry_error *err)
{
    cleanup_close int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cleanup_close int control = openat(watch->group, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    char text[32];
    int result;

    if (event < 0 || control < 0)
        return wherry_error_set(err, errno, "watch %s/memory.oom_control", path);
    snprintf(text, sizeof(text), "%d %d", event, control);
    result = cgroup_file_write(watch->group, "cgroup.event_control", text);
    if (result < 0)
        return wherry_error_set(err, -result, "write to %s/cgroup.event_control", path);
    watch->fd = wherry_steal_fd(&event);
    return 0;
}

/* On v2 memory.events counts as changed when a number in it has changed. */
static int open_v2(struct oom_watch *watch, const char *path, struct wherry_error *err)
{
    cleanup_close int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    cleanup_free char *file = NULL;

    if (faccessat(watch->group, "memory.events", F_OK, 0) < 0)
        return 0;
    if (asprintf(&file, "%s/memory.events", path) < 0) {
        file = NULL;
        return wherry_error_set(err, ENOMEM, "watch %s", path);
    }
    if (notify < 0 || inotify_add_watch(notify, file, IN_MODIFY) < 0)
        return wherry_error_set(err, errno, "watch %s", file);
    watch->fd = wherry_steal_fd(&notify);
    watch->kills = read_kills(watch);
    return 0;
}

int oom_watch_open(struct wherry_cgroup *cg, struct oom_watch *watch, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_MEMORY);

    *watch = (struct oom_watch)OOM_WATCH_INIT;
    if (directory == NULL)
        return 0;
    watch->group = cgroup_directory_open(directory, err);
    if (watch->group < 0)
        return watch->group;
    watch->unified = directory->unified;
    return watch->unified ? open_v2(watch, directory->path, err) : open_v1(watch, directory->path, err);
}

/* The kernel notifies before it kills, so there is nothing yet to be read from the group; and once more when the group
 * goes away. */
static uint64_t count_v1(struct oom_watch *watch)
{
    uint64_t count = 0;

    if (read(watch->fd, &count, sizeof(count)) < 0 || faccessat(watch->group, "memory.oom_control", F_OK, 0) < 0)
        return 0;
    return count;
}

uint64_t oom_watch_count(struct oom_watch *watch)
{
    uint64_t before = watch->kills;
    char drained[4096];

    if (watch->fd < 0)
        return 0;
    if (!watch->unified)
        return count_v1(watch);
    while (read(watch->fd, drained, sizeof(drained)) > 0)
        ;
    watch->kills = read_kills(watch);
    return watch->kills - before;
}

void oom_watch_close(struct oom_watch *watch)
{
    wherry_cleanup_close(&watch->fd);
    *watch = (struct oom_watch)OOM_WATCH_INIT;
}
