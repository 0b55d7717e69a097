/* The command line of wherry-runtime: options before the verb, the verbs, errors and the log; see cli.h. */
#include "cli.h"

#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Any failure of exec but 255 could be the process's own status, which callers read from the same place. */
static const struct wherry_cli_entry verbs[] = {
    {"create", wherry_cli_create, "ID", "create a container that waits for start", 1},
    {"start", wherry_cli_start, "ID", "start a created container", 1},
    {"run", wherry_cli_run, "ID", "create and start a container", 1},
    {"exec", wherry_cli_exec, "ID [COMMAND [ARG...]]", "start one more process in a container", 255},
    {"state", wherry_cli_state, "ID", "show what a container is doing", 1},
    {"kill", wherry_cli_kill, "ID [SIGNAL]", "send a signal to a container", 1},
    {"delete", wherry_cli_delete, "ID", "remove a stopped container", 1},
    {"pause", wherry_cli_pause, "ID", "freeze all processes of a container", 1},
    {"resume", wherry_cli_resume, "ID", "let a frozen container go on", 1},
    {"update", wherry_cli_update, "ID", "change the resource limits of a container", 1},
    {"ps", wherry_cli_ps, "ID [PS-OPTION...]", "list the processes of a container", 1},
    {"list", wherry_cli_list, "", "list containers", 1},
    {"events", wherry_cli_events, "ID", "show what a container uses, and when it runs out of memory", 1},
    {"features", wherry_cli_features, "", "tell what this runtime supports", 1},
    {"spec", wherry_cli_spec, "", "write a config.json to start from", 1},
    {"checkpoint", wherry_cli_refuse, "ID", "not supported", 1},
    {"restore", wherry_cli_refuse, "ID", "not supported", 1},
    {0},
};

const struct wherry_cli_entry *wherry_cli_find(const char *verb)
{
    for (const struct wherry_cli_entry *entry = verbs; entry->name != NULL; entry++) {
        if (strcmp(entry->name, verb) == 0)
            return entry;
    }
    return NULL;
}

