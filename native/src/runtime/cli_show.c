/* The verbs state, list and ps on the command line; see cli.h. */
#include "cli.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int wherry_cli_state(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{0}};
    struct wherry_container container;
    int result;

    if (wherry_cli_next(argc, argv, ":", options, err) == -2 || wherry_cli_operands(argc, argv, 1, 1, "ID", err) < 0)
        return -1;
    if (wherry_container_open(cli->root, argv[optind], &container, err) < 0)
        return -1;
    result = wherry_cli_print(wherry_container_state(&container, wherry_container_status(&container)), err);
    wherry_container_close(&container);
    return result;
}

/* "table" or "json". */
static int read_format(const char *text, bool *json, struct wherry_error *err)
{
    *json = strcmp(text, "json") == 0;
    if (*json || strcmp(text, "table") == 0)
        return 0;
    return wherry_error_set(err, 0, "--format: %s: must be table or json", text);
}

static void print_row(const struct wherry_container *container, bool quiet)
{
    enum wherry_status status = wherry_container_status(container);

    if (quiet)
        printf("%s\n", container->id);
    else
        printf("%-24s %-8d %-9s %-40s %s\n", container->id, status == WHERRY_STATUS_STOPPED ? 0 : (int)container->pid,
               wherry_status_name(status), container->bundle, container->created);
}

/* Every container below the root; `array` NULL prints rows. One that vanishes while it is read is left out. */
static int walk(const struct wherry_cli *cli, struct json_object *array, bool quiet, struct wherry_error *err)
{
    cleanup_closedir DIR *directory = opendir(cli->root);
    const struct dirent *entry;

    if (directory == NULL)
        return errno == ENOENT ? 0 : wherry_error_set(err, errno, "open runtime root %s", cli->root);
    while ((entry = readdir(directory)) != NULL) {
        struct wherry_container container;

        if (entry->d_name[0] == '.' || wherry_container_open(cli->root, entry->d_name, &container, err) < 0)
            continue;
        if (array != NULL)
            json_object_array_add(array, wherry_container_state(&container, wherry_container_status(&container)));
        else
            print_row(&container, quiet);
        wherry_container_close(&container);
    }
    return 0;
}

int wherry_cli_list(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'}, {"quiet", no_argument, NULL, 'q'}, {0}};
    struct json_object *array = NULL;
    bool json = false, quiet = false;
    int code;

    while ((code = wherry_cli_next(argc, argv, ":f:q", options, err)) >= 0) {
        if (code == 'q')
            quiet = true;
        else if (read_format(optarg, &json, err) < 0)
            return -1;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 0, 0, "[--format table|json] [--quiet]", err) < 0)
        return -1;
    if (json && !quiet) {
        array = json_object_new_array();
        if (walk(cli, array, false, err) < 0) {
            json_object_put(array);
            return -1;
        }
        return wherry_cli_print(array, err);
    }
    if (!quiet)
        printf("%-24s %-8s %-9s %-40s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED");
    return walk(cli, NULL, quiet, err);
}

int wherry_cli_ps(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'}, {0}};
    cleanup_free pid_t *pids = NULL;
    struct wherry_container container;
    struct json_object *array;
    bool json = false;
    size_t count = 0;
    int code, result;

    while ((code = wherry_cli_next(argc, argv, ":f:", options, err)) >= 0) {
        if (read_format(optarg, &json, err) < 0)
            return -1;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 1, "[--format table|json] ID", err) < 0)
        return -1;
    if (wherry_container_open(cli->root, argv[optind], &container, err) < 0)
        return -1;
    result = wherry_cgroup_pids(&container.cgroup, &pids, &count, err);
    wherry_container_close(&container);
    if (result < 0)
        return -1;
    if (!json) {
        printf("PID\n");
        for (size_t i = 0; i < count; i++)
            printf("%d\n", (int)pids[i]);
        return 0;
    }
    array = json_object_new_array();
    for (size_t i = 0; array != NULL && i < count; i++)
        json_object_array_add(array, json_object_new_int(pids[i]));
    return wherry_cli_print(array, err);
}
