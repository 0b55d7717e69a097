/* Processor time, throttling, pressure and the cpuset; see statistics.h. */
#include "runtime/cgroup_layout.h"
#include "runtime/statistics.h"
#include "wherry/cleanup.h"

#include <stdio.h>
#include <string.h>

#define MICROSECOND 1000ULL /* in nanoseconds */

/* A file of numbers with blanks between them, as a list. */
static void put_numbers(struct json_object *object, const char *key, const char *text)
{
    struct json_object *list = json_object_new_array();
    char *end;

    for (const char *at = text; at != NULL; at = end) {
        unsigned long long value = strtoull(at, &end, 10);

        if (end == at)
            break;
        json_object_array_add(list, json_object_new_uint64(value));
    }
    json_object_object_add(object, key, list);
}

/* cpuacct.usage_all: a heading, then "CPU USER SYSTEM" in nanoseconds. */
static void put_per_cpu_modes(struct json_object *usage, const char *text)
{
    struct json_object *user = json_object_new_array(), *kernel = json_object_new_array();

    for (const char *line = text; line != NULL && (line = strchr(line, '\n')) != NULL;) {
        unsigned long long in_user, in_kernel;

        line++;
        if (sscanf(line, "%*u %llu %llu", &in_user, &in_kernel) != 2)
            break;
        json_object_array_add(user, json_object_new_uint64(in_user));
        json_object_array_add(kernel, json_object_new_uint64(in_kernel));
    }
    json_object_object_add(usage, "percpu_user", user);
    json_object_object_add(usage, "percpu_kernel", kernel);
}

static void read_v1(struct statistics *statistics, struct json_object *usage)
{
    cleanup_free char *per_cpu = statistics_text(statistics, CGROUP_CPUACCT, "cpuacct.usage_percpu");
    cleanup_free char *modes = statistics_text(statistics, CGROUP_CPUACCT, "cpuacct.usage_all");
    cleanup_free char *sums = statistics_text(statistics, CGROUP_CPUACCT, "cpuacct.stat");
    uint64_t tick = 1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK);

    statistics_put(usage, "total", statistics_number(statistics, CGROUP_CPUACCT, "cpuacct.usage"));
    statistics_put(usage, "kernel", statistics_entry(sums, "system") * tick);
    statistics_put(usage, "user", statistics_entry(sums, "user") * tick);
    put_numbers(usage, "percpu", per_cpu);
    put_per_cpu_modes(usage, modes);
}

struct json_object *statistics_cpu(struct statistics *statistics)
{
    struct json_object *cpu = json_object_new_object(), *usage = json_object_new_object();
    struct json_object *throttling = json_object_new_object();
    cleanup_free char *stat = statistics_text(statistics, CGROUP_CPU, "cpu.stat");
    bool unified = statistics_unified(statistics, CGROUP_CPU);

    if (unified) {
        statistics_put(usage, "total", statistics_entry(stat, "usage_usec") * MICROSECOND);
        statistics_put(usage, "kernel", statistics_entry(stat, "system_usec") * MICROSECOND);
        statistics_put(usage, "user", statistics_entry(stat, "user_usec") * MICROSECOND);
    } else {
        read_v1(statistics, usage);
    }
    statistics_put(throttling, "periods", statistics_entry(stat, "nr_periods"));
    statistics_put(throttling, "throttledPeriods", statistics_entry(stat, "nr_throttled"));
    statistics_put(throttling, "throttledTime",
                   unified ? statistics_entry(stat, "throttled_usec") * MICROSECOND
                           : statistics_entry(stat, "throttled_time"));
    json_object_object_add(cpu, "usage", usage);
    json_object_object_add(cpu, "throttling", throttling);
    statistics_put_pressure(statistics, CGROUP_CPU, "cpu.pressure", cpu);
    return cpu;
}

/* One line, "some avg10=0.12 avg60=0.03 avg300=0.00 total=4711". */
static struct json_object *read_pressure(const char *line)
{
    struct json_object *object = json_object_new_object();
    double ten = 0, sixty = 0, three_hundred = 0;
    unsigned long long total = 0;

    sscanf(line, "%*s avg10=%lf avg60=%lf avg300=%lf total=%llu", &ten, &sixty, &three_hundred, &total);
    json_object_object_add(object, "avg10", json_object_new_double(ten));
    json_object_object_add(object, "avg60", json_object_new_double(sixty));
    json_object_object_add(object, "avg300", json_object_new_double(three_hundred));
    statistics_put(object, "total", total);
    return object;
}

void statistics_put_pressure(struct statistics *statistics, unsigned controller, const char *file,
                             struct json_object *object)
{
    cleanup_free char *text =
        statistics_unified(statistics, controller) ? statistics_text(statistics, controller, file) : NULL;
    struct json_object *pressure;
    const char *full;

    if (text == NULL || strncmp(text, "some ", 5) != 0)
        return;
    full = strstr(text, "\nfull ");
    pressure = json_object_new_object();
    json_object_object_add(pressure, "some", read_pressure(text));
    /* Kernels before 5.13 have no line "full" for processors. */
    json_object_object_add(pressure, "full", read_pressure(full != NULL ? full + 1 : ""));
    json_object_object_add(object, "psi", pressure);
}

/* "0-2,7" as [0, 1, 2, 7]. */
static void put_ranges(struct json_object *object, const char *key, const char *text)
{
    struct json_object *list = json_object_new_array();

    for (const char *at = text; at != NULL && *at >= '0' && *at <= '9';) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

        for (; first <= last && last <= UINT16_MAX; first++)
            json_object_array_add(list, json_object_new_uint64(first));
        at = *end == ',' ? end + 1 : NULL;
    }
    json_object_object_add(object, key, list);
}

struct json_object *statistics_cpuset(struct statistics *statistics)
{
    static const struct {
        const char *key, *file;
    } flags[] = {
        {"cpu_exclusive", "cpuset.cpu_exclusive"},           {"mem_hardwall", "cpuset.mem_hardwall"},
        {"mem_exclusive", "cpuset.mem_exclusive"},           {"memory_migrate", "cpuset.memory_migrate"},
        {"memory_spread_page", "cpuset.memory_spread_page"}, {"memory_spread_slab", "cpuset.memory_spread_slab"},
        {"memory_pressure", "cpuset.memory_pressure"},       {"sched_load_balance", "cpuset.sched_load_balance"},
    };
    bool unified = statistics_unified(statistics, CGROUP_CPUSET);
    struct json_object *cpuset = json_object_new_object();
    cleanup_free char *cpus =
        statistics_text(statistics, CGROUP_CPUSET, unified ? "cpuset.cpus.effective" : "cpuset.cpus");
    cleanup_free char *mems =
        statistics_text(statistics, CGROUP_CPUSET, unified ? "cpuset.mems.effective" : "cpuset.mems");
    cleanup_free char *level =
        unified ? NULL : statistics_text(statistics, CGROUP_CPUSET, "cpuset.sched_relax_domain_level");

    put_ranges(cpuset, "cpus", cpus);
    put_ranges(cpuset, "mems", mems);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        statistics_put(cpuset, flags[i].key, unified ? 0 : statistics_number(statistics, CGROUP_CPUSET, flags[i].file));
    json_object_object_add(cpuset, "sched_relax_domain_level",
                           json_object_new_int64(level != NULL ? strtoll(level, NULL, 10) : 0));
    return cpuset;
}
