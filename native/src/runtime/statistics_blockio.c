/* What went to and from block devices; see statistics.h. */
#include "runtime/cgroup_layout.h"
#include "runtime/statistics.h"
#include "wherry/cleanup.h"

#include <stdio.h>
#include <string.h>

/* The lists of the document, and where v1 counts them: for the devices of BFQ, of CFQ (to Linux 4.20), or of any. */
static const struct subject {
    const char *key;
    const char *name;
    const char *throttle; /* NULL: not counted for other devices */
} subjects[] = {
    {"ioServiceBytesRecursive", "io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"},
    {"ioServicedRecursive", "io_serviced_recursive", "blkio.throttle.io_serviced_recursive"},
    {"ioQueueRecursive", "io_queued_recursive", NULL},
    {"ioServiceTimeRecursive", "io_service_time_recursive", NULL},
    {"ioWaitTimeRecursive", "io_wait_time_recursive", NULL},
    {"ioMergedRecursive", "io_merged_recursive", NULL},
    {"ioTimeRecursive", "time_recursive", NULL},
    {"sectorsRecursive", "sectors_recursive", NULL},
};

static void add(struct json_object *list, unsigned major, unsigned minor, const char *operation, uint64_t value)
{
    struct json_object *entry = json_object_new_object();

    statistics_put(entry, "major", major);
    statistics_put(entry, "minor", minor);
    json_object_object_add(entry, "op", json_object_new_string(operation));
    statistics_put(entry, "value", value);
    json_object_array_add(list, entry);
}

/* Lines "8:0 Read 4096" or "8:0 4096"; the "Total" over all devices is left out. Returns how many were found. */
static size_t read_v1(const char *text, struct json_object *list)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        unsigned major, minor;
        char operation[32] = "";
        unsigned long long value;

        if (sscanf(line, "%u:%u %31[A-Za-z] %llu", &major, &minor, operation, &value) == 4 ||
            sscanf(line, "%u:%u %llu", &major, &minor, &value) == 3)
            add(list, major, minor, operation, value);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return json_object_array_length(list);
}

static struct json_object *read_subject(struct statistics *statistics, const struct subject *subject)
{
    struct json_object *list = json_object_new_array();
    char bfq[64], cfq[64];
    const char *files[] = {bfq, cfq, subject->throttle};

    snprintf(bfq, sizeof(bfq), "blkio.bfq.%s", subject->name);
    snprintf(cfq, sizeof(cfq), "blkio.%s", subject->name);
    for (size_t i = 0; i < 3 && files[i] != NULL; i++) {
        cleanup_free char *text = statistics_text(statistics, CGROUP_BLKIO, files[i]);

        if (read_v1(text, list) > 0)
            break;
    }
    return list;
}

/* io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6", a line for every device. */
static void read_v2(const char *text, struct json_object *bytes, struct json_object *operations)
{
    static const struct {
        const char *word, *operation;
        bool bytes;
    } words[] = {
        {" rbytes=", "Read", true}, {" wbytes=", "Write", true}, {" dbytes=", "Discard", true},
        {" rios=", "Read", false},  {" wios=", "Write", false},  {" dios=", "Discard", false},
    };

    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t length = strcspn(line, "\n");
        unsigned major, minor;

        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            const char *found = memmem(line, length, words[i].word, strlen(words[i].word));

            if (found != NULL && sscanf(line, "%u:%u", &major, &minor) == 2)
                add(words[i].bytes ? bytes : operations, major, minor, words[i].operation,
                    strtoull(found + strlen(words[i].word), NULL, 10));
        }
        line += length + (line[length] == '\n');
    }
}

struct json_object *statistics_blockio(struct statistics *statistics)
{
    struct json_object *blockio = json_object_new_object();

    if (statistics_unified(statistics, CGROUP_BLKIO)) {
        cleanup_free char *text = statistics_text(statistics, CGROUP_BLKIO, "io.stat");
        struct json_object *bytes = json_object_new_array(), *operations = json_object_new_array();

        read_v2(text, bytes, operations);
        json_object_object_add(blockio, subjects[0].key, bytes);
        json_object_object_add(blockio, subjects[1].key, operations);
        statistics_put_pressure(statistics, CGROUP_BLKIO, "io.pressure", blockio);
        return blockio;
    }
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
        json_object_object_add(blockio, subjects[i].key, read_subject(statistics, &subjects[i]));
    return blockio;
}
