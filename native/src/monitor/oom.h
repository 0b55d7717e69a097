/* Whether the kernel killed a process of the container because its memory ran out. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define OOM_PATH_MAX 4096

/* Finds the file that counts such kills for the group that `pid` is in; "" when the host counts none. */
void oom_find(pid_t pid, char path[OOM_PATH_MAX]);

/* Whether the file counts one or more. */
bool oom_happened(const char *path);
