/* See options.h. */
#include "monitor/options.h"

#include "monitor/backlog.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define LOG_BUFFER_DEFAULT (1024 * 1024)
#define BACKLOG_LEAST (1024 * 1024)
#define FACILITY_DAEMON 3
#define FACILITY_MAX 23

enum option_value {
    OPTION_ID = 256,
    OPTION_BUNDLE,
    OPTION_RUNTIME,
    OPTION_RUNTIME_ARGUMENT,
    OPTION_RUNTIME_ROOT,
    OPTION_STATE_DIR,
    OPTION_LOG_DRIVER,
    OPTION_LOG_PATH,
    OPTION_LOG_MAX_SIZE,
    OPTION_LOG_MAX_FILE,
    OPTION_LOG_COMPRESS,
    OPTION_LOG_NON_BLOCKING,
    OPTION_LOG_MAX_BUFFER,
    OPTION_LOG_ATTRIBUTE,
    OPTION_LOG_ADDRESS,
    OPTION_LOG_FACILITY,
    OPTION_LOG_FORMAT,
    OPTION_LOG_TAG,
    OPTION_RESTART,
    OPTION_TTY,
    OPTION_STDIN,
    OPTION_STDIN_ONCE,
    OPTION_SYSTEMD_CGROUP,
    OPTION_BACKLOG_DIR,
    OPTION_BACKLOG_MAX,
    OPTION_EXEC,
    OPTION_EXEC_ID,
    OPTION_READY_FD,
};

