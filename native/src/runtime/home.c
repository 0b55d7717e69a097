/* The home directory of a user; see home.h. */
#include "home.h"

#include "wherry/cleanup.h"
#include "wherry/error.h"
#include "wherry/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define LINE_MAX_LENGTH 1024

/* name:password:UID:GID:comment:home:shell, passwd(5). */
static bool take_line(char *line, uid_t uid, char *home, size_t size)
{
    char *fields[7] = {NULL};
    size_t count = 0;
    unsigned long long number = 0;
    const char *digit;

    for (char *at = line; count < 7; count++) {
        fields[count] = at;
        at = strchr(at, ':');
        if (at == NULL) {
            count++;
            break;
        }
        *at++ = '\0';
    }
    if (count < 6 || fields[2][0] == '\0' || fields[5][0] != '/')
        return false;
    for (digit = fields[2]; *digit >= '0' && *digit <= '9' && number <= UINT32_MAX; digit++)
        number = number * 10 + (unsigned)(*digit - '0');
    if (*digit != '\0' || number != uid || strlen(fields[5]) >= size)
        return false;
    memcpy(home, fields[5], strlen(fields[5]) + 1);
    return true;
}

static void search(int fd, uid_t uid, char *home, size_t size)
{
    char line[LINE_MAX_LENGTH], chunk[4096];
    size_t length = 0, total = 0;
    bool too_long = false;
    ssize_t got;

    while (total < FILE_MAX && (got = read(fd, chunk, sizeof(chunk))) > 0) {
        total += (size_t)got;
        for (ssize_t i = 0; i < got; i++) {
            if (chunk[i] != '\n') {
                too_long = too_long || length + 1 >= sizeof(line);
                if (!too_long)
                    line[length++] = chunk[i];
                continue;
            }
            line[length] = '\0';
            if (!too_long && take_line(line, uid, home, size))
                return;
            length = 0;
            too_long = false;
        }
    }
    line[length] = '\0';
    if (!too_long && length > 0)
        take_line(line, uid, home, size);
}

void wherry_home_find(uid_t uid, char *home, size_t size)
{
    struct wherry_error ignored;
    cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup_close int fd = -1;
    struct stat status;

    memcpy(home, "/", 2);
    if (root < 0)
        return;
    fd = wherry_paths_open_in_root(root, "/etc/passwd", O_RDONLY | O_NONBLOCK, &ignored);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        search(fd, uid, home, size);
}
