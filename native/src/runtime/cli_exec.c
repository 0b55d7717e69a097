/* The verb exec on the command line; see cli.h. */
#include "cli.h"
#include "descriptors.h"
#include "foreground.h"
#include "sealed_self.h"
#include "terminal.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PROCESS_SIZE_MAX (4u << 20)
#define LIST_MAX 256

struct exec_arguments {
    struct wherry_launch_options options;
    const char *process, *user, *cwd, *selinux, *apparmor;
    const char *env[LIST_MAX], *caps[LIST_MAX], *groups[LIST_MAX];
    int env_count, cap_count, group_count;
    bool detach, tty, no_new_privileges;
};

static int append(const char *list[LIST_MAX], int *count, const char *name, struct wherry_error *err)
{
    if (*count == LIST_MAX)
        return wherry_error_set(err, 0, "%s: given more than %d times", name, LIST_MAX);
    list[(*count)++] = optarg;
    return 0;
}

static int take_option(struct exec_arguments *arguments, int code, struct wherry_error *err)
{
    long number;

    switch (code) {
    case 'p':
    case CLI_PROCESS:
        arguments->process = optarg;
        return 0;
    case 't':
        arguments->tty = true;
        return 0;
    case 'd':
        arguments->detach = true;
        return 0;
    case 'u':
        arguments->user = optarg;
        return 0;
    case CLI_CWD:
        arguments->cwd = optarg;
        return 0;
    case CLI_NO_NEW_PRIVS:
        arguments->no_new_privileges = true;
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
    case CLI_CGROUP:
        arguments->options.sub_cgroup = optarg;
        return 0;
    case CLI_IGNORE_PAUSED:
        arguments->options.ignore_paused = true;
        return 0;
    case CLI_PROCESS_LABEL:
        arguments->selinux = optarg;
        return 0;
    case CLI_APPARMOR:
        arguments->apparmor = optarg;
        return 0;
    case 'e':
        return append(arguments->env, &arguments->env_count, "--env", err);
    case 'c':
        return append(arguments->caps, &arguments->cap_count, "--cap", err);
    case 'g':
        return append(arguments->groups, &arguments->group_count, "--additional-gids", err);
    default:
        if (wherry_cli_number(optarg, "--preserve-fds", 0, 1024, &number, err) < 0)
            return -1;
        arguments->options.preserved_fds = (unsigned)number;
        return 0;
    }
}

static int read_arguments(struct exec_arguments *arguments, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {{"process", required_argument, NULL, 'p'},
                                            {"tty", no_argument, NULL, 't'},
                                            {"detach", no_argument, NULL, 'd'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"cwd", required_argument, NULL, CLI_CWD},
                                            {"env", required_argument, NULL, 'e'},
                                            {"cap", required_argument, NULL, 'c'},
                                            {"additional-gids", required_argument, NULL, 'g'},
                                            {"no-new-privs", no_argument, NULL, CLI_NO_NEW_PRIVS},
                                            {"pid-file", required_argument, NULL, CLI_PID_FILE},
                                            {"console-socket", required_argument, NULL, CLI_CONSOLE_SOCKET},
                                            {"preserve-fds", required_argument, NULL, CLI_PRESERVE_FDS},
                                            {"pidfd-socket", required_argument, NULL, CLI_PIDFD_SOCKET},
                                            {"cgroup", required_argument, NULL, CLI_CGROUP},
                                            {"ignore-paused", no_argument, NULL, CLI_IGNORE_PAUSED},
                                            {"process-label", required_argument, NULL, CLI_PROCESS_LABEL},
                                            {"apparmor", required_argument, NULL, CLI_APPARMOR},
                                            {0}};
    int code;

    /* "+": what follows the ID belongs to the command. */
    while ((code = wherry_cli_next(argc, argv, "+:p:tdu:e:c:g:", options, err)) >= 0) {
        if (take_option(arguments, code, err) < 0)
            return -1;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 1, argc, err) < 0)
        return -1;
    if (arguments->process != NULL && argc - optind > 1)
        return wherry_error_set(err, 0, "exec: a command and --process exclude each other");
    if (arguments->process == NULL && argc - optind < 2)
        return wherry_error_set(err, 0, "exec: a command or --process must be given");
    return 0;
}

/* "UID" or "UID:GID" in decimal digits: names are the caller's to look up (CVE-2026-30892). */
static int set_user(struct json_object *process, const char *text, struct wherry_error *err)
{
    char uid_text[32];
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    struct json_object *user = json_object_new_object();
    long uid, gid = 0;

    json_object_object_add(process, "user", user);
    if (length >= sizeof(uid_text))
        return wherry_error_set(err, 0, "--user: \"%s\": must be UID or UID:GID", text);
    memcpy(uid_text, text, length);
    uid_text[length] = '\0';
    if (wherry_cli_number(uid_text, "--user", 0, 4294967294L, &uid, err) < 0 ||
        (colon != NULL && wherry_cli_number(colon + 1, "--user", 0, 4294967294L, &gid, err) < 0))
        return -1;
    json_object_object_add(user, "uid", json_object_new_int64(uid));
    json_object_object_add(user, "gid", json_object_new_int64(gid));
    return 0;
}

