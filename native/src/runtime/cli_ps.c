/* The verb ps on the command line; see cli.h. */
#include "cli.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define ARGUMENTS_MAX 64

extern char **environ;

static bool contains(const pid_t *pids, size_t count, long pid)
{
    for (size_t i = 0; i < count; i++) {
        if (pids[i] == pid)
            return true;
    }
    return false;
}

/* Starts the host's ps; its output is to be read from `*output`. */
static int start_ps(int argc, char **argv, pid_t *pid, FILE **output, struct wherry_error *err)
{
    const char *arguments[ARGUMENTS_MAX + 2] = {"ps", "-ef"};
    posix_spawn_file_actions_t actions;
    int ends[2], code;

    if (argc > ARGUMENTS_MAX)
        return wherry_error_set(err, 0, "ps: more than %d options", ARGUMENTS_MAX);
    for (int i = 0; i < argc; i++)
        arguments[i + 1] = argv[i];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return wherry_error_set(err, errno, "pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    code = posix_spawnp(pid, arguments[0], &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *output = code == 0 ? fdopen(ends[0], "r") : NULL;
    if (*output != NULL)
        return 0;
    close(ends[0]);
    return wherry_error_set(err, code, "ps: execute ps");
}

/* Which word of the heading is "PID"; -1 when none is. */
static int find_column(const char *heading)
{
    int column = 0;

    for (const char *at = heading + strspn(heading, " \n"); *at != '\0'; column++) {
        size_t length = strcspn(at, " \n");

        if (length == 3 && memcmp(at, "PID", 3) == 0)
            return column;
        at += length;
        at += strspn(at, " \n");
    }
    return -1;
}

static long number_in(const char *line, int column)
{
    const char *at = line + strspn(line, " ");

    for (; column > 0; column--) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    return strtol(at, NULL, 10);
}

/* Prints the heading and the lines of the container's processes. */
static int filter(FILE *output, const pid_t *pids, size_t count, struct wherry_error *err)
{
    cleanup_free char *line = NULL;
    size_t room = 0;
    int column;

    if (getline(&line, &room, output) < 0)
        return wherry_error_set(err, 0, "ps: ps has no output");
    column = find_column(line);
    if (column < 0)
        return wherry_error_set(err, 0, "ps: the output of ps has no column PID");
    fputs(line, stdout);
    while (getline(&line, &room, output) >= 0) {
        if (contains(pids, count, number_in(line, column)))
            fputs(line, stdout);
    }
    return 0;
}

static int print_table(int argc, char **argv, const pid_t *pids, size_t count, struct wherry_error *err)
{
    cleanup_fclose FILE *output = NULL;
    int status = 0, result;
    pid_t pid = 0;

    if (start_ps(argc, argv, &pid, &output, err) < 0)
        return -1;
    result = filter(output, pids, count, err);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (result >= 0 && status != 0)
        return wherry_error_set(err, 0, "ps: ps failed with exit status %d", WEXITSTATUS(status));
    return result;
}

static int print_json(const pid_t *pids, size_t count, struct wherry_error *err)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; array != NULL && i < count; i++)
        json_object_array_add(array, json_object_new_int(pids[i]));
    return wherry_cli_print_line(array, err);
}

int wherry_cli_ps(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'}, {0}};
    cleanup_free pid_t *pids = NULL;
    struct wherry_container container;
    bool json = false;
    size_t count = 0;
    int code, result;

    /* "+": what follows the ID is for ps. */
    while ((code = wherry_cli_next(argc, argv, "+:f:", options, err)) >= 0) {
        if (wherry_cli_format(optarg, &json, err) < 0)
            return -1;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, argc, err) < 0)
        return -1;
    if (wherry_container_open(cli->root, argv[optind], &container, err) < 0)
        return -1;
    result = wherry_cgroup_pids(&container.cgroup, &pids, &count, err);
    wherry_container_close(&container);
    if (result < 0)
        return -1;
    return json ? print_json(pids, count, err) : print_table(argc - optind - 1, argv + optind + 1, pids, count, err);
}
