/* See command.h. */
#include "monitor/command.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json_tokener.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX (RUNTIME_ARGUMENTS_MAX + 32)
#define RUNTIME_LOG "runtime.log"
#define RUNTIME_LOG_LIMIT (256 * 1024)

extern char **environ;

/* The message of the last line of a JSON log: {"level":"error","msg":…,"time":…}. */
static bool last_message(char *text, char *message, size_t room)
{
    char *line = strrchr(text, '\n');
    struct json_object *document, *value;
    bool found;

    if (line != NULL && line[1] == '\0') {
        *line = '\0';
        line = strrchr(text, '\n');
    }
    line = line == NULL ? text : line + 1;
    document = json_tokener_parse(line);
    found = document != NULL && json_object_object_get_ex(document, "msg", &value) &&
            json_object_is_type(value, json_type_string);
    if (found)
        snprintf(message, room, "%s", json_object_get_string(value));
    else if (*line != '\0')
        snprintf(message, room, "%s", line);
    if (document != NULL)
        json_object_put(document);
    return *line != '\0';
}

static int report_failure(const struct monitor_options *options, int state_dir, const char *verb, int status,
                          struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    char message[WHERRY_ERROR_MAX];
    struct wherry_error ignored = WHERRY_ERROR_INIT;
    size_t length;

    if (wherry_file_read(state_dir, RUNTIME_LOG, RUNTIME_LOG_LIMIT, &text, &length, &ignored) == 0 &&
        last_message(text, message, sizeof(message)))
        return wherry_error_set(err, 0, "%s", message);
    if (WIFSIGNALED(status))
        return wherry_error_set(err, 0, "%s %s was killed by signal %d", options->runtime, verb, WTERMSIG(status));
    return wherry_error_set(err, 0, "%s %s failed with exit status %d and said nothing", options->runtime, verb,
                            WEXITSTATUS(status));
}

static int fill_actions(posix_spawn_file_actions_t *actions, int state_dir, const int stdio[3])
{
    int failed = posix_spawn_file_actions_init(actions);

    for (int i = 0; failed == 0 && i < 3; i++)
        failed = stdio[i] < 0 ? posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0)
                              : posix_spawn_file_actions_adddup2(actions, stdio[i], i);
    return failed != 0 ? failed : posix_spawn_file_actions_addfchdir_np(actions, state_dir);
}

/* The monitor blocks and ignores signals for its own sake; the runtime starts with none of that. */
static int fill_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    int failed = posix_spawnattr_init(attributes);

    sigemptyset(&none);
    sigfillset(&all);
    if (failed == 0)
        failed = posix_spawnattr_setsigmask(attributes, &none);
    if (failed == 0)
        failed = posix_spawnattr_setsigdefault(attributes, &all);
    return failed != 0 ? failed : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(const char *const *argv, int state_dir, const int stdio[3], pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failed = fill_actions(&actions, state_dir, stdio);

    if (failed != 0)
        return failed;
    failed = fill_attributes(&attributes);
    if (failed == 0)
        failed = posix_spawnp(pid, argv[0], &actions, &attributes, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

/* The runtime's own options stand before those that every runtime gets, so that `--log` and `--root` are ours. */
static int compose(const struct monitor_options *options, const char *const *arguments, const char *argv[ARGUMENTS_MAX])
{
    const char *const every[] = {"--root", options->runtime_root, "--log", RUNTIME_LOG, "--log-format", "json"};
    size_t count = 0;

    argv[count++] = options->runtime;
    for (size_t i = 0; i < options->runtime_argument_count; i++)
        argv[count++] = options->runtime_arguments[i];
    for (size_t i = 0; i < sizeof(every) / sizeof(*every); i++)
        argv[count++] = every[i];
    if (options->systemd_cgroup)
        argv[count++] = "--systemd-cgroup";
    for (const char *const *argument = arguments; *argument != NULL; argument++) {
        if (count == ARGUMENTS_MAX - 1)
            return -1;
        argv[count++] = *argument;
    }
    argv[count] = NULL;
    return 0;
}

int command_run(const struct monitor_options *options, int state_dir, const int stdio[3], const char *const *arguments,
                struct wherry_error *err)
{
    const char *argv[ARGUMENTS_MAX];
    int status, failed;
    pid_t pid;

    if (compose(options, arguments, argv) < 0)
        return wherry_error_set(err, E2BIG, "arguments of %s", options->runtime);
    unlinkat(state_dir, RUNTIME_LOG, 0);
    failed = spawn(argv, state_dir, stdio, &pid);
    if (failed != 0)
        return wherry_error_set(err, failed, "start %s", options->runtime);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return wherry_error_set(err, errno, "wait for %s", options->runtime);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return report_failure(options, state_dir, arguments[0], status, err);
}
