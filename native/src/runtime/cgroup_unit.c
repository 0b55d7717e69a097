/* A container's groups as a scope of systemd; see cgroup_unit.h. */
#include "runtime/cgroup_unit.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "runtime/systemd_unit.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int wherry_cgroup_place_unit(const char *cgroups_path, const char *id, struct json_object *annotations,
                             struct wherry_cgroup *cg, struct wherry_error *err)
{
    cleanup_systemd_properties struct systemd_properties properties = SYSTEMD_PROPERTIES_INIT;
    char group[SYSTEMD_GROUP_MAX] = "", path[2 * SYSTEMD_GROUP_MAX];
    bool user = geteuid() != 0;
    struct systemd_name name;
    int result = systemd_name_parse(cgroups_path, id, user, &name, err);

    /* Read once before anything is made, so that what is wrong with them is known now. */
    if (result >= 0)
        result = systemd_properties_add_annotations(&properties, annotations, err);
    if (result >= 0 && user)
        result = systemd_manager_group(group, err);
    if (result < 0)
        return result;
    snprintf(path, sizeof(path), "%s%s", group, name.group);
    result = wherry_cgroup_place(path, cg, err);
    if (result < 0)
        return result;
    cg->unit = strdup(name.unit);
    cg->slice = strdup(name.slice);
    cg->annotations = json_object_get(annotations);
    return cg->unit != NULL && cg->slice != NULL ? 0 : wherry_error_set(err, ENOMEM, "linux.cgroupsPath");
}

/* Sleeps until it is killed, at the latest with the runtime. Holds nothing open. */
static void keep(pid_t parent)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close_range(0, UINT_MAX, 0);
    while (getppid() == parent)
        pause();
    _exit(0);
}

static int start_keeper(struct wherry_cgroup *cg, struct wherry_error *err)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        return wherry_error_set(err, errno, "make a process to keep %s", cg->unit);
    if (pid == 0)
        keep(parent);
    cg->keeper = pid;
    return 0;
}

void cgroup_unit_release(struct wherry_cgroup *cg)
{
    if (cg->keeper <= 0)
        return;
    kill(cg->keeper, SIGKILL);
    while (waitpid(cg->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    cg->keeper = 0;
}

/* What every container's scope is. Accounting has to be asked for, or the files that tell of it are not there. */
static int add_basics(struct systemd_properties *properties, struct wherry_cgroup *cg, struct wherry_error *err)
{
    static const struct {
        const char *name;
        bool value;
    } flags[] = {
        {"Delegate", true},         {"DefaultDependencies", false}, {"CPUAccounting", true},
        {"MemoryAccounting", true}, {"TasksAccounting", true},
    };
    uint32_t *pids = wherry_arena_array(&properties->arena, 1, sizeof(*pids));
    const char *io = cg->layout == WHERRY_CGROUP_V2 ? "IOAccounting" : "BlockIOAccounting";
    int result = systemd_properties_add_text(properties, "Description", "Wherry container", err);

    if (pids == NULL)
        return wherry_error_set(err, ENOMEM, "unit %s", cg->unit);
    pids[0] = (uint32_t)cg->keeper;
    if (result >= 0)
        result = systemd_properties_add_text(properties, "Slice", cg->slice, err);
    if (result >= 0)
        result = systemd_properties_add(
            properties, (struct systemd_property){.name = "PIDs", .signature = "au", .numbers = pids, .count = 1}, err);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && result >= 0; i++)
        result = systemd_properties_add_number(properties, flags[i].name, "b", flags[i].value, err);
    return result < 0 ? result : systemd_properties_add_number(properties, io, "b", true, err);
}

static int add_limits(struct systemd_properties *properties, struct wherry_cgroup *cg,
                      const struct cgroup_settings *settings, const struct cgroup_device_rules *rules,
                      struct wherry_error *err)
{
    int result = systemd_properties_add_settings(properties, settings, cg, err);

    /* On v2 the runtime's program stands beside systemd's, which is only there when a policy is asked for. */
    if (result >= 0 && rules != NULL && cg->layout != WHERRY_CGROUP_V2)
        result = systemd_properties_add_devices(properties, rules, err);
    return result;
}

/* That systemd has put the keeper where its processes are expected to be. */
static int check_group(struct wherry_cgroup *cg, struct wherry_error *err)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, CGROUP_CORE);
    struct cgroup_layout layout = CGROUP_LAYOUT_INIT;
    char path[PATH_MAX] = "";
    int result;

    if (cg->layout != WHERRY_CGROUP_V2 || directory == NULL)
        return 0;
    result = cgroup_layout_read(&layout, err);
    if (result >= 0)
        result = cgroup_layout_group_of(&layout, cg->keeper, path, err);
    cgroup_layout_free(&layout);
    if (result >= 0 && strcmp(path, directory->path) != 0)
        return wherry_error_set(err, EXDEV, "unit %s: systemd made it as %s, not as %s", cg->unit, path,
                                directory->path);
    return result;
}