static int add_groups(struct json_object *process, const struct exec_arguments *arguments, struct wherry_error *err)
{
    struct json_object *user = NULL, *groups;

    if (arguments->group_count == 0)
        return 0;
    if (!json_object_object_get_ex(process, "user", &user)) {
        user = json_object_new_object();
        json_object_object_add(process, "user", user);
    }
    groups = json_object_new_array();
    json_object_object_add(user, "additionalGids", groups);
    for (int i = 0; i < arguments->group_count; i++) {
        long gid;

        if (wherry_cli_number(arguments->groups[i], "--additional-gids", 0, 4294967294L, &gid, err) < 0)
            return -1;
        json_object_array_add(groups, json_object_new_int64(gid));
    }
    return 0;
}

/* What --cap names is added to the sets by which a process gets it; never to the inheritable one (CVE-2022-29162). */
static void add_capabilities(struct json_object *process, const struct exec_arguments *arguments)
{
    static const char *const sets[] = {"bounding", "permitted", "effective"};
    struct json_object *capabilities = NULL;

    if (arguments->cap_count == 0)
        return;
    if (!json_object_object_get_ex(process, "capabilities", &capabilities)) {
        capabilities = json_object_new_object();
        json_object_object_add(process, "capabilities", capabilities);
    }
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        struct json_object *set = NULL;

        if (!json_object_object_get_ex(capabilities, sets[i], &set)) {
            set = json_object_new_array();
            json_object_object_add(capabilities, sets[i], set);
        }
        for (int k = 0; k < arguments->cap_count; k++)
            json_object_array_add(set, json_object_new_string(arguments->caps[k]));
    }
}

static void set_command(struct json_object *process, const struct exec_arguments *arguments, char **command)
{
    struct json_object *args = json_object_new_array();
    struct json_object *env = NULL;

    for (; *command != NULL; command++)
        json_object_array_add(args, json_object_new_string(*command));
    json_object_object_add(process, "args", args);
    json_object_object_add(process, "terminal", json_object_new_boolean(arguments->tty));
    json_object_object_del(process, "consoleSize");
    if (arguments->cwd != NULL)
        json_object_object_add(process, "cwd", json_object_new_string(arguments->cwd));
    if (arguments->no_new_privileges)
        json_object_object_add(process, "noNewPrivileges", json_object_new_boolean(true));
    if (arguments->env_count == 0)
        return;
    if (!json_object_object_get_ex(process, "env", &env)) {
        env = json_object_new_array();
        json_object_object_add(process, "env", env);
    }
    for (int i = 0; i < arguments->env_count; i++)
        json_object_array_add(env, json_object_new_string(arguments->env[i]));
}

/* `*document` is what holds `*process`: the file that was given, or the container's own configuration. */
static int make_process(const struct wherry_cli *cli, const struct exec_arguments *arguments, char **operands,
                        struct json_object **document, struct json_object **process, struct wherry_error *err)
{
    if (arguments->process != NULL) {
        *process = *document;
    } else {
        if (wherry_runtime_process(cli->root, operands[0], document, process, err) < 0)
            return -1;
        set_command(*process, arguments, operands + 1);
    }
    /* With a file too, callers give these to override it. */
    if (arguments->process != NULL && arguments->tty)
        json_object_object_add(*process, "terminal", json_object_new_boolean(true));
    if (arguments->selinux != NULL)
        json_object_object_add(*process, "selinuxLabel", json_object_new_string(arguments->selinux));
    if (arguments->apparmor != NULL)
        json_object_object_add(*process, "apparmorProfile", json_object_new_string(arguments->apparmor));
    if (arguments->user != NULL && set_user(*process, arguments->user, err) < 0)
        return -1;
    add_capabilities(*process, arguments);
    return add_groups(*process, arguments, err);
}

static int execute(const struct wherry_cli *cli, struct exec_arguments *arguments, const char *id,
                   struct json_object *process, struct json_object *configuration, struct wherry_error *err)
{
    struct wherry_terminal terminal = WHERRY_TERMINAL_INIT;
    struct wherry_launch_result result = {0};
    bool served = arguments->detach || arguments->options.console_socket != NULL;

    if (!arguments->detach)
        wherry_foreground_begin();
    if (!served && wherry_terminal_prepare(&terminal, err) < 0)
        return -1;
    arguments->options.console_fd = served ? 0 : terminal.sender;
    if (wherry_runtime_exec(&arguments->options, id, process, configuration, &result, err) < 0) {
        wherry_terminal_leave(&terminal);
        return -1;
    }
    if (result.warning[0] != '\0')
        wherry_cli_log(cli, "warning", result.warning);
    return arguments->detach ? 0 : wherry_terminal_attend(&terminal, result.terminal && !served, result.pid, err);
}

int wherry_cli_exec(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    struct exec_arguments arguments = {0};
    cleanup_json struct json_object *document = NULL;
    struct json_object *process = NULL;

    if (read_arguments(&arguments, argc, argv, err) < 0)
        return -1;
    /* The sealed program first, which a pipe is not read before; then that, which may be a descriptor from the caller
     * (`--process <(...)`); then all that he has leaked is closed, before anything stays open. */
    if (wherry_sealed_self_enter(cli->argv, environ, err) < 0)
        return -1;
    if (arguments.process != NULL && (document = wherry_cli_read(arguments.process, PROCESS_SIZE_MAX, err)) == NULL)
        return -1;
    if (wherry_descriptors_close_from(3 + arguments.options.preserved_fds, err) < 0)
        return -1;
    arguments.options.root = cli->root;
    if (make_process(cli, &arguments, argv + optind, &document, &process, err) < 0)
        return -1;
    return execute(cli, &arguments, argv[optind], process, arguments.process == NULL ? document : NULL, err);
}
