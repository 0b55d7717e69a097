/* The verbs kill, delete, pause and resume on the command line; see cli.h. */
#include "cli.h"
#include "signals.h"
#include "wherry/cleanup.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>

/* What kill and delete were asked for, of one container or of many. */
struct request {
    bool all, force, regex;
    int signal;
};

typedef int act(const struct wherry_cli *cli, const char *id, const struct request *request, struct wherry_error *err);

/* Goes on to the others when one fails; the first failure is told. */
static int for_each_match(const struct wherry_cli *cli, const regex_t *pattern, const struct request *request,
                          act *action, struct wherry_error *err)
{
    cleanup_closedir DIR *directory = opendir(cli->root);
    const struct dirent *entry;
    int result = 0;

    if (directory == NULL)
        return errno == ENOENT ? 0 : wherry_error_set(err, errno, "open runtime root %s", cli->root);
    while ((entry = readdir(directory)) != NULL) {
        struct wherry_error later = WHERRY_ERROR_INIT;

        if (entry->d_name[0] == '.' || regexec(pattern, entry->d_name, 0, NULL, 0) != 0)
            continue;
        if (action(cli, entry->d_name, request, &later) < 0 && result == 0) {
            *err = later;
            result = -1;
        }
    }
    return result;
}

static int act_on(const struct wherry_cli *cli, const char *id, const struct request *request, act *action,
                  struct wherry_error *err)
{
    regex_t pattern;
    int result;

    if (!request->regex)
        return action(cli, id, request, err);
    if (regcomp(&pattern, id, REG_EXTENDED | REG_NOSUB) != 0)
        return wherry_error_set(err, 0, "--regex: %s: must be an extended regular expression", id);
    result = for_each_match(cli, &pattern, request, action, err);
    regfree(&pattern);
    return result;
}

static int kill_one(const struct wherry_cli *cli, const char *id, const struct request *request,
                    struct wherry_error *err)
{
    return wherry_runtime_kill(cli->root, id, request->signal, request->all, err);
}

int wherry_cli_kill(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {"regex", no_argument, NULL, 'r'}, {0}};
    struct request request = {0};
    int code;

    while ((code = wherry_cli_next(argc, argv, ":ar", options, err)) >= 0) {
        request.all |= code == 'a';
        request.regex |= code == 'r';
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 2, err) < 0)
        return -1;
    request.signal = wherry_signal_parse(argc - optind > 1 ? argv[optind + 1] : "SIGTERM", err);
    return request.signal < 0 ? request.signal : act_on(cli, argv[optind], &request, kill_one, err);
}

static int delete_one(const struct wherry_cli *cli, const char *id, const struct request *request,
                      struct wherry_error *err)
{
    char warning[WHERRY_WARNING_MAX] = "";

    if (wherry_runtime_delete(cli->root, id, request->force, warning, err) < 0)
        return -1;
    if (warning[0] != '\0')
        wherry_cli_log(cli, "warning", warning);
    return 0;
}

int wherry_cli_delete(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {"regex", no_argument, NULL, 'r'}, {0}};
    struct request request = {0};
    int code;

    while ((code = wherry_cli_next(argc, argv, ":fr", options, err)) >= 0) {
        request.force |= code == 'f';
        request.regex |= code == 'r';
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return -1;
    return act_on(cli, argv[optind], &request, delete_one, err);
}

static int set_paused(const struct wherry_cli *cli, int argc, char **argv, bool paused, struct wherry_error *err)
{
    static const struct option options[] = {{0}};

    if (wherry_cli_next(argc, argv, ":", options, err) == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return -1;
    return wherry_runtime_pause(cli->root, argv[optind], paused, err);
}

int wherry_cli_pause(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    return set_paused(cli, argc, argv, true, err);
}

int wherry_cli_resume(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    return set_paused(cli, argc, argv, false, err);
}

int wherry_cli_refuse(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{0}};

    (void)cli;
    /* Nothing else of its options is looked at. */
    if (argc > 1 && wherry_cli_is_help(argv[1])) {
        wherry_cli_help_verb(argv[0], "", options);
        return 0;
    }
    return wherry_error_set(err, 0, "%s: not supported by this runtime", argv[0]);
}
