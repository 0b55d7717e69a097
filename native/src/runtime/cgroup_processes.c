/* The processes of a container's control groups: put in, listed, signalled. */
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cgroup.h"
#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 64
/* How often a group is searched for processes that were made while others were signalled: before it is frozen for that,
 * and where it cannot be frozen. */
#define KILL_ROUNDS_FIRST 8
#define KILL_ROUNDS 100

struct pid_list {
    pid_t *pids;
    size_t count;
    size_t room;
};

int wherry_cgroup_attach(struct wherry_cgroup *cg, pid_t pid, struct wherry_error *err)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    for (size_t i = 0; i < cg->count; i++) {
        int result = cgroup_directory_open(&cg->at[i], err);

        if (result < 0)
            return result;
        result = cgroup_file_write(cg->at[i].fd, "cgroup.procs", text);
        if (result < 0)
            return wherry_error_set(err, -result, "put process %d into %s", pid, cg->at[i].path);
    }
    return 0;
}

int wherry_cgroup_attach_prepare(struct wherry_cgroup *cg, int fds[WHERRY_CGROUP_HIERARCHIES_MAX], size_t *count,
                                 struct wherry_error *err)
{
    *count = 0;
    for (size_t i = 0; i < cg->count; i++) {
        char path[4096];

        /* Of a v2 layout the one tree is entered at birth. */
        if (cg->layout == WHERRY_CGROUP_V2 && cg->at[i].unified)
            continue;
        /* A write of one's own thread to "tasks" (v2: of one's process to cgroup.procs, which has no such short cut)
         * is the one move for which the kernel does not wait until every CPU has passed through its scheduler. */
        snprintf(path, sizeof(path), "%s/%s", cg->at[i].path, cg->at[i].unified ? "cgroup.procs" : "tasks");
        fds[*count] = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fds[*count] < 0) {
            int code = errno;

            while (*count > 0)
                close(fds[--*count]);
            return wherry_error_set(err, code, "open %s", path);
        }
        (*count)++;
    }
    return 0;
}

int wherry_cgroup_attach_self(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (write(fds[i], "0", 1) < 0)
            return -errno;
    }
    return 0;
}

static int add_pid(struct pid_list *list, pid_t pid)
{
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 32 : list->room * 2;
        pid_t *larger = reallocarray(list->pids, room, sizeof(*larger));

        if (larger == NULL)
            return -ENOMEM;
        list->pids = larger;
        list->room = room;
    }
    list->pids[list->count++] = pid;
    return 0;
}

static int read_pids(int directory, struct pid_list *list)
{
    cleanup_close int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    cleanup_fclose FILE *file = NULL;
    long pid;

    /* A group that was removed meanwhile has none; a threaded one answers EOPNOTSUPP, its processes are its parent's.
     */
    if (fd < 0)
        return errno == ENOENT || errno == ENODEV ? 0 : -errno;
    file = fdopen(fd, "r");
    if (file == NULL)
        return -errno;
    (void)wherry_steal_fd(&fd);
    errno = 0;
    while (fscanf(file, "%ld", &pid) == 1) {
        /* 0 stands for a process that this pid namespace cannot name. */
        int result = pid > 0 ? add_pid(list, (pid_t)pid) : 0;

        if (result < 0)
            return result;
    }
    return ferror(file) && errno != EOPNOTSUPP && errno != ENODEV ? -errno : 0;
}

/* Owns and closes `directory`. */
static int walk_pids(int directory, struct pid_list *list, unsigned depth)
{
    cleanup_closedir DIR *stream = NULL;
    int result = depth < DEPTH_MAX ? read_pids(directory, list) : -ELOOP;

    stream = result < 0 ? NULL : fdopendir(directory);
    if (stream == NULL) {
        result = result < 0 ? result : -errno;
        close(directory);
        return result;
    }
    for (struct dirent *entry = readdir(stream); entry != NULL && result == 0; entry = readdir(stream)) {
        int child;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        child = openat(dirfd(stream), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (child >= 0)
            result = walk_pids(child, list, depth + 1);
        else if (errno != ENOENT)
            result = -errno;
    }
    return result;
}

/* The freezer's tree, so that what is listed is what is frozen; any other will do where there is none. */
static struct wherry_cgroup_directory *listing_directory(struct wherry_cgroup *cg)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_FREEZER);

    return directory != NULL || cg->count == 0 ? directory : &cg->at[0];
}

