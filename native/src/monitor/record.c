/* See record.h. */
#include "monitor/record.h"

#include "monitor/log_json.h"
#include "wherry/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const STATUS_NAMES[] = {"created", "running", "restarting", "exited"};

uint64_t process_start_ticks(pid_t pid)
{
    char path[64], text[1024], *at;
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    at = strrchr(text, ')'); /* the command's name can hold anything, also parentheses and spaces */
    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

static void render_time(char *out, size_t room, const char *time)
{
    snprintf(out, room, *time != '\0' ? "\"%s\"" : "null", time);
}

static void render_number(char *out, size_t room, int number, bool known)
{
    if (known)
        snprintf(out, room, "%d", number);
    else
        snprintf(out, room, "null");
}

size_t record_render(const struct record *record, const char *id, char text[RECORD_TEXT_MAX])
{
    char started[CLOCK_TEXT_MAX + 2], finished[CLOCK_TEXT_MAX + 2], pid[16], code[16], signal[16];
    char error[RECORD_ERROR_MAX * 6 + 1];
    size_t length = log_json_escape(error, record->error, strlen(record->error));
    int written;

    error[length] = '\0';
    render_time(started, sizeof(started), record->started_at);
    render_time(finished, sizeof(finished), record->finished_at);
    render_number(pid, sizeof(pid), (int)record->pid, record->pid > 0);
    render_number(code, sizeof(code), record->exit_code, record->exit_code >= 0);
    render_number(signal, sizeof(signal), record->signal, record->signal > 0);
    written = snprintf(
        text, RECORD_TEXT_MAX,
        "{\"id\":\"%.256s\",\"status\":\"%s\",\"monitor_pid\":%d,\"monitor_start\":%llu,\"pid\":%s,"
        "\"started_at\":%s,\"finished_at\":%s,\"exit_code\":%s,\"signal\":%s,\"oom_killed\":%s,\"oom_kills\":%llu,"
        "\"restart_count\":%u,\"log_lost_entries\":%llu,\"log_lost_bytes\":%llu,\"clients_cut\":%u,\"error\":\"%s\"}",
        id, STATUS_NAMES[record->status], (int)getpid(), (unsigned long long)process_start_ticks(getpid()), pid,
        started, finished, code, signal, record->oom_kills > 0 ? "true" : "false",
        (unsigned long long)record->oom_kills, record->restart_count, (unsigned long long)record->log_lost_entries,
        (unsigned long long)record->log_lost_bytes, record->clients_cut, error);
    return (size_t)written;
}

int record_save(int state_dir, const char *text, size_t length, struct wherry_error *err)
{
    return wherry_file_replace(state_dir, "state.json", text, length, 0600, err);
}