int cgroup_unit_start(struct wherry_cgroup *cg, const struct cgroup_settings *settings,
                      const struct cgroup_device_rules *rules, struct wherry_error *err)
{
    cleanup_systemd_properties struct systemd_properties properties = SYSTEMD_PROPERTIES_INIT;
    int result = start_keeper(cg, err);

    if (result >= 0)
        result = add_basics(&properties, cg, err);
    if (result >= 0)
        result = add_limits(&properties, cg, settings, rules, err);
    /* Last, so that they can override: whoever writes them knows what they are. */
    if (result >= 0)
        result = systemd_properties_add_annotations(&properties, cg->annotations, err);
    if (result >= 0)
        result = systemd_unit_start(cg->unit, &properties, err);
    if (result >= 0)
        return check_group(cg, err);
    /* There is none that is ours to be stopped: the one of that name may be another's. */
    cgroup_unit_release(cg);
    free(cg->unit);
    cg->unit = NULL;
    return result;
}

/* What systemd writes when it applies a unit's properties. */
static const struct {
    enum cgroup_controller controller;
    const char *file;
} written[] = {
    {CGROUP_CPU, "cpu.idle"},           {CGROUP_CPU, "cpu.weight"},          {CGROUP_CPU, "cpu.max"},
    {CGROUP_CPU, "cpu.shares"},         {CGROUP_CPU, "cpu.cfs_period_us"},   {CGROUP_CPU, "cpu.cfs_quota_us"},
    {CGROUP_CPUSET, "cpuset.cpus"},     {CGROUP_CPUSET, "cpuset.mems"},      {CGROUP_MEMORY, "memory.max"},
    {CGROUP_MEMORY, "memory.high"},     {CGROUP_MEMORY, "memory.low"},       {CGROUP_MEMORY, "memory.min"},
    {CGROUP_MEMORY, "memory.swap.max"}, {CGROUP_MEMORY, "memory.oom.group"}, {CGROUP_MEMORY, "memory.limit_in_bytes"},
    {CGROUP_PIDS, "pids.max"},          {CGROUP_BLKIO, "io.weight"},         {CGROUP_BLKIO, "io.bfq.weight"},
    {CGROUP_BLKIO, "blkio.weight"},     {CGROUP_BLKIO, "blkio.bfq.weight"},
};

#define WRITTEN (sizeof(written) / sizeof(written[0]))

/* The first line of each, which is all there is but for weights of single devices; "" where a file is not there. */
static void read_written(struct wherry_cgroup *cg, char texts[WRITTEN][128])
{
    for (size_t i = 0; i < WRITTEN; i++) {
        struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, written[i].controller);

        if (directory == NULL || cgroup_directory_open(directory, NULL) < 0 ||
            cgroup_file_read(directory->fd, written[i].file, texts[i], sizeof(texts[i])) < 0)
            texts[i][0] = '\0';
        texts[i][strcspn(texts[i], "\n")] = '\0';
    }
}

/* Writes back what has changed. Which has to be written before which is not known: what is refused the first time is
 * tried again after the others. */
static int write_again(struct wherry_cgroup *cg, char texts[WRITTEN][128], struct wherry_error *err)
{
    char now[WRITTEN][128];

    for (int attempt = 0; attempt < 2; attempt++) {
        read_written(cg, now);
        for (size_t i = 0; i < WRITTEN; i++) {
            struct wherry_cgroup_directory *directory = cgroup_directory_of(cg, written[i].controller);
            int result =
                strcmp(now[i], texts[i]) != 0 ? cgroup_file_write(directory->fd, written[i].file, texts[i]) : 0;

            if (result < 0 && attempt > 0)
                return wherry_error_set(err, -result, "write \"%s\" to %s/%s after systemd", texts[i], directory->path,
                                        written[i].file);
        }
    }
    return 0;
}

int cgroup_unit_update(struct wherry_cgroup *cg, const struct cgroup_settings *settings,
                       const struct cgroup_device_rules *rules, struct wherry_error *err)
{
    cleanup_systemd_properties struct systemd_properties properties = SYSTEMD_PROPERTIES_INIT;
    char texts[WRITTEN][128];
    int result = add_limits(&properties, cg, settings, rules, err);

    if (result < 0)
        return result;
    read_written(cg, texts);
    result = systemd_unit_set(cg->unit, &properties, err);
    return result < 0 ? result : write_again(cg, texts, err);
}

int cgroup_unit_stop(struct wherry_cgroup *cg, struct wherry_error *err)
{
    cgroup_unit_release(cg);
    return systemd_unit_stop(cg->unit, err);
}
