/* The verbs create, run and start on the command line; see cli.h. */
#include "cli.h"
#include "descriptors.h"
#include "foreground.h"
#include "sealed_self.h"
#include "terminal.h"
#include "wherry/cleanup.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void log_warning(const struct wherry_cli *cli, const char *warning)
{
    if (warning[0] != '\0')
        wherry_cli_log(cli, "warning", warning);
}

struct launch_arguments {
    struct wherry_launch_options options;
    const char *bundle;
    const char *id;
    bool detach, keep;
};

static int take_option(struct launch_arguments *arguments, int code, struct wherry_error *err)
{
    long number;

    switch (code) {
    case 'b':
        arguments->bundle = optarg;
        return 0;
    case 'f':
        arguments->options.config = optarg;
        return 0;
    case 'd':
        arguments->detach = true;
        return 0;
    case CLI_KEEP:
        arguments->keep = true;
        return 0;
    case CLI_PID_FILE:
        arguments->options.pid_file = optarg;
        return 0;
    case CLI_CONSOLE_SOCKET:
        arguments->options.console_socket = optarg;
        return 0;
    case CLI_PIDFD_SOCKET:
        arguments->options.pidfd_socket = optarg;
        return 0;
    case CLI_NO_NEW_KEYRING:
        arguments->options.keep_keyring = true;
        return 0;
    /* Never is one: what loses its parent in the container goes to the pid 1 above it. */
    case CLI_NO_SUBREAPER:
        return 0;
    case CLI_PRESERVE_FDS:
        if (wherry_cli_number(optarg, "--preserve-fds", 0, 1024, &number, err) < 0)
            return -1;
        arguments->options.preserved_fds = (unsigned)number;
        return 0;
    default:
        return wherry_error_set(err, 0, "--no-pivot: not supported: the root is always changed by pivot_root");
    }
}

static int read_arguments(struct launch_arguments *arguments, int argc, char **argv, const struct option *options,
                          const char *letters, struct wherry_error *err)
{
    int code;

    while ((code = wherry_cli_next(argc, argv, letters, options, err)) >= 0) {
        if (take_option(arguments, code, err) < 0)
            return -1;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return -1;
    arguments->id = argv[optind];
    return 0;
}

/* What both do first, in this order: the descriptors that the caller has leaked are closed before any of our own is
 * opened, and the process that will enter the container runs sealed before it knows anything. */
static int enter(const struct wherry_cli *cli, struct launch_arguments *arguments, char bundle[PATH_MAX],
                 struct wherry_error *err)
{
    arguments->options.listen_fds = wherry_descriptors_listening();
    arguments->options.preserved_fds += arguments->options.listen_fds;
    if (wherry_descriptors_close_from(3 + arguments->options.preserved_fds, err) < 0 ||
        wherry_sealed_self_enter(cli->argv, environ, err) < 0)
        return -1;
    if (realpath(arguments->bundle, bundle) == NULL)
        return wherry_error_set(err, errno, "bundle %s", arguments->bundle);
    arguments->options.root = cli->root;
    arguments->options.systemd = cli->systemd;
    arguments->options.rootless = cli->rootless;
    arguments->options.bundle = bundle;
    return 0;
}

int wherry_cli_create(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"bundle", required_argument, NULL, 'b'},
                                            {"config", required_argument, NULL, 'f'},
                                            {"pid-file", required_argument, NULL, CLI_PID_FILE},
                                            {"console-socket", required_argument, NULL, CLI_CONSOLE_SOCKET},
                                            {"pidfd-socket", required_argument, NULL, CLI_PIDFD_SOCKET},
                                            {"preserve-fds", required_argument, NULL, CLI_PRESERVE_FDS},
                                            {"no-new-keyring", no_argument, NULL, CLI_NO_NEW_KEYRING},
                                            {"no-pivot", no_argument, NULL, CLI_NO_PIVOT},
                                            {0}};
    struct launch_arguments arguments = {.bundle = "."};
    struct wherry_launch_result result = {0};
    char bundle[PATH_MAX];
    int code;

    if (read_arguments(&arguments, argc, argv, options, ":b:f:", err) < 0 || enter(cli, &arguments, bundle, err) < 0)
        return -1;
    code = wherry_runtime_create(&arguments.options, arguments.id, &result, err);
    log_warning(cli, result.warning);
    return code;
}

static int run_in_foreground(const struct wherry_cli *cli, struct launch_arguments *arguments, struct wherry_error *err)
{
    struct wherry_terminal terminal = WHERRY_TERMINAL_INIT;
    struct wherry_launch_result result = {0};
    char warning[WHERRY_WARNING_MAX] = "";
    bool served = arguments->options.console_socket != NULL;
    int status;

    wherry_foreground_begin();
    if (!served && wherry_terminal_prepare(&terminal, err) < 0)
        return -1;
    arguments->options.console_fd = served ? 0 : terminal.sender;
    status = wherry_runtime_run(&arguments->options, arguments->id, &result, err);
    log_warning(cli, result.warning);
    if (status < 0) {
        wherry_terminal_leave(&terminal);
        return -1;
    }
    status = wherry_terminal_attend(&terminal, result.terminal && !served, result.pid, err);
    if (status < 0 || arguments->keep)
        return status;
    if (wherry_runtime_delete(cli->root, arguments->id, true, warning, err) < 0)
        return -1;
    log_warning(cli, warning);
    return status;
}

int wherry_cli_run(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"bundle", required_argument, NULL, 'b'},
                                            {"config", required_argument, NULL, 'f'},
                                            {"detach", no_argument, NULL, 'd'},
                                            {"keep", no_argument, NULL, CLI_KEEP},
                                            {"pid-file", required_argument, NULL, CLI_PID_FILE},
                                            {"console-socket", required_argument, NULL, CLI_CONSOLE_SOCKET},
                                            {"pidfd-socket", required_argument, NULL, CLI_PIDFD_SOCKET},
                                            {"preserve-fds", required_argument, NULL, CLI_PRESERVE_FDS},
                                            {"no-new-keyring", no_argument, NULL, CLI_NO_NEW_KEYRING},
                                            {"no-subreaper", no_argument, NULL, CLI_NO_SUBREAPER},
                                            {"no-pivot", no_argument, NULL, CLI_NO_PIVOT},
                                            {0}};
    struct launch_arguments arguments = {.bundle = "."};
    struct wherry_launch_result result = {0};
    char bundle[PATH_MAX];
    int code;

    if (read_arguments(&arguments, argc, argv, options, ":b:f:d", err) < 0 || enter(cli, &arguments, bundle, err) < 0)
        return -1;
    if (!arguments.detach)
        return run_in_foreground(cli, &arguments, err);
    code = wherry_runtime_run(&arguments.options, arguments.id, &result, err);
    log_warning(cli, result.warning);
    return code;
}

int wherry_cli_start(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{0}};
    char warning[WHERRY_WARNING_MAX] = "";
    int result;

    if (wherry_cli_next(argc, argv, ":", options, err) == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return -1;
    result = wherry_runtime_start(cli->root, argv[optind], warning, err);
    log_warning(cli, warning);
    return result;
}
