/* The verbs state and list on the command line; see cli.h. */
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

    if (wherry_cli_next(argc, argv, ":", options, err) == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return -1;
    if (wherry_container_open(cli->root, argv[optind], &container, err) < 0)
        return -1;
    result = wherry_cli_print(wherry_container_state(&container, wherry_container_status(&container)), err);
    wherry_container_close(&container);
    return result;
}

static const char *const heading[] = {"ID", "PID", "STATUS", "BUNDLE", "CREATED"};

static void print_row(const char *const cells[5], const int widths[5])
{
    for (int i = 0; i < 4; i++)
        printf("%-*s   ", widths[i], cells[i]);
    printf("%s\n", cells[4]);
}

static const char *text_of(struct json_object *state, const char *key)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(state, key, &value) ? json_object_get_string(value) : "";
}

/* Columns are as wide as what stands in them. */
static void print_table(struct json_object *states)
{
    static const char *const keys[] = {"id", "pid", "status", "bundle", "created"};
    size_t count = json_object_array_length(states);
    const char *cells[5];
    int widths[5];

    for (int i = 0; i < 5; i++) {
        widths[i] = (int)strlen(heading[i]) > 9 ? (int)strlen(heading[i]) : 9;
        for (size_t row = 0; row < count; row++) {
            int width = (int)strlen(text_of(json_object_array_get_idx(states, row), keys[i]));

            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    print_row(heading, widths);
    for (size_t row = 0; row < count; row++) {
        for (int i = 0; i < 5; i++)
            cells[i] = text_of(json_object_array_get_idx(states, row), keys[i]);
        print_row(cells, widths);
    }
}

static int compare_ids(const void *one, const void *other)
{
    return strcmp(text_of(*(struct json_object *const *)one, "id"), text_of(*(struct json_object *const *)other, "id"));
}

/* The states of all containers below the root, by name. One that vanishes while it is read is left out. */
static int collect(const struct wherry_cli *cli, struct json_object *states, struct wherry_error *err)
{
    cleanup_closedir DIR *directory = opendir(cli->root);
    const struct dirent *entry;

    if (directory == NULL)
        return errno == ENOENT ? 0 : wherry_error_set(err, errno, "open runtime root %s", cli->root);
    while ((entry = readdir(directory)) != NULL) {
        struct wherry_container container;

        if (entry->d_name[0] == '.' || wherry_container_open(cli->root, entry->d_name, &container, err) < 0)
            continue;
        json_object_array_add(states, wherry_container_state(&container, wherry_container_status(&container)));
        wherry_container_close(&container);
    }
    json_object_array_sort(states, compare_ids);
    return 0;
}

int wherry_cli_list(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'}, {"quiet", no_argument, NULL, 'q'}, {0}};
    cleanup_json struct json_object *states = json_object_new_array();
    bool json = false, quiet = false;
    int code;

    while ((code = wherry_cli_next(argc, argv, ":f:q", options, err)) >= 0) {
        if (code == 'q')
            quiet = true;
        else if (wherry_cli_format(optarg, &json, err) < 0)
            return -1;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 0, 0, err) < 0 || collect(cli, states, err) < 0)
        return -1;
    if (json && !quiet)
        return wherry_cli_print_line(wherry_steal_pointer(&states), err);
    for (size_t i = 0; quiet && i < json_object_array_length(states); i++)
        printf("%s\n", text_of(json_object_array_get_idx(states, i), "id"));
    if (!quiet)
        print_table(states);
    return 0;
}
