/* The home directory of a user, as the container's own /etc/passwd has it. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Writes the home directory of `uid` into `home`, "/" when the file does not tell. Reads at most 1 MiB of a regular
 * file and nothing else, whatever an image has put there (CVE-2026-47262). Runs in the child, inside the container's
 * root: no allocation. */
void wherry_home_find(uid_t uid, char *home, size_t size);
