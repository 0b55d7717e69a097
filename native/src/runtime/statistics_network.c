/* The interfaces of a network namespace, by /proc/PID/net/dev; see statistics.h. Source: proc_pid_net(5). */
#include "runtime/statistics.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)
#define HEADING_LINES 2

/* "eth0: BYTES PACKETS ERRORS DROPPED and four more received, then the same sent". */
static struct json_object *read_interface(char *line)
{
    static const struct {
        const char *key;
        int column;
    } columns[] = {
        {"RxBytes", 0}, {"RxPackets", 1}, {"RxErrors", 2},  {"RxDropped", 3},
        {"TxBytes", 8}, {"TxPackets", 9}, {"TxErrors", 10}, {"TxDropped", 11},
    };
    uint64_t values[16] = {0};
    char *colon = strrchr(line, ':'), *at;
    struct json_object *object;

    if (colon == NULL)
        return NULL;
    *colon = '\0';
    line += strspn(line, " ");
    if (strcmp(line, "lo") == 0)
        return NULL;
    at = colon + 1;
    for (size_t i = 0; i < 16; i++)
        values[i] = strtoull(at, &at, 10);
    object = json_object_new_object();
    json_object_object_add(object, "Name", json_object_new_string(line));
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        statistics_put(object, columns[i].key, values[columns[i].column]);
    return object;
}

struct json_object *statistics_network(struct statistics *statistics, pid_t pid)
{
    cleanup_free char *text = NULL;
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct json_object *list;
    char path[64], *rest;
    size_t length = 0;
    int number = 0;

    if (pid == 0 || statistics->failed)
        return NULL;
    snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
    if (wherry_file_read(AT_FDCWD, path, TEXT_MAX, &text, &length, &err) < 0) {
        statistics->failed = true;
        wherry_error_set(statistics->err, err.code, "read %s", path);
        return NULL;
    }
    rest = text;
    list = json_object_new_array();
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        struct json_object *interface = ++number > HEADING_LINES ? read_interface(line) : NULL;

        if (interface != NULL)
            json_object_array_add(list, interface);
    }
    return list;
}
