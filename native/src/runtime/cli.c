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

static const struct {
    const char *name;
    wherry_cli_verb *run;
    const char *summary;
    int failure; /* its exit status when it fails */
} verbs[] = {
    {"create", wherry_cli_create, "create a container that waits for start", 1},
    {"start", wherry_cli_start, "start a created container", 1},
    {"run", wherry_cli_run, "create and start a container", 1},
    /* Any other could be the process's own, which callers read from the same place. */
    {"exec", wherry_cli_exec, "start one more process in a container", 255},
    {"state", wherry_cli_state, "show what a container is doing", 1},
    {"kill", wherry_cli_kill, "send a signal to a container", 1},
    {"delete", wherry_cli_delete, "remove a stopped container", 1},
    {"pause", wherry_cli_pause, "freeze all processes of a container", 1},
    {"resume", wherry_cli_resume, "let a frozen container go on", 1},
    {"update", wherry_cli_update, "change the resource limits of a container", 1},
    {"ps", wherry_cli_ps, "list the processes of a container", 1},
    {"list", wherry_cli_list, "list containers", 1},
    {"events", wherry_cli_events, "show what a container uses, and when it runs out of memory", 1},
    {"features", wherry_cli_features, "tell what this runtime supports", 1},
    {"spec", wherry_cli_spec, "write a config.json to start from", 1},
    {"checkpoint", wherry_cli_refuse, "not supported", 1},
    {"restore", wherry_cli_refuse, "not supported", 1},
};

void wherry_cli_log(const struct wherry_cli *cli, const char *level, const char *message)
{
    cleanup_json struct json_object *text = NULL;
    char moment[64];
    time_t now = time(NULL);
    struct tm broken;
    cleanup_close int fd = -1;

    if (cli->log == NULL)
        return;
    fd = open(cli->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    text = json_object_new_string(message);
    if (fd < 0 || text == NULL)
        return;
    gmtime_r(&now, &broken);
    strftime(moment, sizeof(moment), "%Y-%m-%dT%H:%M:%SZ", &broken);
    dprintf(fd, cli->log_json ? "{\"level\":\"%s\",\"msg\":%s,\"time\":\"%s\"}\n" : "level=%s msg=%s time=\"%s\"\n",
            level, json_object_to_json_string_ext(text, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
            moment);
}

int wherry_cli_next(int argc, char **argv, const char *letters, const struct option *options, struct wherry_error *err)
{
    int code;

    opterr = 0;
    code = getopt_long(argc, argv, letters, options, NULL);
    if (code == ':')
        return wherry_error_set(err, 0, "%s: option %s needs a value", argv[0], argv[optind - 1]), -2;
    if (code == '?')
        return wherry_error_set(err, 0, "%s: option %s is not known", argv[0], argv[optind - 1]), -2;
    return code;
}

int wherry_cli_operands(int argc, char **argv, int least, int most, const char *usage, struct wherry_error *err)
{
    int count = argc - optind;

    if (count >= least && count <= most)
        return 0;
    return wherry_error_set(err, 0, "usage: wherry-runtime %s %s", argv[0], usage);
}

int wherry_cli_number(const char *text, const char *name, long least, long most, long *out, struct wherry_error *err)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    /* strtol lets blanks and signs pass, which no caller means (" 0", "+0"). */
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || value < least || value > most)
        return wherry_error_set(err, 0, "%s: \"%s\": must be a number from %ld to %ld", name, text, least, most);
    *out = value;
    return 0;
}

int wherry_cli_format(const char *text, bool *json, struct wherry_error *err)
{
    *json = strcmp(text, "json") == 0;
    if (*json || strcmp(text, "table") == 0)
        return 0;
    return wherry_error_set(err, 0, "--format: %s: must be table or json", text);
}

int wherry_cli_print(struct json_object *document, struct wherry_error *err)
{
    cleanup_json struct json_object *owned = document;

    if (owned == NULL)
        return wherry_error_set(err, ENOMEM, "print");
    if (printf("%s\n", json_object_to_json_string_ext(owned, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE)) < 0 ||
        fflush(stdout) != 0)
        return wherry_error_set(err, errno, "write to standard output");
    return 0;
}

static int print_help(void)
{
    printf("wherry-runtime %s: an OCI runtime\n\n"
           "usage: wherry-runtime [--root DIR] [--log FILE] [--log-format text|json] [--debug] [--systemd-cgroup] "
           "[--version] VERB "
           "...\n\n",
           WHERRY_VERSION);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        printf("  %-10s %s\n", verbs[i].name, verbs[i].summary);
    return 0;
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
    for (size_t i = 0; argc > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(argv[0], verbs[i].name) != 0)
            continue;
        log_command(cli, argc, argv);
        *status = verbs[i].failure;
        optind = 0; /* glibc: begin anew with another vector */
        return verbs[i].run(cli, argc, argv, err);
    }
    if (argc == 0)
        return wherry_error_set(err, 0, "a verb is missing; --help lists them");
    return wherry_error_set(err, 0, "verb %s is not known; --help lists them", argv[0]);
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

/* The options before the verb. 1: go on with the verb; 0: all done. */
static int read_options(struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {
        {"root", required_argument, NULL, 'r'},     {"log", required_argument, NULL, 'l'},
        {"debug", no_argument, NULL, 'd'},          {"log-format", required_argument, NULL, 'f'},
        {"version", no_argument, NULL, 'v'},        {"help", no_argument, NULL, 'h'},
        {"systemd-cgroup", no_argument, NULL, 's'}, {"rootless", required_argument, NULL, 'u'},
        {"criu", required_argument, NULL, 'c'},     {0}};
    int code;

    while ((code = wherry_cli_next(argc, argv, "+:vh", options, err)) >= 0) {
        if (code == 'r')
            cli->root = optarg;
        else if (code == 'l')
            cli->log = optarg;
        else if (code == 'd')
            cli->debug = true;
        else if (code == 'f' && strcmp(optarg, "json") != 0 && strcmp(optarg, "text") != 0)
            return wherry_error_set(err, 0, "--log-format: %s: must be text or json", optarg);
        else if (code == 'f')
            cli->log_json = strcmp(optarg, "json") == 0;
        else if (code == 'u' && read_rootless(optarg, cli, err) < 0)
            return -1;
        /* --criu: where a program is that only checkpoint and restore need, which are refused. */
        else if (code == 's')
            cli->systemd = true;
        else if (code == 'v')
            return print_version();
        else if (code == 'h')
            return print_help();
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
    int status = 1;

    if (result > 0 && check_log(&cli, &err) < 0)
        result = -1;
    if (result > 0) {
        int first = optind;

        result = dispatch(&cli, argc - first, argv + first, &status, &err);
    }
    if (result >= 0)
        return result;
    fprintf(stderr, "wherry-runtime: %s\n", err.message);
    wherry_cli_log(&cli, "error", err.message);
    return status;
}
