/* Memory, and huge pages; see statistics.h. */
#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "runtime/statistics.h"
#include "wherry/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static struct json_object *make_use(uint64_t limit, uint64_t usage, uint64_t max, uint64_t failures)
{
    struct json_object *object = json_object_new_object();

    statistics_put(object, "limit", limit);
    statistics_put(object, "usage", usage);
    statistics_put(object, "max", max);
    statistics_put(object, "failcnt", failures);
    return object;
}

/* The four files of one of v1's counters: memory, memory.memsw, memory.kmem, memory.kmem.tcp. */
static struct json_object *read_v1(struct statistics *statistics, const char *counter)
{
    static const char *const files[] = {"limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt"};
    uint64_t values[4];

    for (size_t i = 0; i < 4; i++) {
        char name[64];

        snprintf(name, sizeof(name), "%s.%s", counter, files[i]);
        values[i] = statistics_number(statistics, CGROUP_MEMORY, name);
    }
    return make_use(values[0], values[1], values[2], values[3]);
}

/* All of memory.stat. */
static struct json_object *read_raw(const char *text)
{
    struct json_object *raw = json_object_new_object();

    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t length = strcspn(line, " \n");
        char name[64];

        if (length < sizeof(name) && line[length] == ' ') {
            memcpy(name, line, length);
            name[length] = '\0';
            statistics_put(raw, name, strtoull(line + length, NULL, 10));
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return raw;
}

static struct json_object *read_events(const char *text)
{
    static const char *const keys[] = {"low", "high", "max", "oom", "oom_kill"};
    struct json_object *events = json_object_new_object();

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        statistics_put(events, keys[i], statistics_entry(text, keys[i]));
    return events;
}

static uint64_t sum(uint64_t one, uint64_t other)
{
    return one == UINT64_MAX || other == UINT64_MAX ? UINT64_MAX : one + other;
}

static void read_v2(struct statistics *statistics, const char *stat, struct json_object *memory)
{
    cleanup_free char *events = statistics_text(statistics, CGROUP_MEMORY, "memory.events");
    uint64_t limit = statistics_number(statistics, CGROUP_MEMORY, "memory.max");
    uint64_t usage = statistics_number(statistics, CGROUP_MEMORY, "memory.current");
    uint64_t swap_limit = statistics_number(statistics, CGROUP_MEMORY, "memory.swap.max");
    uint64_t swap_usage = statistics_number(statistics, CGROUP_MEMORY, "memory.swap.current");

    statistics_put(memory, "cache", statistics_entry(stat, "file"));
    json_object_object_add(memory, "usage",
                           make_use(limit, usage, statistics_number(statistics, CGROUP_MEMORY, "memory.peak"),
                                    statistics_entry(events, "max")));
    /* v2 counts swap alone; callers know it as memory and swap together, which is what v1 counts. */
    json_object_object_add(memory, "swap", make_use(sum(limit, swap_limit), usage + swap_usage, 0, 0));
    json_object_object_add(memory, "kernel", make_use(UINT64_MAX, statistics_entry(stat, "kernel"), 0, 0));
    json_object_object_add(memory, "kernelTCP", make_use(UINT64_MAX, statistics_entry(stat, "sock"), 0, 0));
    json_object_object_add(memory, "event_count", read_events(events));
    statistics_put_pressure(statistics, CGROUP_MEMORY, "memory.pressure", memory);
}

struct json_object *statistics_memory(struct statistics *statistics)
{
    struct json_object *memory = json_object_new_object();
    cleanup_free char *stat = statistics_text(statistics, CGROUP_MEMORY, "memory.stat");

    if (statistics_unified(statistics, CGROUP_MEMORY)) {
        read_v2(statistics, stat, memory);
    } else {
        statistics_put(memory, "cache", statistics_entry(stat, "cache"));
        json_object_object_add(memory, "usage", read_v1(statistics, "memory"));
        json_object_object_add(memory, "swap", read_v1(statistics, "memory.memsw"));
        json_object_object_add(memory, "kernel", read_v1(statistics, "memory.kmem"));
        json_object_object_add(memory, "kernelTCP", read_v1(statistics, "memory.kmem.tcp"));
    }
    json_object_object_add(memory, "raw", read_raw(stat));
    return memory;
}

static struct json_object *read_page_size(struct statistics *statistics, const char *size, bool unified)
{
    struct json_object *object = json_object_new_object();
    char name[96];

    snprintf(name, sizeof(name), "hugetlb.%s.%s", size, unified ? "current" : "usage_in_bytes");
    statistics_put(object, "usage", statistics_number(statistics, CGROUP_HUGETLB, name));
    snprintf(name, sizeof(name), "hugetlb.%s.max_usage_in_bytes", size);
    statistics_put(object, "max", unified ? 0 : statistics_number(statistics, CGROUP_HUGETLB, name));
    if (unified) {
        cleanup_free char *events = NULL;

        snprintf(name, sizeof(name), "hugetlb.%s.events", size);
        events = statistics_text(statistics, CGROUP_HUGETLB, name);
        statistics_put(object, "failcnt", statistics_entry(events, "max"));
    } else {
        snprintf(name, sizeof(name), "hugetlb.%s.failcnt", size);
        statistics_put(object, "failcnt", statistics_number(statistics, CGROUP_HUGETLB, name));
    }
    return object;
}

/* The sizes are those for which the group has files: "hugetlb.2MB.current", on v1 "hugetlb.2MB.usage_in_bytes". */
struct json_object *statistics_hugepages(struct statistics *statistics)
{
    struct json_object *sizes = json_object_new_object();
    struct wherry_cgroup_directory *directory = cgroup_directory_of(statistics->cg, CGROUP_HUGETLB);
    cleanup_closedir DIR *stream = directory == NULL || statistics->failed ? NULL : opendir(directory->path);
    const struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        char size[32], rest[64];

        if (sscanf(entry->d_name, "hugetlb.%31[^.].%63s", size, rest) == 2 &&
            strcmp(rest, directory->unified ? "current" : "usage_in_bytes") == 0)
            json_object_object_add(sizes, size, read_page_size(statistics, size, directory->unified));
    }
    return sizes;
}
