/* Reading what a container has used; see wherry/statistics.h. */
#include "runtime/statistics.h"

#include "runtime/cgroup_file.h"
#include "runtime/cgroup_layout.h"
#include "wherry/cleanup.h"
#include "wherry/container.h"
#include "wherry/file.h"
#include "wherry/json.h"
#include "wherry/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#define TEXT_MAX ((size_t)4 << 20)
#define NANOSECONDS 1000000000ULL

char *statistics_text(struct statistics *statistics, unsigned controller, const char *file)
{
    struct wherry_cgroup_directory *directory = cgroup_directory_of(statistics->cg, controller);
    struct wherry_error err = WHERRY_ERROR_INIT;
    char *text = NULL;
    size_t length = 0;

    if (statistics->failed || directory == NULL)
        return NULL;
    if (cgroup_directory_open(directory, statistics->err) < 0) {
        statistics->failed = true;
        return NULL;
    }
    /* What is missing, or answers that it is not counted, counts as nothing. */
    if (wherry_file_read(directory->fd, file, TEXT_MAX, &text, &length, &err) >= 0 || err.code == ENOENT ||
        err.code == EOPNOTSUPP)
        return text;
    statistics->failed = true;
    wherry_error_set(statistics->err, err.code, "read %s/%s", directory->path, file);
    return NULL;
}

uint64_t statistics_number(struct statistics *statistics, unsigned controller, const char *file)
{
    cleanup_free char *text = statistics_text(statistics, controller, file);

    if (text == NULL)
        return 0;
    return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

uint64_t statistics_entry(const char *text, const char *key)
{
    size_t length = strlen(key);

    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ')
            return strtoull(line + length + 1, NULL, 10);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
}

bool statistics_unified(const struct statistics *statistics, unsigned controller)
{
    const struct wherry_cgroup_directory *directory = cgroup_directory_of(statistics->cg, controller);

    return directory != NULL && directory->unified;
}

void statistics_put(struct json_object *object, const char *key, uint64_t value)
{
    json_object_object_add(object, key, json_object_new_uint64(value));
}

static struct json_object *read_pids(struct statistics *statistics)
{
    struct json_object *pids = json_object_new_object();
    uint64_t limit = statistics_number(statistics, CGROUP_PIDS, "pids.max");

    statistics_put(pids, "current", statistics_number(statistics, CGROUP_PIDS, "pids.current"));
    statistics_put(pids, "limit", limit == UINT64_MAX ? 0 : limit);
    return pids;
}

int wherry_statistics_read(struct wherry_cgroup *cg, pid_t network_pid, struct json_object **document,
                           struct wherry_error *err)
{
    struct statistics statistics = {.cg = cg, .err = err};
    cleanup_json struct json_object *all = json_object_new_object();

    if (all == NULL)
        return wherry_error_set(err, ENOMEM, "statistics");
    json_object_object_add(all, "cpu", statistics_cpu(&statistics));
    json_object_object_add(all, "cpuset", statistics_cpuset(&statistics));
    json_object_object_add(all, "memory", statistics_memory(&statistics));
    json_object_object_add(all, "pids", read_pids(&statistics));
    json_object_object_add(all, "blkio", statistics_blockio(&statistics));
    json_object_object_add(all, "hugetlb", statistics_hugepages(&statistics));
    json_object_object_add(all, "intel_rdt", json_object_new_object());
    json_object_object_add(all, "network_interfaces", statistics_network(&statistics, network_pid));
    if (statistics.failed)
        return err != NULL && err->code > 0 ? -err->code : -1;
    *document = wherry_steal_pointer(&all);
    return 0;
}

/* The sum of the first eight columns of /proc/stat's "cpu": the others, guest times, are contained in them. */
static uint64_t host_cpu_time(const char *stat)
{
    uint64_t ticks = 0, tick = NANOSECONDS / (uint64_t)sysconf(_SC_CLK_TCK);
    const char *at = stat + strcspn(stat, " ");

    for (int column = 0; column < 8; column++) {
        char *end;

        ticks += strtoull(at, &end, 10);
        at = end;
    }
    return ticks * tick;
}

static unsigned count_cpus(const char *stat)
{
    unsigned count = 0;

    for (const char *at = strstr(stat, "\ncpu"); at != NULL; at = strstr(at + 1, "\ncpu"))
        count++;
    return count;
}

static int read_host(struct json_object **host, struct wherry_error *err)
{
    cleanup_free char *stat = NULL;
    size_t length = 0;
    int result = wherry_file_read(AT_FDCWD, "/proc/stat", TEXT_MAX, &stat, &length, err);

    if (result < 0)
        return result;
    *host = json_object_new_object();
    statistics_put(*host, "cpu_total", host_cpu_time(stat));
    statistics_put(*host, "cpus_online", count_cpus(stat));
    statistics_put(*host, "memory_total", (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
    return 0;
}

static int read_container(struct wherry_container *container, struct json_object **document, struct wherry_error *err)
{
    enum wherry_status status = wherry_container_status(container);
    bool own_network = (container->namespaces & CLONE_NEWNET) != 0;
    struct json_object *host = NULL;
    int result;

    if (status == WHERRY_STATUS_STOPPED || status == WHERRY_STATUS_CREATING)
        return wherry_error_set(err, ESRCH, "container %s is %s", container->id, wherry_status_name(status));
    result = wherry_statistics_read(&container->cgroup, own_network ? container->pid : 0, document, err);
    if (result < 0)
        return result;
    result = read_host(&host, err);
    json_object_object_add(*document, "host", host);
    return result;
}

int wherry_statistics_json(const char *root, const char *id, char **text, struct wherry_error *err)
{
    cleanup_json struct json_object *document = NULL;
    struct wherry_container container;
    int result = wherry_container_open(root, id, &container, err);

    if (result < 0)
        return result;
    result = read_container(&container, &document, err);
    wherry_container_close(&container);
    if (result < 0)
        return result;
    *text = strdup(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    return *text != NULL ? 0 : wherry_error_set(err, ENOMEM, "statistics");
}
