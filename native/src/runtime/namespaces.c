/* The runtime's side of namespaces; see namespaces.h. */
#include "namespaces.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Those of the new namespaces that are among `wanted`. */
static int new_flags(const struct wherry_spec *spec, int wanted)
{
    int flags = 0;

    for (size_t i = 0; i < spec->namespace_count; i++) {
        if (spec->namespaces[i].path == NULL)
            flags |= spec->namespaces[i].flag & wanted;
    }
    return flags;
}

int wherry_namespaces_own_flags(const struct wherry_spec *spec)
{
    /* They are to belong to the user namespace, which is there only with the process. */
    if (wherry_spec_namespace(spec, CLONE_NEWUSER) != NULL)
        return 0;
    /* Network devices are moved to the process's namespace before it is admitted. */
    return new_flags(spec, (spec->net_device_count > 0 ? 0 : CLONE_NEWNET) | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS);
}

int wherry_namespaces_clone_flags(const struct wherry_spec *spec)
{
    return new_flags(spec, ~(CLONE_NEWCGROUP | CLONE_NEWTIME)) & ~wherry_namespaces_own_flags(spec);
}

int wherry_namespaces_all_flags(const struct wherry_spec *spec)
{
    int flags = 0;

    for (size_t i = 0; i < spec->namespace_count; i++)
        flags |= spec->namespaces[i].flag;
    return flags;
}

/* The name of a namespace below /proc/self/ns. */
static const char *proc_name(int flag)
{
    switch (flag) {
    case CLONE_NEWNET:
        return "/proc/self/ns/net";
    case CLONE_NEWPID:
        return "/proc/self/ns/pid";
    case CLONE_NEWIPC:
        return "/proc/self/ns/ipc";
    case CLONE_NEWUTS:
        return "/proc/self/ns/uts";
    case CLONE_NEWTIME:
        return "/proc/self/ns/time";
    default:
        return "/proc/self/ns/cgroup";
    }
}

static int join(const struct wherry_namespace *namespace, struct wherry_namespaces_own *own, struct wherry_error *err)
{
    cleanup_close int target = open(namespace->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    cleanup_close int back = -1;

    if (target < 0)
        return wherry_error_set(err, errno, "open %s namespace %s", namespace->name, namespace->path);
    back = open(proc_name(namespace->flag), O_RDONLY | O_CLOEXEC);
    if (back < 0)
        return wherry_error_set(err, errno, "open own %s namespace", namespace->name);
    if (setns(target, namespace->flag) < 0)
        return wherry_error_set(err, errno, "join %s namespace %s", namespace->name, namespace->path);
    own->fds[own->count++] = wherry_steal_fd(&back);
    return 0;
}

/* The clocks can be set until the first process is in the namespace, time_namespaces(7). */
static int set_clocks(const struct wherry_spec *spec, struct wherry_error *err)
{
    char text[256];
    size_t used = 0;

    if (spec->clock_offset_count == 0)
        return 0;
    for (size_t i = 0; i < spec->clock_offset_count; i++) {
        const struct wherry_clock_offset *offset = &spec->clock_offsets[i];

        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %" PRId64 " %u\n", offset->clock,
                                 offset->seconds, offset->nanoseconds);
    }
    return wherry_file_write(AT_FDCWD, "/proc/self/timens_offsets", text, err) < 0
               ? wherry_error_prefix(err, "linux.timeOffsets")
               : 0;
}

/* The runtime itself stays in its own: what it makes is for its children. */
static int make_time(const struct wherry_spec *spec, struct wherry_namespaces_own *own, struct wherry_error *err)
{
    cleanup_close int back = open(proc_name(CLONE_NEWTIME), O_RDONLY | O_CLOEXEC);

    if (back < 0)
        return wherry_error_set(err, errno, "open own time namespace");
    if (unshare(CLONE_NEWTIME) < 0)
        return wherry_error_set(err, errno, "make a time namespace");
    own->fds[own->count++] = wherry_steal_fd(&back);
    return set_clocks(spec, err);
}

int wherry_namespaces_join(const struct wherry_spec *spec, struct wherry_namespaces_own *own, struct wherry_error *err)
{
    struct wherry_error ignored;

    own->count = 0;
    for (size_t i = 0; i < spec->namespace_count; i++) {
        const struct wherry_namespace *namespace = &spec->namespaces[i];
        int result;

        if (namespace->flag == CLONE_NEWNS || namespace->flag == CLONE_NEWUSER)
            continue;
        if (namespace->path != NULL)
            result = join(namespace, own, err);
        else
            result = namespace->flag == CLONE_NEWTIME ? make_time(spec, own, err) : 0;
        if (result < 0) {
            wherry_namespaces_leave(own, &ignored);
            return -1;
        }
    }
    return 0;
}