void wherry_cli_log(const struct wherry_cli *cli, const char *level, const char *message)
{
    cleanup_json struct json_object *text = NULL;
    char moment[64];
    time_t now = time(NULL);
    struct tm broken;
    cleanup_close int fd = -1;

    /* As runc has it; what else there is to say is on standard error anyway. */
    if (cli->log == NULL && strcmp(level, "debug") != 0)
        return;
    fd = cli->log == NULL ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
                          : open(cli->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    text = json_object_new_string(message);
    if (fd < 0 || text == NULL)
        return;
    gmtime_r(&now, &broken);
    strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%SZ", &broken);
    dprintf(fd, cli->log_json ? "{\"level\":\"%s\",\"msg\":%s,\"time\":\"%s\"}\n" : "level=%s msg=%s time=\"%s\"\n",
            level, json_object_to_json_string_ext(text, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
            moment);
}

static int print_as(struct json_object *document, int form, struct wherry_error *err)
{
    cleanup_json struct json_object *owned = document;

    if (owned == NULL)
        return wherry_error_set(err, ENOMEM, "print");
    if (printf("%s\n", json_object_to_json_string_ext(owned, form | JSON_C_TO_STRING_NOSLASHESCAPE)) < 0 ||
        fflush(stdout) != 0)
        return wherry_error_set(err, errno, "write to standard output");
    return 0;
}

int wherry_cli_print(struct json_object *document, struct wherry_error *err)
{
    return print_as(document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED, err);
}

int wherry_cli_print_line(struct json_object *document, struct wherry_error *err)
{
    return print_as(document, JSON_C_TO_STRING_PLAIN, err);
}

static int print_version(void)
{
    printf("wherry-runtime version %s\nspec: " WHERRY_SPEC_VERSION "\n", WHERRY_VERSION);
    return 0;
}

/* For --debug: the verb with all its words. */
static void log_command(const struct wherry_cli *cli, int argc, char **argv)
{
    char line[1024] = "";
    size_t used = 0;

    for (int i = 0; cli->debug && i < argc && used < sizeof(line); i++)
        used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s", i > 0 ? " " : "", argv[i]);
    if (cli->debug)
        wherry_cli_log(cli, "debug", line);
}

/* `*status` is what the program exits with when the verb fails. */
static int dispatch(struct wherry_cli *cli, int argc, char **argv, int *status, struct wherry_error *err)
{
    const struct wherry_cli_entry *entry;

    if (argc == 0)
        return wherry_error_set(err, 0, "a verb is missing; --help lists them");
    entry = wherry_cli_find(argv[0]);
    if (entry == NULL)
        return wherry_error_set(err, 0, "verb %s is not known (No help topic for '%s'); --help lists them", argv[0],
                                argv[0]);
    log_command(cli, argc, argv);
    *status = entry->failure;
    optind = 0; /* glibc: begin anew with another vector */
    return entry->run(cli, argc, argv, err);
}

/* A user who is not root, or root of a user namespace only, which has another map than the first one's. */
static bool is_rootless(void)
{
    unsigned long inside, outside, count;
    FILE *map = geteuid() == 0 ? fopen("/proc/self/uid_map", "re") : NULL;
    bool initial = map != NULL && fscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3 && inside == 0 &&
                   outside == 0 && count == 4294967295UL;

    if (map != NULL)
        fclose(map);
    return !initial;
}

static int read_rootless(const char *text, struct wherry_cli *cli, struct wherry_error *err)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        cli->rootless = text[0] == 't';
    else if (strcmp(text, "auto") != 0)
        return wherry_error_set(err, 0, "--rootless: %s: must be true, false or auto", text);
    return 0;
}

/* Where containers are without --root: the XDG Base Directory Specification's place for a user who is not root. */
static int find_root(struct wherry_cli *cli, struct wherry_error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *user = getenv("USER");
    bool own = geteuid() != 0 || (is_rootless() && (user == NULL || strcmp(user, "root") != 0));

    if (own && (runtime == NULL || runtime[0] != '/') && geteuid() != 0)
        return wherry_error_set(err, 0, "--root or XDG_RUNTIME_DIR must be given to a user who is not root");
    cli->root = WHERRY_RUNTIME_ROOT;
    if (!own || runtime == NULL || runtime[0] != '/')
        return 0;
    if (snprintf(cli->own_root, sizeof(cli->own_root), "%s/wherry/runtime", runtime) >= (int)sizeof(cli->own_root))
        return wherry_error_set(err, ENAMETOOLONG, "XDG_RUNTIME_DIR");
    cli->root = cli->own_root;
    return 0;
}

/* As crun says it. "disabled" would leave the container in the runtime's own group. */
static int read_cgroup_manager(const char *text, struct wherry_cli *cli, struct wherry_error *err)
{
    cli->systemd = strcmp(text, "systemd") == 0;
    if (cli->systemd || strcmp(text, "cgroupfs") == 0)
        return 0;
    return wherry_error_set(err, 0, "--cgroup-manager: %s: must be cgroupfs or systemd", text);
}

static const struct option global_options[] = {{"root", required_argument, NULL, 'r'},
                                               {"log", required_argument, NULL, 'l'},
                                               {"debug", no_argument, NULL, 'd'},
                                               {"log-format", required_argument, NULL, 'f'},
                                               {"version", no_argument, NULL, 'v'},
                                               {"help", no_argument, NULL, 'h'},
                                               {"systemd-cgroup", no_argument, NULL, 's'},
                                               {"rootless", required_argument, NULL, 'u'},
                                               {"criu", required_argument, NULL, 'c'},
                                               {"cgroup-manager", required_argument, NULL, 'm'},
                                               {0}};

static int take_option(struct wherry_cli *cli, int code, struct wherry_error *err)
{
    switch (code) {
    case 'r':
        cli->root = optarg;
        return 0;
    case 'l':
        cli->log = optarg;
        return 0;
    case 'd':
        cli->debug = true;
        return 0;
    case 'f':
        cli->log_json = strcmp(optarg, "json") == 0;
        return cli->log_json || strcmp(optarg, "text") == 0
                   ? 0
                   : wherry_error_set(err, 0, "--log-format: %s: must be text or json", optarg);
    case 'u':
        return read_rootless(optarg, cli, err);
    case 's':
        cli->systemd = true;
        return 0;
    case 'm':
        return read_cgroup_manager(optarg, cli, err);
    /* --criu: where a program is that only checkpoint and restore need, which are refused. */
    default:
        return 0;
    }
}

/* The options before the verb. 1: go on with the verb; 0: all done. */
static int read_options(struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const char letters[] = "+:vh";
    int code;

    while ((code = wherry_cli_next(argc, argv, letters, global_options, err)) >= 0) {
        if (code == 'v')
            return print_version();
        if (code == 'h')
            return wherry_cli_help(verbs, letters, global_options);
        if (take_option(cli, code, err) < 0)
            return -1;
    }
    if (code == -2)
        return -1;
    if (cli->root == NULL && find_root(cli, err) < 0)
        return -1;
    if (cli->root[0] != '/')
        return wherry_error_set(err, 0, "--root: %s: must be an absolute path", cli->root);
    return 1;
}

/* A caller that asks for a log reads the reason of a failure there: without it nothing is begun. */
static int check_log(const struct wherry_cli *cli, struct wherry_error *err)
{
    int fd = cli->log == NULL ? 0 : open(cli->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);

    if (fd < 0)
        return wherry_error_set(err, errno, "--log: open %s", cli->log);
    if (fd > 0)
        close(fd);
    return 0;
}

int wherry_cli_main(int argc, char **argv)
{
    struct wherry_cli cli = {.rootless = is_rootless(), .argv = argv};
    struct wherry_error err = WHERRY_ERROR_INIT;
    int result = read_options(&cli, argc, argv, &err);
    int first = optind;
    int status = 1;

    if (result > 0 && check_log(&cli, &err) < 0)
        result = -1;
    if (result > 0)
        result = dispatch(&cli, argc - first, argv + first, &status, &err);
    if (result >= 0 || err.code == WHERRY_CLI_HELPED)
        return result >= 0 ? result : 0;
    fprintf(stderr, "wherry-runtime: %s\n", err.message);
    wherry_cli_log(&cli, "error", err.message);
    return status;
}