int wherry_cgroup_pids(struct wherry_cgroup *cg, pid_t **pids, size_t *count, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = listing_directory(cg);
    struct pid_list list = {.count = 0};
    int fd, result;

    *pids = NULL;
    *count = 0;
    if (directory == NULL)
        return 0;
    /* A descriptor of its own: the walk moves its position and closes it. */
    fd = open(directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : wherry_error_set(err, errno, "open %s", directory->path);
    result = walk_pids(fd, &list, 0);
    if (result < 0) {
        free(list.pids);
        return wherry_error_set(err, -result, "list the processes of %s", directory->path);
    }
    *pids = list.pids;
    *count = list.count;
    return 0;
}

/* Signals everything that is listed now, but not this process. Returns how many. */
static int signal_all(struct wherry_cgroup *cg, int number, struct wherry_error *err)
{
    cleanup_free pid_t *pids = NULL;
    size_t count = 0;
    int sent = 0, result = wherry_cgroup_pids(cg, &pids, &count, err);

    for (size_t i = 0; i < count && result >= 0; i++) {
        if (pids[i] == getpid())
            continue;
        if (kill(pids[i], number) == 0)
            sent++;
        else if (errno != ESRCH)
            result = wherry_error_set(err, errno, "send signal %d to process %d", number, pids[i]);
    }
    return result < 0 ? result : sent;
}

static int signal_frozen(struct wherry_cgroup *cg, int number, bool thaw, struct wherry_error *err)
{
    int sent = signal_all(cg, number, err);
    int result = thaw ? wherry_cgroup_freeze(cg, false, sent < 0 ? NULL : err) : 0;

    return sent < 0 ? sent : result < 0 ? result : sent;
}

/* Until nobody is left, or as long as new ones are found. */
static int kill_in_rounds(struct wherry_cgroup *cg, unsigned rounds, struct wherry_error *err)
{
    int total = 0;

    for (unsigned round = 0; round < rounds; round++) {
        int sent = signal_all(cg, SIGKILL, err);

        if (sent <= 0)
            return sent < 0 ? sent : total;
        total += sent;
        cgroup_wait(round);
    }
    return total;
}

static bool is_empty(struct wherry_cgroup *cg)
{
    cleanup_free pid_t *pids = NULL;
    size_t count = 1;

    return wherry_cgroup_pids(cg, &pids, &count, NULL) >= 0 && count == 0;
}

static bool is_frozen_already(struct wherry_cgroup *cg)
{
    struct wherry_cgroup_directory *freezer = cgroup_directory_of(cg, CGROUP_FREEZER);
    char text[16] = "";

    if (freezer == NULL || cgroup_directory_open(freezer, NULL) < 0)
        return false;
    if (cgroup_file_read(freezer->fd, freezer->unified ? "cgroup.freeze" : "freezer.state", text, sizeof(text)) < 0)
        return false;
    return freezer->unified ? strcmp(text, "1") == 0 : strcmp(text, "THAWED") != 0;
}

int wherry_cgroup_kill(struct wherry_cgroup *cg, int number, struct wherry_error *err)
{
    struct wherry_cgroup_directory *core = cgroup_directory_of(cg, CGROUP_CORE);
    int sent = 0, result;
    bool before;

    if (number == SIGKILL && cg->layout == WHERRY_CGROUP_V2 && core != NULL && cgroup_directory_open(core, NULL) >= 0 &&
        cgroup_file_write(core->fd, "cgroup.kill", "1") == 0)
        return 0;
    /* The usual case at the end of a container; and where nobody is, nobody can be made. */
    if (is_empty(cg))
        return 0;
    before = is_frozen_already(cg);
    /* The last process of a pid namespace to end waits for the others and cannot be frozen meanwhile: most groups are
     * emptied without, and only one that makes processes faster than they are killed is worth that wait. */
    if (number == SIGKILL && !before) {
        sent = kill_in_rounds(cg, KILL_ROUNDS_FIRST, err);
        if (sent < 0 || is_empty(cg))
            return sent;
    }
    /* A paused container keeps its pause, unless it is to die: a frozen process cannot. */
    if (before || wherry_cgroup_freeze(cg, true, NULL) >= 0)
        result = signal_frozen(cg, number, !before || number == SIGKILL, err);
    else
        result = number == SIGKILL ? kill_in_rounds(cg, KILL_ROUNDS, err) : signal_all(cg, number, err);
    return result < 0 ? result : sent + result;
}
