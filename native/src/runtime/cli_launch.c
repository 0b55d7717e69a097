/* The verbs create, run and start on the command line; see cli.h. */
#include "cli.h"
#include "descriptors.h"
#include "foreground.h"
#include "notify.h"
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
    arguments->options.notify = wherry_notify_host() != NULL;
    return 0;
}

/* The container runs whatever becomes of it: that who waits cannot be told is a warning. */
static void relay_readiness(const struct wherry_cli *cli, int fd, pid_t pid)
{
    struct wherry_error err = WHERRY_ERROR_INIT;

    if (wherry_notify_relay(fd, pid, true, wherry_notify_host(), &err) < 0)
        log_warning(cli, err.message);
    close(fd);
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
    if (result.notify_socket > 0)
        wherry_notify_relay_beside(result.notify_socket, result.pid, wherry_notify_host());
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
    if (code == 0 && result.notify_socket > 0)
        relay_readiness(cli, result.notify_socket, result.pid);
    return code;
}

/* Makes the socket before the program can look for it. -1 without an error when there is nobody to tell, or nothing to
 * listen to. */
static int listen_for_readiness(const struct wherry_cli *cli, const char *id, pid_t *pid, struct wherry_error *err)
{
    struct wherry_container container;
    int fd = -1;

    if (wherry_notify_host() == NULL || wherry_container_open(cli->root, id, &container, err) < 0)
        return -1;
    *pid = container.pid;
    if (wherry_container_status(&container) == WHERRY_STATUS_CREATED)
        fd = wherry_notify_listen(container.directory, err);
    wherry_container_close(&container);
    if (fd < 0 && err->code != ENOENT)
        log_warning(cli, err->message);
    return fd < 0 ? -1 : fd;
}

int wherry_cli_start(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{0}};
    char warning[WHERRY_WARNING_MAX] = "";
    struct wherry_error unheard = WHERRY_ERROR_INIT;
    int result, fd;
    pid_t pid = 0;

    if (wherry_cli_next(argc, argv, ":", options, err) == -2 || wherry_cli_operands(argc, argv, 1, 1, err) < 0)
        return -1;
    fd = listen_for_readiness(cli, argv[optind], &pid, &unheard);
    result = wherry_runtime_start(cli->root, argv[optind], warning, err);
    log_warning(cli, warning);
    if (fd >= 0 && result == 0)
        relay_readiness(cli, fd, pid);
    else if (fd >= 0)
        close(fd);
    return result;
}