int wherry_namespaces_leave(struct wherry_namespaces_own *own, struct wherry_error *err)
{
    int result = 0;

    for (size_t i = 0; i < own->count; i++) {
        if (setns(own->fds[i], 0) < 0)
            result = wherry_error_set(err, errno, "return to own namespaces");
        close(own->fds[i]);
    }
    own->count = 0;
    return result;
}

/* The runtime blocks signals while it stands in for a container; what it starts must not. */
static int spawn(pid_t *child, const char *program, char *const argv[])
{
    posix_spawnattr_t attributes;
    sigset_t none;
    int result = posix_spawnattr_init(&attributes);

    if (result != 0)
        return result;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    result = posix_spawnp(child, program, NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    return result;
}

static int write_map(pid_t pid, const char *file, const struct wherry_id_mappings *mappings, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    size_t length = 0;
    char path[64];
    FILE *stream = open_memstream(&text, &length);

    if (stream == NULL)
        return wherry_error_set(err, errno, "write %s", file);
    for (size_t i = 0; i < mappings->count; i++)
        fprintf(stream, "%u %u %u\n", mappings->items[i].inside, mappings->items[i].outside, mappings->items[i].count);
    if (fclose(stream) != 0)
        return wherry_error_set(err, ENOMEM, "write %s", file);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    return wherry_file_write(AT_FDCWD, path, text, err);
}

/* What user_namespaces(7) lets a process without privileges say of itself: its own ID and nothing else. */
static bool is_own(const struct wherry_id_mappings *mappings, uint32_t own)
{
    return mappings->count == 1 && mappings->items[0].count == 1 && mappings->items[0].outside == own;
}

/* newuidmap(1), newgidmap(1): programs with the privilege to write what /etc/subuid and /etc/subgid grant. */
static int map_by_tool(const char *tool, pid_t pid, const struct wherry_id_mappings *mappings, struct wherry_error *err)
{
    cleanup_free char *numbers = calloc(1 + 3 * mappings->count, 16);
    cleanup_free char **argv = calloc(3 + 3 * mappings->count, sizeof(*argv));
    size_t count = 0;
    int status = 0, result;
    pid_t child;

    if (numbers == NULL || argv == NULL)
        return wherry_error_set(err, ENOMEM, "%s", tool);
    argv[count++] = (char *)(uintptr_t)tool;
    snprintf(numbers, 16, "%d", (int)pid);
    argv[count++] = numbers;
    for (size_t i = 0; i < mappings->count; i++) {
        const struct wherry_id_mapping *one = &mappings->items[i];
        uint32_t values[] = {one->inside, one->outside, one->count};

        for (size_t k = 0; k < 3; k++, count++) {
            argv[count] = numbers + (count - 1) * 16;
            snprintf(argv[count], 16, "%u", values[k]);
        }
    }
    result = spawn(&child, tool, argv);
    if (result != 0)
        return wherry_error_set(err, result, "%s, which maps more than an own ID", tool);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return wherry_error_set(err, EPERM, "%s refuses the mapping", tool);
    return 0;
}

int wherry_namespaces_map(pid_t pid, const struct wherry_id_mappings *uids, const struct wherry_id_mappings *gids,
                          struct wherry_error *err)
{
    bool privileged = geteuid() == 0;
    char path[64];
    int result;

    if (privileged || is_own(uids, geteuid()))
        result = write_map(pid, "uid_map", uids, err);
    else
        result = map_by_tool("newuidmap", pid, uids, err);
    if (result == 0 && !privileged && is_own(gids, getegid())) {
        /* Who may drop no group may map none: user_namespaces(7), "The /proc/PID/setgroups file". */
        snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
        result = wherry_file_write(AT_FDCWD, path, "deny", err);
    }
    if (result == 0)
        result = privileged || is_own(gids, getegid()) ? write_map(pid, "gid_map", gids, err)
                                                       : map_by_tool("newgidmap", pid, gids, err);
    return result < 0 ? wherry_error_prefix(err, "uidMappings, gidMappings") : 0;
}
