/* Telling a process from a later one with the same number; see wherry/container.h. */
#include "wherry/container.h"

#include "wherry/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

uint64_t wherry_process_start_time(pid_t pid)
{
    char path[64], text[1024];
    cleanup_close int fd = -1;
    unsigned long long start;
    ssize_t length;
    char state, *at;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    length = read(fd, text, sizeof(text) - 1);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    /* The name is in parentheses and may itself contain some: the last one ends it. */
    at = strrchr(text, ')');
    if (at == NULL || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                             &state, &start) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : start;
}
