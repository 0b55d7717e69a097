/*
 * See oom.h. v1 counts in memory.oom_control, v2 in memory.events, both as a line "oom_kill N" (cgroups(7), the
 * kernel's Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst).
 */
#include "monitor/oom.h"

#include "wherry/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 8192

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

void oom_find(pid_t pid, char path[OOM_PATH_MAX])
{
    char group[OOM_PATH_MAX], point[OOM_PATH_MAX];

    *path = '\0';
    for (int unified = 0; unified <= 1; unified++)
        if (mount_point(unified != 0, point, sizeof(point)) && group_of(pid, unified != 0, group, sizeof(group))) {
            if (snprintf(path, OOM_PATH_MAX, "%s%s/%s", point, group,
                         unified ? "memory.events" : "memory.oom_control") >= OOM_PATH_MAX)
                *path = '\0';
            return;
        }
}

bool oom_happened(const char *path)
{
    char line[256];
    cleanup_fclose FILE *file = *path == '\0' ? NULL : fopen(path, "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "oom_kill ", 9) == 0)
            return strtoull(line + 9, NULL, 10) > 0;
    return false;
}
