/* What the process object says about CPU and I/O scheduling: ioPriority, scheduler, execCPUAffinity; see wherry/spec.h.
 * Sources: OCI runtime-spec config.md "Linux Process", sched(7), sched_setattr(2), ioprio_set(2). */
#include "spec_parts.h"
#include "wherry/spec.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>

/* A number that Linux reserves, and no more; no header has it. */
#ifndef SCHED_ISO
#define SCHED_ISO 4
#endif

/* The shortest run time of a deadline that the kernel takes, in nanoseconds, sched(7). */
#define RUNTIME_MIN 1024

static int parse_io_priority(struct json_object *object, const char *where, struct wherry_process *process,
                             struct wherry_error *err)
{
    static const struct wherry_json_choice classes[] = {
        {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
        {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
        {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
    };
    struct json_object *priority = NULL;
    char name[WHERRY_JSON_WHERE_MAX];
    uint64_t class = 0;
    int64_t level = 0;
    int found = wherry_json_object(object, where, "ioPriority", &priority, err);

    if (found <= 0)
        return found;
    wherry_json_name(name, where, "ioPriority");
    found = wherry_json_choose(priority, name, "class", classes, WHERRY_COUNT(classes), &class, err);
    if (found == 0)
        return wherry_error_set(err, 0, "%s.class: must be set", name);
    if (found < 0 || wherry_json_integer(priority, name, "priority", 0, IOPRIO_NR_LEVELS - 1, &level, err) < 0)
        return -EINVAL;
    process->has_io_priority = true;
    process->io_priority = IOPRIO_PRIO_VALUE((int)class, (int)level);
    return 0;
}

static const struct wherry_json_choice policies[] = {
    {"SCHED_OTHER", SCHED_OTHER},       {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},       {"SCHED_ISO", SCHED_ISO},   {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", SCHED_DEADLINE},
};

static const struct wherry_json_choice scheduler_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},   {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},         {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},       {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};

/* The kernel says "Invalid argument" to all of these and does not tell which. */
static int check_parameters(const struct wherry_scheduler *scheduler, const char *name, struct wherry_error *err)
{
    bool realtime = scheduler->policy == SCHED_FIFO || scheduler->policy == SCHED_RR;
    bool kept = (scheduler->flags & (SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS)) != 0;

    if (scheduler->policy == SCHED_ISO)
        return wherry_error_set(err, 0, "%s.policy: SCHED_ISO: not supported: Linux reserves it and has no such policy",
                                name);
    if (!realtime && scheduler->priority != 0)
        return wherry_error_set(err, 0, "%s.priority: %u: must be 0 for other policies than SCHED_FIFO and SCHED_RR",
                                name, scheduler->priority);
    if (realtime && scheduler->priority == 0 && !kept)
        return wherry_error_set(err, 0, "%s.priority: must be from 1 to 99 for SCHED_FIFO and SCHED_RR", name);
    if (scheduler->policy != SCHED_DEADLINE) {
        if ((scheduler->runtime | scheduler->deadline | scheduler->period) != 0)
            return wherry_error_set(err, 0, "%s: runtime, deadline and period are only for SCHED_DEADLINE", name);
        return 0;
    }
    if (!kept && (scheduler->runtime < RUNTIME_MIN || scheduler->runtime > scheduler->deadline ||
                  (scheduler->period != 0 && scheduler->deadline > scheduler->period)))
        return wherry_error_set(err, 0,
                                "%s: runtime %" PRIu64 ", deadline %" PRIu64 ", period %" PRIu64
                                ": must be %d <= runtime <= deadline <= period (0: as the deadline)",
                                name, scheduler->runtime, scheduler->deadline, scheduler->period, RUNTIME_MIN);
    return 0;
}

static int read_parameters(struct json_object *object, const char *name, struct wherry_scheduler *scheduler,
                           struct wherry_error *err)
{
    int64_t nice = 0, priority = 0, runtime = 0, deadline = 0, period = 0;
    uint64_t policy = 0;
    int found = wherry_json_choose(object, name, "policy", policies, WHERRY_COUNT(policies), &policy, err);

    if (found == 0)
        return wherry_error_set(err, 0, "%s.policy: must be set", name);
    if (found < 0 || wherry_json_integer(object, name, "nice", -20, 19, &nice, err) < 0 ||
        wherry_json_integer(object, name, "priority", 0, 99, &priority, err) < 0 ||
        wherry_json_flags(object, name, "flags", scheduler_flags, WHERRY_COUNT(scheduler_flags), &scheduler->flags,
                          err) < 0 ||
        wherry_json_integer(object, name, "runtime", 0, INT64_MAX, &runtime, err) < 0 ||
        wherry_json_integer(object, name, "deadline", 0, INT64_MAX, &deadline, err) < 0 ||
        wherry_json_integer(object, name, "period", 0, INT64_MAX, &period, err) < 0)
        return -EINVAL;
    scheduler->policy = (uint32_t)policy;
    scheduler->nice = (int32_t)nice;
    scheduler->priority = (uint32_t)priority;
    scheduler->runtime = (uint64_t)runtime;
    scheduler->deadline = (uint64_t)deadline;
    scheduler->period = (uint64_t)period;
    return check_parameters(scheduler, name, err);
}

static int parse_scheduler(struct json_object *object, const char *where, struct wherry_arena *arena,
                           struct wherry_process *process, struct wherry_error *err)
{
    struct json_object *wanted = NULL;
    struct wherry_scheduler *scheduler;
    char name[WHERRY_JSON_WHERE_MAX];
    int found = wherry_json_object(object, where, "scheduler", &wanted, err);

    if (found <= 0)
        return found;
    wherry_json_name(name, where, "scheduler");
    scheduler = wherry_arena_array(arena, 1, sizeof(*scheduler));
    if (scheduler == NULL)
        return wherry_error_set(err, ENOMEM, "%s", name);
    process->scheduler = scheduler;
    return read_parameters(wanted, name, scheduler, err);
}

static int parse_cpus(struct json_object *affinity, const char *name, const char *key, struct wherry_arena *arena,
                      const struct wherry_id_set **cpus, struct wherry_error *err)
{
    char field[WHERRY_JSON_WHERE_MAX];
    struct wherry_id_set *set;
    const char *text = NULL;
    int found = wherry_json_string(affinity, name, key, &text, err);

    if (found <= 0)
        return found;
    wherry_json_name(field, name, key);
    set = wherry_arena_array(arena, 1, sizeof(*set));
    if (set == NULL)
        return wherry_error_set(err, ENOMEM, "%s", field);
    if (wherry_id_set_parse(text, field, set, err) < 0)
        return -EINVAL;
    *cpus = wherry_id_set_is_empty(set) ? NULL : set;
    return 0;
}

static int parse_affinity(struct json_object *object, const char *where, struct wherry_arena *arena,
                          struct wherry_process *process, struct wherry_error *err)
{
    struct json_object *affinity = NULL;
    char name[WHERRY_JSON_WHERE_MAX];
    int found = wherry_json_object(object, where, "execCPUAffinity", &affinity, err);

    if (found <= 0)
        return found;
    wherry_json_name(name, where, "execCPUAffinity");
    if (parse_cpus(affinity, name, "initial", arena, &process->initial_cpus, err) < 0 ||
        parse_cpus(affinity, name, "final", arena, &process->final_cpus, err) < 0)
        return -EINVAL;
    return 0;
}

int wherry_process_parse_scheduling(struct json_object *object, const char *where, struct wherry_arena *arena,
                                    struct wherry_process *process, struct wherry_error *err)
{
    if (parse_io_priority(object, where, process, err) < 0 || parse_scheduler(object, where, arena, process, err) < 0 ||
        parse_affinity(object, where, arena, process, err) < 0)
        return -EINVAL;
    return 0;
}
