/*
 * See oom.h. v1 counts in memory.oom_control, v2 in memory.events, both as a line "oom_kill N" (cgroups(7), the
 * kernel's Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
 */
#include "monitor/oom.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192
#define COUNTS_MAX 512

static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ',') && (at[length] == '\0' || at[length] == ','))
            return true;
    return false;
}

/* The path of the memory controller's group in /proc/PID/cgroup: "4:memory:/a/b" or, on v2, "0::/a/b". */
static bool group_of(pid_t pid, bool unified, char *group, size_t room)
{
    char name[64], line[LINE_MAX_BYTES];
    cleanup_fclose FILE *file = NULL;

    snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
    file = fopen(name, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *controllers = strchr(line, ':');
        char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');

        if (path == NULL)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (unified ? controllers[1] == '\0' : has_word(controllers + 1, "memory")) {
            snprintf(group, room, "%s", path);
            return true;
        }
    }
    return false;
}

/* Where the hierarchy is mounted: field 5 of /proc/self/mountinfo, its type and super options behind " - ". */
static bool mount_point(bool unified, char *point, size_t room)
{
    char line[LINE_MAX_BYTES];
    cleanup_fclose FILE *file = fopen("/proc/self/mountinfo", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char at[OOM_PATH_MAX], type[32], options[1024];
        const char *rest = strstr(line, " - ");

        if (rest == NULL || sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1 ||
            sscanf(rest, " - %31s %*s %1023s", type, options) != 2)
            continue;
        if (strcmp(type, unified ? "cgroup2" : "cgroup") != 0 || (!unified && !has_word(options, "memory")))
            continue;
        snprintf(point, room, "%s", at);
        return true;
    }
    return false;
}

static bool find_group(pid_t pid, bool unified, char path[OOM_PATH_MAX])
{
    char group[OOM_PATH_MAX], point[OOM_PATH_MAX];

    return mount_point(unified, point, sizeof(point)) && group_of(pid, unified, group, sizeof(group)) &&
           snprintf(path, OOM_PATH_MAX, "%s%s", point, group) < OOM_PATH_MAX;
}

/* cgroup-v1/memory.rst, "OOM Control": "EVENTFD FD" written to cgroup.event_control asks for the event. */
static int ask_for_event(int group, int file)
{
    struct wherry_error ignored;
    char text[32];
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event < 0)
        return -1;
    snprintf(text, sizeof(text), "%d %d", event, file);
    if (wherry_file_write(group, "cgroup.event_control", text, &ignored) == 0)
        return event;
    close(event);
    return -1;
}

void oom_open(struct oom_watch *watch, pid_t pid)
{
    char path[OOM_PATH_MAX];

    oom_close(watch);
    for (int unified = 0; unified <= 1 && watch->file < 0; unified++) {
        cleanup_close int group = -1;

        if (!find_group(pid, unified != 0, path))
            continue;
        group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        watch->file = openat(group, unified ? "memory.events" : "memory.oom_control", O_RDONLY | O_CLOEXEC);
        if (watch->file >= 0 && !unified)
            watch->event = ask_for_event(group, watch->file);
    }
    oom_read(watch); /* v2 tells of changes since the last read */
}

void oom_close(struct oom_watch *watch)
{
    if (watch->file >= 0)
        close(watch->file);
    if (watch->event >= 0)
        close(watch->event);
    *watch = (struct oom_watch)OOM_WATCH_INIT;
}

int oom_wait_fd(const struct oom_watch *watch, uint32_t *events)
{
    *events = watch->event >= 0 ? (uint32_t)EPOLLIN : (uint32_t)EPOLLPRI;
    return watch->event >= 0 ? watch->event : watch->file;
}

uint64_t oom_read(struct oom_watch *watch)
{
    char text[COUNTS_MAX];
    const char *at;
    ssize_t length;
    uint64_t told;

    if (watch->event >= 0 && read(watch->event, &told, sizeof(told)) < 0 && errno != EAGAIN)
        return watch->count;
    length = watch->file < 0 ? -1 : pread(watch->file, text, sizeof(text) - 1, 0);
    if (length <= 0)
        return watch->count;
    text[length] = '\0';
    at = strncmp(text, "oom_kill ", 9) == 0 ? text : strstr(text, "\noom_kill ");
    if (at != NULL)
        watch->count = strtoull(strchr(at, ' '), NULL, 10);
    return watch->count;
}
