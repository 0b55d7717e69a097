/* See options.h. */
#include "monitor/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum option_value {
    OPTION_ID = 256,
    OPTION_BUNDLE,
    OPTION_RUNTIME,
    OPTION_RUNTIME_ROOT,
    OPTION_STATE_DIR,
    OPTION_LOG_DRIVER,
    OPTION_LOG_PATH,
    OPTION_LOG_MAX_SIZE,
    OPTION_LOG_MAX_FILE,
    OPTION_RESTART,
    OPTION_TTY,
    OPTION_STDIN,
    OPTION_STDIN_ONCE,
    OPTION_SYSTEMD_CGROUP,
    OPTION_EXEC,
    OPTION_EXEC_ID,
    OPTION_READY_FD,
};

static const struct option OPTIONS[] = {
    {"id", required_argument, NULL, OPTION_ID},
    {"bundle", required_argument, NULL, OPTION_BUNDLE},
    {"runtime", required_argument, NULL, OPTION_RUNTIME},
    {"runtime-root", required_argument, NULL, OPTION_RUNTIME_ROOT},
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {"log-driver", required_argument, NULL, OPTION_LOG_DRIVER},
    {"log-path", required_argument, NULL, OPTION_LOG_PATH},
    {"log-max-size", required_argument, NULL, OPTION_LOG_MAX_SIZE},
    {"log-max-file", required_argument, NULL, OPTION_LOG_MAX_FILE},
    {"restart", required_argument, NULL, OPTION_RESTART},
    {"tty", no_argument, NULL, OPTION_TTY},
    {"stdin", no_argument, NULL, OPTION_STDIN},
    {"stdin-once", no_argument, NULL, OPTION_STDIN_ONCE},
    {"systemd-cgroup", no_argument, NULL, OPTION_SYSTEMD_CGROUP},
    {"exec", required_argument, NULL, OPTION_EXEC},
    {"exec-id", required_argument, NULL, OPTION_EXEC_ID},
    {"ready-fd", required_argument, NULL, OPTION_READY_FD},
    {NULL, 0, NULL, 0},
};

static int parse_number(const char *name, const char *text, int64_t least, int64_t *out, struct wherry_error *err)
{
    char *end;

    errno = 0;
    *out = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || *out < least)
        return wherry_error_set(err, 0, "--%s: \"%s\": must be an integer from %lld", name, text, (long long)least);
    return 0;
}

static int parse_log_driver(const char *driver, bool *logs, struct wherry_error *err)
{
    *logs = strcmp(driver, "json-file") == 0;
    if (*logs || strcmp(driver, "none") == 0)
        return 0;
    return wherry_error_set(err, 0, "--log-driver: \"%s\": unknown; allowed are json-file and none", driver);
}

static int parse_flag(int option, struct monitor_options *options)
{
    switch (option) {
    case OPTION_TTY:
        options->tty = true;
        return 0;
    case OPTION_STDIN:
        options->wants_stdin = true;
        return 0;
    case OPTION_STDIN_ONCE:
        options->stdin_once = true;
        return 0;
    case OPTION_SYSTEMD_CGROUP:
        options->systemd_cgroup = true;
        return 0;
    default:
        return -1;
    }
}

static const char **text_of(int option, struct monitor_options *options)
{
    switch (option) {
    case OPTION_ID:
        return &options->id;
    case OPTION_BUNDLE:
        return &options->bundle;
    case OPTION_RUNTIME:
        return &options->runtime;
    case OPTION_RUNTIME_ROOT:
        return &options->runtime_root;
    case OPTION_STATE_DIR:
        return &options->state_dir;
    case OPTION_LOG_PATH:
        return &options->log_path;
    case OPTION_EXEC:
        return &options->exec_process;
    case OPTION_EXEC_ID:
        return &options->exec_id;
    default:
        return NULL;
    }
}

static int parse_one(int option, char *value, struct monitor_options *options, bool *logs, struct wherry_error *err)
{
    const char **text = text_of(option, options);
    int64_t number = 0;
    int ret;

    if (text != NULL) {
        *text = value;
        return 0;
    }
    switch (option) {
    case OPTION_LOG_DRIVER:
        return parse_log_driver(value, logs, err);
    case OPTION_LOG_MAX_SIZE:
        return parse_number("log-max-size", value, 1, &options->log_max_size, err);
    case OPTION_LOG_MAX_FILE:
        return parse_number("log-max-file", value, 1, &options->log_max_file, err);
    case OPTION_RESTART:
        return restart_policy_parse(value, &options->restart, err);
    case OPTION_READY_FD:
        ret = parse_number("ready-fd", value, 3, &number, err);
        options->ready_fd = (int)number;
        return ret;
    default:
        return wherry_error_set(err, 0, "unknown option or missing value; see docs/internals.md, \"The monitor\"");
    }
}

static int check_complete(const struct monitor_options *options, bool logs, struct wherry_error *err)
{
    if (options->id == NULL || options->bundle == NULL || options->runtime == NULL || options->runtime_root == NULL ||
        options->state_dir == NULL)
        return wherry_error_set(err, 0, "--id, --bundle, --runtime, --runtime-root and --state-dir are needed");
    if (logs != (options->log_path != NULL))
        return wherry_error_set(err, 0, "--log-path goes with --log-driver json-file, and only with it");
    if ((options->exec_process != NULL) != (options->exec_id != NULL))
        return wherry_error_set(err, 0, "--exec and --exec-id go together");
    if (options->exec_process != NULL && options->restart.kind != RESTART_NO)
        return wherry_error_set(err, 0, "--restart: a process in a running container is not restarted");
    return 0;
}

int monitor_options_parse(int argc, char **argv, struct monitor_options *options, struct wherry_error *err)
{
    bool logs = false;
    int option, ret;

    *options = (struct monitor_options){.log_max_size = -1, .log_max_file = 1, .ready_fd = -1};
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        if (parse_flag(option, options) == 0)
            continue;
        ret = parse_one(option, optarg, options, &logs, err);
        if (ret < 0)
            return ret;
    }
    if (optind < argc)
        return wherry_error_set(err, 0, "\"%s\": unexpected argument", argv[optind]);
    return check_complete(options, logs, err);
}
