/* The command line of wherry-runtime: what runc's and crun's callers use, spelled and meant as there. */
#pragma once

#include "wherry/error.h"

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#define WHERRY_RUNTIME_ROOT "/run/wherry/runtime"

/* Codes of long options that have no letter. */
enum wherry_cli_option {
    CLI_PID_FILE = 256,
    CLI_CONSOLE_SOCKET,
    CLI_PRESERVE_FDS,
    CLI_NO_NEW_KEYRING,
    CLI_NO_PIVOT,
    CLI_KEEP,
    CLI_PROCESS,
    CLI_CWD,
    CLI_NO_NEW_PRIVS,
    CLI_ADDITIONAL_GIDS,
    CLI_RESOURCES,
    CLI_PIDFD_SOCKET,
    CLI_NO_SUBREAPER,
    CLI_PROCESS_LABEL,
    CLI_APPARMOR,
    CLI_CGROUP,
    CLI_IGNORE_PAUSED,
    CLI_REGEX,
};

/* The code of an error that is none: --help has been answered. No errno has it. */
#define WHERRY_CLI_HELPED 4096

struct wherry_cli {
    const char *root; /* NULL until the options are read */
    bool rootless;    /* --rootless, or found out: see runtime.h */
    const char *log;  /* a file, or NULL */
    bool log_json;
    bool systemd; /* new containers are scopes of systemd */
    bool debug;   /* tell the log what is done, too */
    char own_root[4096];
    char **argv; /* as the program got it, to execute itself anew */
};

/* One verb: its own name in argv[0], its options and operands after it. Returns the exit status, negative with `err`
 * set on failure. */
typedef int wherry_cli_verb(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err);

struct wherry_cli_entry {
    const char *name;
    wherry_cli_verb *run;
    const char *operands; /* for its usage */
    const char *summary;
    int failure; /* its exit status when it fails */
};

/* NULL: there is no such verb. */
const struct wherry_cli_entry *wherry_cli_find(const char *verb);

/* cli_help.c: prints what the program, or a verb with these options, can do. `verbs` ends with an entry without name.
 */
int wherry_cli_help(const struct wherry_cli_entry *verbs, const char *letters, const struct option *options);
void wherry_cli_help_verb(const char *verb, const char *letters, const struct option *options);
bool wherry_cli_is_help(const char *word);

wherry_cli_verb wherry_cli_create, wherry_cli_run, wherry_cli_start, wherry_cli_exec;    /* cli_launch.c, cli_exec.c */
wherry_cli_verb wherry_cli_kill, wherry_cli_delete, wherry_cli_pause, wherry_cli_resume; /* cli_control.c */
wherry_cli_verb wherry_cli_refuse;                    /* cli_control.c: a verb that is known, and not supported */
wherry_cli_verb wherry_cli_update;                    /* cli_update.c */
wherry_cli_verb wherry_cli_state, wherry_cli_list;    /* cli_show.c */
wherry_cli_verb wherry_cli_ps;                        /* cli_ps.c */
wherry_cli_verb wherry_cli_events;                    /* cli_events.c */
wherry_cli_verb wherry_cli_features, wherry_cli_spec; /* cli_describe.c, cli_spec.c */

/* The whole program. Returns the exit status. */
int wherry_cli_main(int argc, char **argv);

/* One line in the log file of --log, if there is one; what --debug tells goes to standard error without. */
void wherry_cli_log(const struct wherry_cli *cli, const char *level, const char *message);

/* cli_options.c: getopt_long for a verb, with messages of our own: the option's code, -1 at the end, -2 with `err` set
 * for one that is unknown or lacks its value, or for --help. As in Go's programs a long name may come with one dash,
 * and a flag with a value (`--detach=true`). */
int wherry_cli_next(int argc, char **argv, const char *letters, const struct option *options, struct wherry_error *err);

/* Whether there are as many operands as the verb takes, or an error that tells its usage. */
int wherry_cli_operands(int argc, char **argv, int least, int most, struct wherry_error *err);

/* A whole decimal number from `least` to `most`. */
int wherry_cli_number(const char *text, const char *name, long least, long most, long *out, struct wherry_error *err);

/* The value of --format: "table" or "json". */
int wherry_cli_format(const char *text, bool *json, struct wherry_error *err);

/* Prints a JSON document and a line end on standard output; takes the reference. */
struct json_object;
int wherry_cli_print(struct json_object *document, struct wherry_error *err);
/* The same on one line. */
int wherry_cli_print_line(struct json_object *document, struct wherry_error *err);

/* Reads a JSON document from a file, a pipe (`--process <(...)`) or, with "-", standard input; NULL with `err` set on
 * failure. The caller puts the reference. */
struct json_object *wherry_cli_read(const char *path, size_t limit, struct wherry_error *err);
