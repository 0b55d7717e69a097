/* The verbs kill, delete, pause and resume on the command line; see cli.h. */
#include "cli.h"
#include "signals.h"
#include "wherry/runtime.h"

#include <stdio.h>

int wherry_cli_kill(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {0}};
    bool all = false;
    int code, number;

    while ((code = wherry_cli_next(argc, argv, ":a", options, err)) >= 0)
        all = true;
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 2, "[--all] ID [SIGNAL]", err) < 0)
        return -1;
    number = wherry_signal_parse(argc - optind > 1 ? argv[optind + 1] : "SIGTERM", err);
    return number < 0 ? number : wherry_runtime_kill(cli->root, argv[optind], number, all, err);
}

int wherry_cli_delete(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
    char warning[WHERRY_WARNING_MAX] = "";
    bool force = false;
    int code;

    while ((code = wherry_cli_next(argc, argv, ":f", options, err)) >= 0)
        force = true;
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 1, "[--force] ID", err) < 0)
        return -1;
    if (wherry_runtime_delete(cli->root, argv[optind], force, warning, err) < 0)
        return -1;
    if (warning[0] != '\0')
        wherry_cli_log(cli, "warning", warning);
    return 0;
}

static int set_paused(const struct wherry_cli *cli, int argc, char **argv, bool paused, struct wherry_error *err)
{
    static const struct option options[] = {{0}};

    if (wherry_cli_next(argc, argv, ":", options, err) == -2 || wherry_cli_operands(argc, argv, 1, 1, "ID", err) < 0)
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
    (void)cli;
    (void)argc;
    return wherry_error_set(err, 0, "%s: not supported by this runtime", argv[0]);
}