static const struct option OPTIONS[] = {
    {"id", required_argument, NULL, OPTION_ID},
    {"bundle", required_argument, NULL, OPTION_BUNDLE},
    {"runtime", required_argument, NULL, OPTION_RUNTIME},
    {"runtime-argument", required_argument, NULL, OPTION_RUNTIME_ARGUMENT},
    {"runtime-root", required_argument, NULL, OPTION_RUNTIME_ROOT},
    {"state-dir", required_argument, NULL, OPTION_STATE_DIR},
    {"log-driver", required_argument, NULL, OPTION_LOG_DRIVER},
    {"log-path", required_argument, NULL, OPTION_LOG_PATH},
    {"log-max-size", required_argument, NULL, OPTION_LOG_MAX_SIZE},
    {"log-max-file", required_argument, NULL, OPTION_LOG_MAX_FILE},
    {"log-compress", no_argument, NULL, OPTION_LOG_COMPRESS},
    {"log-non-blocking", no_argument, NULL, OPTION_LOG_NON_BLOCKING},
    {"log-max-buffer", required_argument, NULL, OPTION_LOG_MAX_BUFFER},
    {"log-attribute", required_argument, NULL, OPTION_LOG_ATTRIBUTE},
    {"log-address", required_argument, NULL, OPTION_LOG_ADDRESS},
    {"log-facility", required_argument, NULL, OPTION_LOG_FACILITY},
    {"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
    {"log-tag", required_argument, NULL, OPTION_LOG_TAG},
    {"restart", required_argument, NULL, OPTION_RESTART},
    {"tty", no_argument, NULL, OPTION_TTY},
    {"stdin", no_argument, NULL, OPTION_STDIN},
    {"stdin-once", no_argument, NULL, OPTION_STDIN_ONCE},
    {"systemd-cgroup", no_argument, NULL, OPTION_SYSTEMD_CGROUP},
    {"backlog-dir", required_argument, NULL, OPTION_BACKLOG_DIR},
    {"backlog-max", required_argument, NULL, OPTION_BACKLOG_MAX},
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

static int parse_log_driver(const char *driver, struct log_options *log, struct wherry_error *err)
{
    bool has_file;

    log->driver = driver;
    if (monitor_log_driver_known(driver, &has_file))
        return 0;
    return wherry_error_set(
        err, 0, "--log-driver: \"%s\": unknown; allowed are json-file, local, syslog, journald and none", driver);
}

static int parse_log_format(const char *format, struct log_options *log, struct wherry_error *err)
{
    static const char *const FORMATS[] = {"", "rfc3164", "rfc5424", "rfc5424micro"};

    log->format = format;
    for (size_t i = 0; i < sizeof(FORMATS) / sizeof(*FORMATS); i++)
        if (strcmp(format, FORMATS[i]) == 0)
            return 0;
    return wherry_error_set(err, 0, "--log-format: \"%s\": unknown; allowed are rfc3164, rfc5424 and rfc5424micro",
                            format);
}

static int add_log_attribute(const char *attribute, struct log_options *log, struct wherry_error *err)
{
    const char **longer;

    if (strchr(attribute, '=') == NULL)
        return wherry_error_set(err, 0, "--log-attribute: \"%s\": must be KEY=VALUE", attribute);
    longer = reallocarray((void *)log->attributes, log->attribute_count + 1, sizeof(*longer));
    if (longer == NULL)
        return wherry_error_set(err, ENOMEM, "--log-attribute");
    longer[log->attribute_count++] = attribute;
    log->attributes = longer;
    return 0;
}

static int add_runtime_argument(const char *argument, struct monitor_options *options, struct wherry_error *err)
{
    if (options->runtime_argument_count == RUNTIME_ARGUMENTS_MAX)
        return wherry_error_set(err, E2BIG, "--runtime-argument: at most %d", RUNTIME_ARGUMENTS_MAX);
    options->runtime_arguments[options->runtime_argument_count++] = argument;
    return 0;
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
    case OPTION_LOG_COMPRESS:
        options->log.compress = true;
        return 0;
    case OPTION_LOG_NON_BLOCKING:
        options->log.non_blocking = true;
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
        return &options->log.path;
    case OPTION_LOG_ADDRESS:
        return &options->log.address;
    case OPTION_LOG_TAG:
        return &options->log.tag;
    case OPTION_BACKLOG_DIR:
        return &options->backlog_dir;
    case OPTION_EXEC:
        return &options->exec_process;
    case OPTION_EXEC_ID:
        return &options->exec_id;
    default:
        return NULL;
    }
}

static int parse_log_option(int option, const char *value, struct log_options *log, struct wherry_error *err)
{
    int ret;

    switch (option) {
    case OPTION_LOG_DRIVER:
        return parse_log_driver(value, log, err);
    case OPTION_LOG_MAX_SIZE:
        return parse_number("log-max-size", value, 1, &log->max_size, err);
    case OPTION_LOG_MAX_FILE:
        return parse_number("log-max-file", value, 1, &log->max_file, err);
    case OPTION_LOG_MAX_BUFFER:
        return parse_number("log-max-buffer", value, 1, &log->max_buffer, err);
    case OPTION_LOG_ATTRIBUTE:
        return add_log_attribute(value, log, err);
    case OPTION_LOG_FACILITY:
        ret = parse_number("log-facility", value, 0, &log->facility, err);
        if (ret == 0 && log->facility > FACILITY_MAX)
            return wherry_error_set(err, 0, "--log-facility: %s: must be a number from 0 to %d", value, FACILITY_MAX);
        return ret;
    case OPTION_LOG_FORMAT:
        return parse_log_format(value, log, err);
    default:
        return wherry_error_set(err, 0, "unknown option or missing value; see docs/internals.md, \"The monitor\"");
    }
}

static int parse_one(int option, char *value, struct monitor_options *options, struct wherry_error *err)
{
    const char **text = text_of(option, options);
    int64_t number = 0;
    int ret;

    if (text != NULL) {
        *text = value;
        return 0;
    }
    switch (option) {
    case OPTION_RUNTIME_ARGUMENT:
        return add_runtime_argument(value, options, err);
    case OPTION_RESTART:
        return restart_policy_parse(value, &options->restart, err);
    case OPTION_BACKLOG_MAX:
        return parse_number("backlog-max", value, BACKLOG_LEAST, &options->backlog_max, err);
    case OPTION_READY_FD:
        ret = parse_number("ready-fd", value, 3, &number, err);
        options->ready_fd = (int)number;
        return ret;
    default:
        return parse_log_option(option, value, &options->log, err);
    }
}

static int check_log(const struct log_options *log, struct wherry_error *err)
{
    bool has_file;

    monitor_log_driver_known(log->driver, &has_file);
    if (has_file != (log->path != NULL))
        return wherry_error_set(err, 0, "--log-path goes with --log-driver json-file or local, and only with them");
    if (log->compress && (log->max_size < 0 || log->max_file < 2))
        return wherry_error_set(err, 0, "--log-compress needs --log-max-size, and --log-max-file from 2");
    return 0;
}

static int check_complete(const struct monitor_options *options, struct wherry_error *err)
{
    if (options->id == NULL || options->bundle == NULL || options->runtime == NULL || options->runtime_root == NULL ||
        options->state_dir == NULL)
        return wherry_error_set(err, 0, "--id, --bundle, --runtime, --runtime-root and --state-dir are needed");
    if ((options->exec_process != NULL) != (options->exec_id != NULL))
        return wherry_error_set(err, 0, "--exec and --exec-id go together");
    if (options->exec_process != NULL && options->restart.kind != RESTART_NO)
        return wherry_error_set(err, 0, "--restart: a process in a running container is not restarted");
    return check_log(&options->log, err);
}

int monitor_options_parse(int argc, char **argv, struct monitor_options *options, struct wherry_error *err)
{
    int option, ret;

    *options = (struct monitor_options){
        .log = {.driver = "none",
                .max_size = -1,
                .max_file = 1,
                .max_buffer = LOG_BUFFER_DEFAULT,
                .address = "",
                .format = "",
                .tag = "",
                .facility = FACILITY_DAEMON},
        .backlog_max = BACKLOG_FILE_DEFAULT,
        .ready_fd = -1,
    };
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) {
        if (parse_flag(option, options) == 0)
            continue;
        ret = parse_one(option, optarg, options, err);
        if (ret < 0)
            return ret;
    }
    if (optind < argc)
        return wherry_error_set(err, 0, "\"%s\": unexpected argument", argv[optind]);
    return check_complete(options, err);
}
