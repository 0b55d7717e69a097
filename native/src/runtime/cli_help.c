/* What --help tells, of the program and of each verb; see cli.h. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

/* Every option of every verb: one name means the same everywhere. */
static const struct {
    const char *name, *value, *meaning;
} meanings[] = {
    {"additional-gids", "GID", "add a supplementary group; may be given again"},
    {"all", NULL, "every process of the container"},
    {"apparmor", "PROFILE", "the process's AppArmor profile"},
    {"bundle", "DIR", "the bundle's directory (default: the current one)"},
    {"blkio-weight", "N", "10 to 1000"},
    {"cap", "CAP", "add a capability; may be given again"},
    {"cgroup", "PATH", "a group below the container's, [CONTROLLER[,...]:]PATH"},
    {"cgroup-manager", "NAME", "cgroupfs or systemd"},
    {"config", "FILE", "the configuration, from the bundle (default: config.json)"},
    {"console-socket", "SOCKET", "where the terminal's master is sent to"},
    {"cpu-burst", "MICROSECONDS", "what may be used beyond the quota"},
    {"cpu-idle", "N", "1: only when nobody else wants the CPU"},
    {"cpu-period", "MICROSECONDS", "the period of the quota"},
    {"cpu-quota", "MICROSECONDS", "CPU time in a period; -1: no limit"},
    {"cpu-rt-period", "MICROSECONDS", "the period of the realtime limit"},
    {"cpu-rt-runtime", "MICROSECONDS", "realtime in a period"},
    {"cpu-share", "N", "the weight among others"},
    {"cpuset-cpus", "LIST", "CPUs, such as 0-3,7"},
    {"cpuset-mems", "LIST", "memory nodes"},
    {"criu", "PROGRAM", "of no effect: what needs it is not supported"},
    {"cwd", "DIR", "the process's working directory"},
    {"debug", NULL, "tell the log what is done, too"},
    {"detach", NULL, "return as soon as the process runs"},
    {"env", "NAME=VALUE", "add a variable; may be given again"},
    {"force", NULL, "kill it first; none of that name is no error"},
    {"format", "FORMAT", "table or json"},
    {"help", NULL, "show this"},
    {"ignore-paused", NULL, "in a paused container too"},
    {"interval", "DURATION", "how often usage is told (default: 5s)"},
    {"keep", NULL, "do not delete the container when it has ended"},
    {"kernel-memory", "BYTES", "limit of kernel memory"},
    {"kernel-memory-tcp", "BYTES", "limit of TCP buffers"},
    {"l3-cache-schema", "TEXT", "not supported"},
    {"log", "FILE", "append errors and warnings to this file"},
    {"log-format", "FORMAT", "text or json"},
    {"mem-bw-schema", "TEXT", "not supported"},
    {"memory", "BYTES", "limit; k, m, g and t are units; -1: no limit"},
    {"memory-reservation", "BYTES", "the soft limit"},
    {"memory-swap", "BYTES", "limit of memory and swap together"},
    {"no-new-keyring", NULL, "keep the caller's session keyring"},
    {"no-new-privs", NULL, "set the no_new_privs attribute"},
    {"no-pivot", NULL, "not supported"},
    {"no-subreaper", NULL, "of no effect: there never is one"},
    {"pid-file", "FILE", "write the process's number there"},
    {"pidfd-socket", "SOCKET", "where a descriptor of the process is sent to"},
    {"pids-limit", "N", "how many processes; -1: no limit"},
    {"preserve-fds", "N", "hand on N descriptors, from 3 on"},
    {"process", "FILE", "the process object, in JSON"},
    {"process-label", "LABEL", "the process's SELinux label"},
    {"quiet", NULL, "names alone"},
    {"regex", NULL, "ID is an extended regular expression; all that match"},
    {"resources", "FILE", "the linux.resources object, in JSON; -: standard input"},
    {"root", "DIR", "where containers are recorded"},
    {"rootless", "HOW", "true, false or auto; spec: a configuration for an ordinary user"},
    {"stats", NULL, "tell the usage once"},
    {"systemd-cgroup", NULL, "containers are scopes of systemd"},
    {"tty", NULL, "give the process a terminal"},
    {"user", "UID[:GID]", "the process's user"},
    {"version", NULL, "show the version"},
};

static void print_option(const struct option *option, const char *letters)
{
    char names[96], letter[8] = "";
    const char *value = option->has_arg == no_argument ? "" : "VALUE", *meaning = "";

    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (strcmp(meanings[i].name, option->name) != 0)
            continue;
        meaning = meanings[i].meaning;
        value = option->has_arg == no_argument ? "" : meanings[i].value;
    }
    if (option->val > 0 && option->val < 128 && strchr(letters, option->val) != NULL)
        snprintf(letter, sizeof(letter), ", -%c", option->val);
    snprintf(names, sizeof(names), "--%s%s%s%s", option->name, letter, *value != '\0' ? " " : "", value);
    printf("   %-30s %s\n", names, meaning);
}

static void print_options(const char *letters, const struct option *options)
{
    printf("\nOPTIONS:\n");
    for (; options->name != NULL; options++)
        print_option(options, letters);
}

void wherry_cli_help_verb(const char *verb, const char *letters, const struct option *options)
{
    static const struct option help[] = {{"help", no_argument, NULL, 'h'}, {0}};
    const struct wherry_cli_entry *entry = wherry_cli_find(verb);

    if (entry == NULL)
        return;
    printf("NAME:\n   wherry-runtime %s - %s\n\nUSAGE:\n   wherry-runtime %s [OPTIONS] %s\n", entry->name,
           entry->summary, entry->name, entry->operands);
    print_options(letters, options);
    print_option(help, "h");
}

int wherry_cli_help(const struct wherry_cli_entry *verbs, const char *letters, const struct option *options)
{
    printf("NAME:\n   wherry-runtime - an OCI runtime, version %s\n\nUSAGE:\n   wherry-runtime [OPTIONS] VERB ...\n\n"
           "VERBS, each with a --help of its own:\n",
           WHERRY_VERSION);
    for (; verbs->name != NULL; verbs++)
        printf("   %-10s %s\n", verbs->name, verbs->summary);
    print_options(letters, options);
    return 0;
}
